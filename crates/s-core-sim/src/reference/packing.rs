//! From racks to servers: a reference places VMs in racks, and which server of a rack hosts a VM costs nothing.

use std::cmp::Reverse;
use std::time::Duration;

use s_core_model::{Allocation, Capacity, Levels, ServerIndex, VmIndex};

use crate::rack_tree::{RackTree, give_back, server_capacities, take};
use crate::strategy::{Instance, Proposal};

/// The proposal of these hosts, or to leave everything where it is unless they cost less.
pub(crate) fn propose<L: Levels>(
    instance: &Instance<'_, L>,
    hosts: Option<Vec<ServerIndex>>,
    cpu_time: Duration,
) -> Proposal {
    let allocation = instance.allocation();
    let propose = |hosts: &[ServerIndex]| {
        Proposal::new(instance, hosts, cpu_time).expect("packed within all servers' capacity")
    };
    hosts
        .map(|hosts| propose(&hosts))
        .filter(|proposal| proposal.cost < instance.cost())
        .unwrap_or_else(|| {
            let stay: Vec<_> = allocation.vms().map(|vm| allocation.host(vm)).collect();
            propose(&stay)
        })
}

/// A server for each VM in the rack that `racks` names for it.
///
/// A VM that stays in its rack stays on its server. If the others of a rack do not fit then, the rack is packed anew, and
/// what still does not fit, as VMs differ in memory, goes to the server with room where it costs least. `None` if
/// there is none.
pub(crate) fn pack<L: Levels>(
    instance: &Instance<'_, L>,
    tree: &RackTree,
    racks: &[u32],
) -> Option<Vec<ServerIndex>> {
    let allocation = instance.allocation();
    let mut packing = Packing {
        allocation,
        tree,
        room: server_capacities(allocation),
        hosts: vec![None; racks.len()],
    };
    let mut of_rack: Vec<Vec<VmIndex>> = vec![Vec::new(); tree.rack_count()];
    for (vm, rack) in allocation.vms().zip(racks) {
        of_rack[*rack as usize].push(vm);
    }
    let mut left_over = Vec::new();
    for (rack, mut vms) in (0..).zip(of_rack) {
        // The largest first, so that the small ones fill the gaps.
        vms.sort_by_key(|vm| Reverse(allocation.memory_mib(*vm)));
        if !packing.fill(rack, &vms, true) {
            packing.clear(rack, &vms);
            packing.fill(rack, &vms, false);
        }
        left_over.extend(
            vms.into_iter()
                .filter(|vm| packing.hosts[vm.usize()].is_none()),
        );
    }
    left_over.sort_by_key(|vm| Reverse(allocation.memory_mib(*vm)));
    for vm in left_over {
        packing.place_anywhere(instance, vm)?;
    }
    packing.hosts.into_iter().collect()
}

struct Packing<'a> {
    allocation: &'a Allocation,
    tree: &'a RackTree,
    room: Vec<Capacity>,
    hosts: Vec<Option<ServerIndex>>,
}

impl Packing<'_> {
    /// Places VMs on the servers of a rack; whether all fit. With `stay`, those that are there already stay.
    fn fill(&mut self, rack: u32, vms: &[VmIndex], stay: bool) -> bool {
        let at_home = |vm: &VmIndex| stay && self.tree.rack_of(self.allocation.host(*vm)) == rack;
        let (staying, coming): (Vec<VmIndex>, Vec<VmIndex>) =
            vms.iter().partition(|vm| at_home(vm));
        for vm in staying {
            self.place(vm, self.allocation.host(vm));
        }
        let mut all = true;
        for vm in coming {
            let memory_mib = self.allocation.memory_mib(vm);
            let servers = self.tree.servers_of(rack).iter().copied();
            // The tightest: large VMs find room in the others.
            let server = servers
                .filter(|server| self.room[server.usize()].admits(memory_mib))
                .min_by_key(|server| self.room[server.usize()].memory_mib);
            match server {
                Some(server) => self.place(vm, server),
                None => all = false,
            }
        }
        all
    }

    fn clear(&mut self, rack: u32, vms: &[VmIndex]) {
        for vm in vms {
            if let Some(server) = self.hosts[vm.usize()].take() {
                debug_assert_eq!(self.tree.rack_of(server), rack);
                give_back(
                    &mut self.room[server.usize()],
                    self.allocation.memory_mib(*vm),
                );
            }
        }
    }

    fn place(&mut self, vm: VmIndex, server: ServerIndex) {
        take(
            &mut self.room[server.usize()],
            self.allocation.memory_mib(vm),
        );
        self.hosts[vm.usize()] = Some(server);
    }

    fn place_anywhere<L: Levels>(&mut self, instance: &Instance<'_, L>, vm: VmIndex) -> Option<()> {
        let memory_mib = self.allocation.memory_mib(vm);
        let placed = |(peer, rate): (VmIndex, _)| Some((self.hosts[peer.usize()]?, rate));
        let loads = instance.traffic().peers(vm).filter_map(placed).collect();
        let cost = |server: &ServerIndex| instance.model().cost_at(&loads, *server);
        let server = (self.allocation.servers())
            .filter(|server| self.room[server.usize()].admits(memory_mib))
            .min_by(|a, b| cost(a).total_cmp(&cost(b)))?;
        self.place(vm, server);
        Some(())
    }
}
