//! What can go wrong in a run.

use s_core_agent::{AgentError, ConfigFileError};
use s_core_sim::SimulationError;
use s_core_sim::snapshot::SnapshotError;

use crate::error::LabError;
use crate::traffic::TrafficError;

/// A run could not be made, or went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The laboratory.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// Its traffic.
    #[error(transparent)]
    Traffic(#[from] TrafficError),
    /// The configuration of an agent.
    #[error(transparent)]
    Configuration(#[from] ConfigFileError),
    /// A table of servers or a snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// An agent.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The simulation that the run is compared with.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// The system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// An agent ended by itself.
    #[error("the agent of host {host} ended; its agent.log in {directory} says why")]
    AgentEnded {
        /// The host.
        host: u16,
        /// Where the log is.
        directory: String,
    },
    /// Where VMs are is not what the agents said.
    #[error("{vm} is on {found}, and not on {told} as the agents said")]
    Misplaced {
        /// The VM.
        vm: s_core_model::VmId,
        /// Where it is.
        found: String,
        /// Where it should be.
        told: s_core_model::ServerId,
    },
}
