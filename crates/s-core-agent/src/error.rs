//! Why an agent does not start or does not run.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use s_core_flow::InvalidFlowTableConfig;
use s_core_model::ServerId;

use crate::mark_file::MarkFileError;

/// An agent cannot be started, asked or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The location table lacks the agent's own server.
    #[error("server {0} is not in the location table; add it to servers.csv with its location")]
    UnknownServer(ServerId),
    /// The highest mark cannot be read back.
    #[error(transparent)]
    MarkFile(#[from] MarkFileError),
    /// The window, limit or idle timeout of the flow table does not do.
    #[error("flow settings: {0}")]
    Flows(#[from] InvalidFlowTableConfig),
    /// An interval, deadline or bound does not do.
    #[error("setting {setting}: {problem}")]
    Setting {
        /// Which one, by its key in a [`ConfigFile`](crate::ConfigFile) or else its field of
        /// [`AgentConfig`](crate::AgentConfig).
        setting: &'static str,
        /// What is wrong, and what would do.
        problem: String,
    },
    /// A socket cannot be opened.
    #[error(
        "cannot open the {protocol} socket {address}: is the address this host's, and no other agent running?"
    )]
    Socket {
        /// `UDP` or `TCP`.
        protocol: &'static str,
        /// Which address and port.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A thread or pipe cannot be made.
    #[error("cannot start the thread {what}: {source}")]
    Thread {
        /// What it was to do.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The agent has stopped.
    #[error("the agent has stopped")]
    Stopped,
    /// The agent does not answer.
    #[error("the agent gave no answer within {0:?}")]
    NoAnswer(Duration),
    /// A thread of the agent panicked: a defect of the agent.
    #[error("the agent's thread {0} panicked; please report this")]
    Panicked(&'static str),
}
