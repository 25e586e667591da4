//! What a scenario's traffic truly costs, migration by migration.

use std::sync::Arc;

use s_core_model::{
    Allocation, AllocationError, CostModel, Placement, ServerId, TrafficMatrix, VmId,
};
use s_core_topology::LocationTable;

use super::Scenario;

/// Keeps account of a scenario's cost from the traffic that is really there, not from what agents measure.
#[derive(Clone, Debug)]
pub struct Account {
    model: CostModel<Arc<LocationTable>>,
    allocation: Allocation,
    traffic: TrafficMatrix,
}

impl Account {
    /// The account of a scenario as it begins.
    pub fn new(scenario: &Scenario) -> Self {
        let allocation = Allocation::new(
            scenario
                .servers
                .iter()
                .map(|server| (server.id, server.capacity)),
            scenario.vms.iter().map(|vm| Placement {
                vm: vm.id,
                server: vm.server,
                memory_mib: vm.memory_mib,
            }),
        )
        .expect("a scenario's VMs have room where they are");
        let index = |vm| {
            allocation
                .vm_index(vm)
                .expect("traffic is between the scenario's VMs")
        };
        let pairs = scenario.traffic.iter();
        let pairs: Vec<_> = pairs
            .map(|(a, b, rate)| (index(*a), index(*b), *rate))
            .collect();
        let traffic = TrafficMatrix::from_pairs(allocation.vm_count(), pairs)
            .expect("a scenario's pairs are of two different VMs");
        Self {
            model: scenario.cost_model(),
            allocation,
            traffic,
        }
    }

    /// Eq. 3.1.
    pub fn total_cost(&self) -> f64 {
        self.model.total_cost(&self.allocation, &self.traffic)
    }

    /// Moves a VM and returns the gain (Eq. 3.2) of it.
    ///
    /// # Errors
    ///
    /// [`NoSuchMigration`] if the VM or server is unknown or the server full; nothing changes then.
    pub fn migrate(&mut self, vm: VmId, target: ServerId) -> Result<f64, NoSuchMigration> {
        let index = self.allocation.vm_index(vm);
        let server = self.allocation.server_index(target);
        let (index, server) = index
            .zip(server)
            .ok_or(NoSuchMigration::Unknown { vm, target })?;
        let gain = self
            .model
            .gain(&self.allocation, &self.traffic, index, server);
        self.allocation.migrate(index, server)?;
        Ok(gain)
    }

    /// The cost model.
    pub fn model(&self) -> &CostModel<Arc<LocationTable>> {
        &self.model
    }

    /// Which server hosts which VM now.
    pub fn allocation(&self) -> &Allocation {
        &self.allocation
    }

    /// λ for all pairs.
    pub fn traffic(&self) -> &TrafficMatrix {
        &self.traffic
    }
}

/// A migration that cannot have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoSuchMigration {
    /// The VM or the server is not of the scenario.
    #[error("VM {vm} or server {target} is not part of the data centre")]
    Unknown {
        /// The VM.
        vm: VmId,
        /// The server.
        target: ServerId,
    },
    /// There is no room for it.
    #[error(transparent)]
    Allocation(#[from] AllocationError),
}
