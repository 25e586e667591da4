//! Within the racks: a server for each VM.

use std::cmp::Reverse;

use s_core_model::{Allocation, ServerIndex, VmIndex};

use crate::packing::Packing;
use crate::rack_tree::RackTree;

/// VMs in their servers.
#[derive(Debug)]
pub(super) struct Packed {
    /// The server of each VM.
    pub(super) hosts: Vec<ServerIndex>,
    /// Whether each VM that talks to somebody is in the rack that was wanted.
    pub(super) is_as_wanted: bool,
}

/// A server for each VM. `racks` says in which rack, if it matters; those that do not fit go to the nearest rack that has
/// room. `None` if a VM fits nowhere.
pub(super) fn pack(
    allocation: &Allocation,
    tree: &RackTree,
    racks: &[Option<u32>],
) -> Option<Packed> {
    let mut packing = Packing::new(allocation, tree);
    let left_over = packing.fill(racks.iter().copied());
    let is_as_wanted = left_over.is_empty();
    place_near(&mut packing, allocation, tree, left_over)?;
    // VMs that talk to nobody last: where they are if possible, and anywhere else if not.
    let mut silent = Vec::new();
    for (vm, _) in (allocation.vms().zip(racks)).filter(|(_, rack)| rack.is_none()) {
        let host = allocation.host(vm);
        if packing.has_room(host, vm) {
            packing.place(vm, host);
        } else {
            silent.push((vm, tree.rack_of(host)));
        }
    }
    place_near(&mut packing, allocation, tree, silent)?;
    Some(Packed {
        hosts: packing.into_hosts()?,
        is_as_wanted,
    })
}

/// Places VMs as near to a rack each as there is room, those with the most memory first. `None` if one fits nowhere.
fn place_near(
    packing: &mut Packing<'_>,
    allocation: &Allocation,
    tree: &RackTree,
    mut vms: Vec<(VmIndex, u32)>,
) -> Option<()> {
    vms.sort_by_key(|(vm, _)| (Reverse(allocation.memory_mib(*vm)), *vm));
    let is_placed = |(vm, rack): (VmIndex, u32)| {
        // The group below has been looked through; what was full there still is.
        let mut groups = tree.path(rack).iter().copied().chain([tree.whole()]);
        groups.any(|group| tree.racks_of(group).any(|rack| packing.place_in(vm, rack)))
    };
    vms.into_iter().all(is_placed).then_some(())
}
