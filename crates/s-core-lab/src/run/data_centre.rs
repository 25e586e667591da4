//! A laboratory as a snapshot, and what its traffic truly costs.

use std::collections::BTreeMap;

use s_core_model::{MigrationCost, ServerId, VmId};
use s_core_sim::snapshot::{Settings, Snapshot, TrafficEntry};
use s_core_sim::{Outcome, Rules, RunLimits, Simulation};
use s_core_token::PolicyKind;

use super::configuration::link_weights;
use super::error::RunError;
use crate::error::LabError;
use crate::layout::Layout;
use crate::traffic;

/// Where each VM is.
pub type Homes = BTreeMap<VmId, ServerId>;

/// Which host each VM is at, by the hosts' own databases.
///
/// # Errors
///
/// [`LabError`] if there is no such laboratory, or a database does not tell.
pub(super) fn homes(layout: &Layout) -> Result<Homes, LabError> {
    let mut homes = Homes::new();
    for host in crate::status(layout.name())?.hosts {
        let server = layout.server(host.host);
        homes.extend(host.vms?.into_iter().map(|vm| (layout.vm(vm), server)));
    }
    Ok(homes)
}

/// The laboratory as a snapshot directory has it.
///
/// # Errors
///
/// [`RunError`] if homes or traffic are not of this laboratory.
pub(super) fn snapshot(
    layout: &Layout,
    migration_cost: MigrationCost,
    homes: &Homes,
    rates: Vec<TrafficEntry>,
) -> Result<Snapshot, RunError> {
    let mut settings = Settings::new(link_weights(layout));
    settings.migration_cost = migration_cost;
    let home = |vm| {
        let host = homes
            .get(&layout.vm(vm))
            .and_then(|server| layout.host_of(*server));
        host.unwrap_or_else(|| layout.first_host(vm))
    };
    Ok(traffic::snapshot(layout, home, rates, settings)?)
}

/// What this traffic costs with the VMs there: Eq. 3.1.
///
/// # Errors
///
/// As [`snapshot`].
pub(super) fn cost(
    layout: &Layout,
    homes: &Homes,
    rates: Vec<TrafficEntry>,
) -> Result<f64, RunError> {
    let snapshot = snapshot(layout, MigrationCost::ZERO, homes, rates)?;
    let model = snapshot.cost_model();
    Ok(model.total_cost(snapshot.allocation(), snapshot.traffic()))
}

/// What `plan` finds for a snapshot under the agents' policy: the same policies and decisions, without a network.
///
/// # Errors
///
/// [`RunError::Simulation`] if the snapshot does not do.
pub(super) fn planned(snapshot: &Snapshot, policy: PolicyKind) -> Result<Outcome, RunError> {
    let policy = policy.build();
    let rules = Rules {
        migration_cost: snapshot.migration_cost(),
        ..Rules::default()
    };
    let (model, traffic) = (snapshot.cost_model(), snapshot.traffic());
    let allocation = snapshot.allocation().clone();
    let mut simulation = Simulation::new(&model, traffic, allocation, policy.as_ref(), rules)?;
    Ok(simulation.run_until_settled(RunLimits::default()))
}
