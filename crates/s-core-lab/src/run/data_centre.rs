//! A laboratory as a snapshot, and what its traffic truly costs.

use std::collections::BTreeMap;

use s_core_model::{Capacity, MigrationCost, Placement, ServerId, VmId};
use s_core_sim::snapshot::{
    ServerEntry, Settings, Snapshot, SnapshotError, TrafficEntry, VmEntry,
};
use s_core_sim::{Outcome, Rules, RunLimits, Simulation};

use super::configuration::{AgentSettings, link_weights};
use super::error::RunError;
use crate::layout::Layout;

/// Where each VM is.
pub type Homes = BTreeMap<VmId, ServerId>;

/// Where VMs are before anything has moved.
pub fn first_homes(layout: &Layout) -> Homes {
    let home = |vm| (layout.vm(vm), layout.server(layout.first_host(vm)));
    layout.vms().map(home).collect()
}

/// The laboratory as a snapshot directory has it.
///
/// # Errors
///
/// [`SnapshotError`] if homes or traffic are not of this laboratory.
pub fn snapshot(
    layout: &Layout,
    migration_cost: MigrationCost,
    homes: &Homes,
    traffic: Vec<TrafficEntry>,
) -> Result<Snapshot, SnapshotError> {
    let shape = layout.shape();
    let mut settings = Settings::new(link_weights(layout));
    settings.migration_cost = migration_cost;
    let capacity = Capacity {
        vm_slots: shape.vm_slots.into(),
        memory_mib: u64::from(shape.vm_slots) * u64::from(shape.vm_memory_mib),
    };
    let servers = layout.hosts().map(|host| ServerEntry {
        server: layout.server(host),
        location: layout.location(host),
        capacity,
    });
    let vms = homes.iter().map(|(vm, server)| VmEntry {
        placement: Placement {
            vm: *vm,
            server: *server,
            memory_mib: shape.vm_memory_mib,
        },
        name: layout.vm_of(*vm).map(|number| format!("vm{}", number.0)).unwrap_or_default(),
    });
    Snapshot::new(settings, servers.collect(), vms.collect(), traffic)
}

/// What this traffic costs with the VMs there: Eq. 3.1.
///
/// # Errors
///
/// As [`snapshot`].
pub fn cost(
    layout: &Layout,
    homes: &Homes,
    traffic: Vec<TrafficEntry>,
) -> Result<f64, SnapshotError> {
    let snapshot = snapshot(layout, MigrationCost::default(), homes, traffic)?;
    let model = snapshot.cost_model();
    Ok(model.total_cost(snapshot.allocation(), snapshot.traffic()))
}

/// What `plan` finds for a snapshot under the agents' policy: the same policies and decisions, without a network.
///
/// # Errors
///
/// [`RunError::Simulation`] if the snapshot does not do.
pub fn planned(snapshot: &Snapshot, settings: &AgentSettings) -> Result<Outcome, RunError> {
    let policy = settings.policy.build();
    let rules = Rules {
        migration_cost: snapshot.migration_cost(),
        ..Rules::default()
    };
    let (model, traffic) = (snapshot.cost_model(), snapshot.traffic());
    let allocation = snapshot.allocation().clone();
    let mut simulation = Simulation::new(&model, traffic, allocation, policy.as_ref(), rules)?;
    Ok(simulation.run_until_settled(RunLimits::default()))
}
