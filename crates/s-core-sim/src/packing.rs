//! From racks to servers: which server of a rack hosts a VM costs nothing, but it has to have room.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use s_core_model::{Allocation, Capacity, Levels, ServerIndex, VmIndex};

use crate::rack_tree::{RackTree, give_back, server_capacities, take};
use crate::strategy::Instance;

/// A server for each VM in the rack that `racks` names for it; what does not fit there, as VMs differ in memory, goes to
/// the server with room where it costs least. `None` if there is none.
pub(crate) fn pack<L: Levels>(
    instance: &Instance<'_, L>,
    tree: &RackTree,
    racks: impl Iterator<Item = u32>,
) -> Option<Vec<ServerIndex>> {
    let allocation = instance.allocation();
    let mut packing = Packing::new(allocation, tree);
    let mut left_over = packing.fill(racks.map(Some));
    left_over.sort_by_key(|(vm, _)| Reverse(allocation.memory_mib(*vm)));
    for (vm, _) in left_over {
        let server = packing.cheapest(instance, vm)?;
        packing.place(vm, server);
    }
    packing.into_hosts()
}

/// VMs that are given servers, all of which are empty to begin with.
#[derive(Debug)]
pub(crate) struct Packing<'a> {
    allocation: &'a Allocation,
    tree: &'a RackTree,
    room: Vec<Capacity>,
    /// For each rack its servers with free slots: memory left, server.
    open: Vec<BTreeSet<(u64, ServerIndex)>>,
    hosts: Vec<Option<ServerIndex>>,
}

impl<'a> Packing<'a> {
    pub(crate) fn new(allocation: &'a Allocation, tree: &'a RackTree) -> Self {
        let room = server_capacities(allocation);
        let mut open = vec![BTreeSet::new(); tree.rack_count()];
        for (server, room) in allocation.servers().zip(&room) {
            if room.vm_slots > 0 {
                open[tree.rack_of(server) as usize].insert((room.memory_mib, server));
            }
        }
        Self {
            allocation,
            tree,
            room,
            open,
            hosts: vec![None; allocation.vm_count()],
        }
    }

    /// Places each VM for which `racks` names a rack on a server there. Returns those that do not fit, rack by rack,
    /// with the rack.
    ///
    /// A VM that stays in its rack stays on its server. If the others of a rack do not fit then, the rack is packed anew.
    pub(crate) fn fill(&mut self, racks: impl Iterator<Item = Option<u32>>) -> Vec<(VmIndex, u32)> {
        let allocation = self.allocation;
        let mut of_rack: Vec<Vec<VmIndex>> = vec![Vec::new(); self.tree.rack_count()];
        for (vm, rack) in allocation.vms().zip(racks) {
            if let Some(rack) = rack {
                of_rack[rack as usize].push(vm);
            }
        }
        let mut left_over = Vec::new();
        for (rack, mut vms) in (0..).zip(of_rack) {
            // The largest first, so that the small ones fill the gaps.
            vms.sort_by_key(|vm| Reverse(allocation.memory_mib(*vm)));
            let is_home = |vm: &VmIndex| self.tree.rack_of(allocation.host(*vm)) == rack;
            let (staying, mut unplaced): (Vec<_>, Vec<_>) = vms.iter().copied().partition(is_home);
            for vm in staying {
                self.place(vm, allocation.host(vm));
            }
            unplaced.retain(|vm| !self.place_in(*vm, rack));
            if !unplaced.is_empty() {
                vms.iter().for_each(|vm| self.take_out(*vm));
                vms.retain(|vm| !self.place_in(*vm, rack));
                left_over.extend(vms.into_iter().map(|vm| (vm, rack)));
            }
        }
        left_over
    }

    /// Places a VM in a rack, if a server there has room, on the one with the least memory left: large VMs find room in the others.
    pub(crate) fn place_in(&mut self, vm: VmIndex, rack: u32) -> bool {
        let memory_mib = u64::from(self.allocation.memory_mib(vm));
        let least = (memory_mib, ServerIndex::new(0));
        let Some((_, server)) = self.open[rack as usize].range(least..).next().copied() else {
            return false;
        };
        self.place(vm, server);
        true
    }

    /// Whether a server has room for a VM.
    pub(crate) fn has_room(&self, server: ServerIndex, vm: VmIndex) -> bool {
        self.room[server.usize()].admits(self.allocation.memory_mib(vm))
    }

    /// Places a VM on a server that has room for it.
    pub(crate) fn place(&mut self, vm: VmIndex, server: ServerIndex) {
        let memory_mib = self.allocation.memory_mib(vm);
        self.hosts[vm.usize()] = Some(server);
        self.change(server, |room| take(room, memory_mib));
    }

    fn take_out(&mut self, vm: VmIndex) {
        if let Some(server) = self.hosts[vm.usize()].take() {
            let memory_mib = self.allocation.memory_mib(vm);
            self.change(server, |room| give_back(room, memory_mib));
        }
    }

    fn change(&mut self, server: ServerIndex, change: impl FnOnce(&mut Capacity)) {
        let room = &mut self.room[server.usize()];
        let open = &mut self.open[self.tree.rack_of(server) as usize];
        open.remove(&(room.memory_mib, server));
        change(room);
        if room.vm_slots > 0 {
            open.insert((room.memory_mib, server));
        }
    }

    /// The server with room where a VM costs least, given where its peers are so far.
    fn cheapest<L: Levels>(&self, instance: &Instance<'_, L>, vm: VmIndex) -> Option<ServerIndex> {
        let placed = |(peer, rate): (VmIndex, _)| Some((self.hosts[peer.usize()]?, rate));
        let loads = instance.traffic().peers(vm).filter_map(placed).collect();
        let cost = |server: &ServerIndex| instance.model().cost_at(&loads, *server);
        (self.allocation.servers())
            .filter(|server| self.has_room(*server, vm))
            .min_by(|a, b| cost(a).total_cmp(&cost(b)))
    }

    /// The server of each VM, if all are placed.
    pub(crate) fn into_hosts(self) -> Option<Vec<ServerIndex>> {
        self.hosts.into_iter().collect()
    }
}
