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
    /// All agents have ended by themselves.
    #[error("all agents have ended, that of host {host} the last: {why}")]
    NoAgentLeft {
        /// The host of the last one.
        host: u16,
        /// How its process ended, and the last that it logged.
        why: String,
    },
}
