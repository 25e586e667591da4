//! The S-CORE agent of one host's control domain: threads and sockets that drive a [`Node`](s_core_proto::Node).
//!
//! It reads how much the host's VMs talk, answers other servers' questions, and when the token is with one of its
//! VMs, decides for it, migrates it live and passes the token on (thesis chapter 4).
//!
//! ```
//! use std::sync::Arc;
//! use s_core_agent::{Agent, AgentConfig, lab_key};
//! use s_core_backend::emulated::{DataCentre, EmulatedServer, EmulatedVm};
//! use s_core_model::{CostModel, LinkWeights, ServerId};
//! use s_core_proto::{Config, wire::Keyring};
//! use s_core_token::PolicyKind;
//! use s_core_topology::LocationTable;
//!
//! # let state = tempfile::tempdir()?;
//! # let state_dir = state.path();
//! // Two servers in two racks; the agent is for the first. A real host has `s_core_backend::xl` and `ovs`.
//! let [here, there]: [ServerId; 2] = ["127.79.0.1".parse()?, "127.79.0.2".parse()?];
//! let vm = EmulatedVm { id: "10.1.0.1".parse()?, server: here, memory_mib: 512, name: "web".into() };
//! let server = |id| EmulatedServer { id, vm_slots: 2, memory_mib: 2048 };
//! let data_centre = DataCentre::builder().build([server(here), server(there)], [vm], [])?;
//!
//! let locations = LocationTable::new([(here, "a1/r1"), (there, "a1/r2")])?;
//! let model = CostModel::new(LinkWeights::new([1.0, 2.7])?, Arc::new(locations))?;
//! let node = Config::new(here, model, PolicyKind::Distributed.build().into());
//! let config = AgentConfig::new(node, Keyring::new(lab_key(), [])?, state_dir);
//!
//! let hypervisor = Arc::new(data_centre.hypervisor(here)?);
//! let agent = Agent::start(config, hypervisor, Box::new(data_centre.flows(here)?))?;
//! assert_eq!(agent.status()?.server, here);
//! agent.shutdown();
//! agent.join()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The types to know
//!
//! - [`Agent`], [`AgentConfig`], [`AgentHandle`]: start, ask and stop an agent; an [`Observer`] is told each [`Event`].
//! - [`EventFile`]: the events as lines of JSON for an operator's tools, [`EventLine`].
//! - [`ConfigFile`]: the same from a TOML file, for Xen and Open vSwitch.
//! - [`embedded`]: a whole data centre of agents on one machine.
//! - [`read_key_file`]: the secret that the agents of a cluster share.
//!
//! # Threads
//!
//! | thread | does | bound |
//! |---|---|---|
//! | main | owns the node; stores marks, sends datagrams | 1,024 messages wait, datagrams beyond are dropped |
//! | network | reads UDP and TCP, opens frames | [`NetworkLimits`] |
//! | deliver | sends tokens over TCP, a connection each | 16 tokens wait |
//! | flows | reads the switch at an interval | [`FlowSettings`] |
//! | inventory | asks the hypervisor what runs here | one request waits |
//! | interception | keeps the rules that bring requests for VMs here, if that is wanted | 5 s each time |
//! | migrate | one migration at a time | the node's deadline |
//!
//! # What strangers can do
//!
//! Nothing of a frame is looked at before its seal is checked, but for its length, which is bounded. Buffers grow
//! as bytes come. Connections are few, and those that matter least go first; each has deadlines. What is
//! refused is counted ([`AgentStatus::refused`]) and logged at most every 10 s for each reason.
//!
//! # A crash
//!
//! The highest mark and the migrations under way are on disk. An agent that starts again acts on no token that it
//! acted on before, and asks the target of each such migration what became of it; no `xl migrate` of before may
//! still run then. Which VMs are arriving it learns from the hypervisor, before it promises room to others. The token
//! goes on meanwhile from the copy of the server that had it before, or the agents that are left make a new one
//! (docs/protocol.md).
//!
//! An agent that is told to stop hands the token that it holds to another server first, if one takes it in time.
//!
//! # A disk that is full
//!
//! A mark that cannot be stored stops what would have been done under it, and only that (rule R1): locations are told
//! still. Before the next thing that needs a mark, it is tried again. A server whose disk stays full holds no
//! token: it says nothing to the server that keeps a copy, which makes the token anew.
//!
//! # What it does not do
//!
//! It sets up no rules for the flows to be measured, and rotates no logs (it uses `tracing`; the program
//! brings the subscriber). It decides which VMs may arrive only where the hypervisor
//! [asks](s_core_backend::Hypervisor::guard), which `xl` does not yet: there, whoever may run `xl migrate` to this
//! host is let in. It runs on Unix only.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod agent;
mod arrivals;
mod clock;
mod config;
mod config_file;
mod driver;
pub mod embedded;
mod ends;
mod error;
mod event;
mod event_file;
mod flows;
mod gate;
mod interception;
mod inventory;
mod journal;
mod key_file;
mod mark_file;
mod network;
mod observe;
mod post;
mod said;
mod signals;
mod status;
mod verify;

pub use agent::{Agent, AgentHandle};
pub use config::{Addressing, AgentConfig, DEFAULT_PORT, FlowSettings, Mint, NetworkLimits};
pub use config_file::{
    BoundsSection, ConfigFile, ConfigFileError, FlowSourceKind, FlowsSection, HypervisorKind,
    HypervisorSection, InterceptionKind, InterceptionSection, KeysSection, LimitsSection,
    TimingSection, TokenSection, VmSection,
};
pub use error::AgentError;
pub use event::{Event, Observer};
pub use event_file::EventFile;
pub use key_file::{KeyFileError, lab_key, read_key_file};
pub use mark_file::MarkFileError;
pub use observe::{Observation, ObserveError, ObservedVm, observe};
pub use said::{EventLine, Said};
pub use signals::on_termination;
pub use status::{AgentStatus, FlowTotals, InterceptionStatus, SwitchStatus};

/// Runs the README's example with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
