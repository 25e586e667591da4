//! Small data centres, and what every strategy has to keep to in them.

use proptest::prelude::*;
use proptest::strategy::Strategy as Generator;
use s_core_model::{
    Allocation, Capacity, CostModel, LinkWeights, Placement, Rate, ServerId, TrafficMatrix, VmId,
    VmIndex,
};
use s_core_sim::{Instance, LinkCapacities, LinkUtilisation, Proposal, Strategy, link_utilisation};
use s_core_topology::LocationTable;

/// Servers 0 to 7 in racks of two, racks in pods of two.
pub(crate) const LOCATIONS: [&str; 8] = ["a/1", "a/1", "a/2", "a/2", "b/1", "b/1", "b/2", "b/2"];

pub(crate) struct Parts {
    pub(crate) model: CostModel<LocationTable>,
    pub(crate) traffic: TrafficMatrix,
    pub(crate) allocation: Allocation,
}

impl Parts {
    /// VM i of 1 MiB on server `hosts[i]`; every server has room for `slots`.
    pub(crate) fn new(slots: u32, hosts: &[u32], pairs: &[(u32, u32, u32)]) -> Self {
        let servers = (0..8).map(ServerId::new);
        let levels = LocationTable::new(servers.clone().zip(LOCATIONS)).unwrap();
        let room = Capacity {
            vm_slots: slots,
            memory_mib: u64::from(slots),
        };
        let placement = |(vm, host): (u32, &u32)| Placement {
            vm: VmId::new(vm),
            server: ServerId::new(*host),
            memory_mib: 1,
        };
        let pair = |(a, b, rate): &(u32, u32, u32)| {
            (
                VmIndex::new(*a),
                VmIndex::new(*b),
                Rate::new(f64::from(*rate)).unwrap(),
            )
        };
        Self {
            model: CostModel::new(LinkWeights::new([1.0, 10.0]).unwrap(), levels).unwrap(),
            traffic: TrafficMatrix::from_pairs(hosts.len(), pairs.iter().map(pair)).unwrap(),
            allocation: Allocation::new(
                servers.map(|server| (server, room)),
                (0..).zip(hosts).map(placement),
            )
            .unwrap(),
        }
    }

    pub(crate) fn run(&self, strategy: &dyn Strategy<LocationTable>) -> Proposal {
        let instance = Instance::new(&self.model, &self.traffic, &self.allocation).unwrap();
        let proposal = strategy.run(&instance, &()).unwrap();
        assert!(proposal.complete);
        let recomputed = self.model.total_cost(&proposal.allocation, &self.traffic);
        assert!((proposal.cost - recomputed).abs() <= 1e-9 * recomputed);
        proposal
    }

    /// The allocation after each migration, checked to be one that each migration found room in.
    pub(crate) fn replay(&self, proposal: &Proposal) -> Vec<Allocation> {
        let mut allocation = self.allocation.clone();
        let mut all = vec![allocation.clone()];
        for (step, migration) in (1..).zip(&proposal.migrations) {
            assert_eq!(migration.step, step);
            assert_eq!(allocation.host(migration.vm), migration.source);
            let gain = self
                .model
                .gain(&allocation, &self.traffic, migration.vm, migration.target);
            assert_eq!(gain, migration.gain);
            allocation.migrate(migration.vm, migration.target).unwrap();
            let cost = self.model.total_cost(&allocation, &self.traffic);
            assert!((cost - migration.total_cost).abs() <= 1e-6 * (cost + 1.0));
            all.push(allocation.clone());
        }
        assert_eq!(allocation, proposal.allocation);
        all
    }

    pub(crate) fn links(
        &self,
        allocation: &Allocation,
        capacities: LinkCapacities,
    ) -> LinkUtilisation {
        link_utilisation(self.model.levels(), allocation, &self.traffic, capacities).unwrap()
    }

    /// What VMs of one server exchange with each other.
    pub(crate) fn co_located(&self, allocation: &Allocation) -> f64 {
        let together =
            |(a, b, _): &(VmIndex, VmIndex, Rate)| allocation.host(*a) == allocation.host(*b);
        let pairs = self.traffic.pairs().filter(together);
        pairs.map(|(_, _, rate)| rate.bytes_per_second()).sum()
    }
}

pub(crate) fn hosts(allocation: &Allocation) -> Vec<u32> {
    allocation
        .vms()
        .map(|vm| allocation.host(vm).get())
        .collect()
}

/// Up to 20 VMs, and servers that they do not all fill.
pub(crate) fn any_parts() -> impl Generator<Value = Parts> {
    (
        1u32..4,
        prop::collection::vec(0u32..8, 1..20),
        prop::collection::vec((0u32..20, 0u32..20, 1u32..200), 0..40),
    )
        .prop_map(|(slots, hosts, pairs)| {
            let mut taken = [0; 8];
            let room = |host: &u32| {
                let taken: &mut u32 = &mut taken[*host as usize];
                *taken += 1;
                *taken <= slots
            };
            let hosts: Vec<u32> = hosts.into_iter().filter(room).collect();
            let count = hosts.len() as u32;
            let pairs: Vec<_> = pairs
                .into_iter()
                .map(|(a, b, rate)| (a % count, b % count, rate))
                .filter(|(a, b, _)| a != b)
                .collect();
            Parts::new(slots, &hosts, &pairs)
        })
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:?} {:?}",
            hosts(&self.allocation),
            self.traffic.pairs().collect::<Vec<_>>()
        )
    }
}
