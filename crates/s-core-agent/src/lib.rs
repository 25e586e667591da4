//! placeholder

mod agent;
mod clock;
mod config;
mod config_file;
mod driver;
pub mod embedded;
mod error;
mod event;
mod flows;
mod inventory;
mod key_file;
mod mark_file;
mod network;
mod observe;
mod post;
mod signals;
mod status;

pub use agent::{Agent, AgentHandle};
pub use config::{Addressing, AgentConfig, DEFAULT_PORT, FlowSettings, Mint, NetworkLimits};
pub use config_file::{
    ConfigFile, ConfigFileError, FlowsSection, HypervisorKind, HypervisorSection, KeysSection,
    TimingSection, TokenSection, VmSection,
};
pub use error::AgentError;
pub use event::{Event, Observer};
pub use key_file::{KeyFileError, lab_key, read_key_file};
pub use mark_file::MarkFileError;
pub use observe::{Observation, ObserveError, ObservedVm, observe};
pub use signals::on_termination;
pub use status::AgentStatus;
