//! Parts that do not make a simulation.

use s_core_model::{Allocation, Levels, ServerId, ServerIndex, TrafficMatrix};
use s_core_token::SlotsError;

use super::Rules;

pub(super) fn check_rules(rules: Rules) -> Result<(), SimulationError> {
    if !rules.min_gain.is_finite() || rules.min_gain < 0.0 {
        return Err(SimulationError::MinGain(rules.min_gain));
    }
    Ok(())
}

pub(super) fn check_traffic(
    traffic: &TrafficMatrix,
    allocation: &Allocation,
) -> Result<(), SimulationError> {
    let (in_traffic, in_allocation) = (traffic.vm_count(), allocation.vm_count());
    if in_traffic != in_allocation {
        return Err(SimulationError::OtherVms {
            in_traffic,
            in_allocation,
        });
    }
    Ok(())
}

pub(crate) fn check_parts(
    levels: &impl Levels,
    traffic: &TrafficMatrix,
    allocation: &Allocation,
) -> Result<(), SimulationError> {
    check_traffic(traffic, allocation)?;
    let known = |server: ServerIndex| {
        let id = allocation.server_at(server);
        (levels.index_of(id) != Some(server)).then_some(id)
    };
    if let Some(server) = allocation.servers().find_map(known) {
        return Err(SimulationError::OtherServers(server));
    }
    Ok(())
}

/// Parts that do not make a simulation.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SimulationError {
    /// The traffic is not that of the VMs allocated.
    #[error(
        "the traffic is of {in_traffic} VMs, and {in_allocation} are allocated; give both the same VMs"
    )]
    OtherVms {
        /// VMs of the traffic matrix.
        in_traffic: usize,
        /// VMs of the allocation.
        in_allocation: usize,
    },
    /// The cost model numbers the servers otherwise than the allocation.
    #[error(
        "server {0} of the allocation is not at the same place in the topology; give both the same servers"
    )]
    OtherServers(ServerId),
    /// The least gain is not a finite number from 0 up.
    #[error("the least gain {0} is not a finite number from 0 up")]
    MinGain(f64),
    /// Traffic is to change as time passes, and no time passes.
    #[error(
        "traffic cannot change over time when a hop takes none; give a timing with a hop above 0"
    )]
    NoTime,
    /// The VMs do not make a token.
    #[error(transparent)]
    Slots(#[from] SlotsError),
}
