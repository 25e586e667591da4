//! The S-CORE protocol without I/O: a node that answers other servers, decides for the VM that
//! holds the token, and passes the token on.
//!
//! [`Node`] is a pure state machine (sans-IO). It reads no clock, opens no socket, starts no thread and
//! draws no random number; a driver brings it what happened and does what it asks for. The agent
//! of `s-core-agent` and the tests drive the same node.
//!
//! ```
//! use std::sync::Arc;
//! use s_core_model::{Capacity, CostModel, LinkWeights, Rate, ServerId, VmId};
//! use s_core_proto::{Action, Config, Input, Instant, Durable, Node, Report, WhyStayed};
//! use s_core_token::PolicyKind;
//! # use s_core_model::{Level, Levels, ServerIndex};
//! # struct Racks;
//! # impl Levels for Racks {
//! #     fn server_count(&self) -> usize { 2 }
//! #     fn max_level(&self) -> Level { Level::new(1) }
//! #     fn level(&self, a: ServerIndex, b: ServerIndex) -> Level { Level::new((a != b).into()) }
//! #     fn index_of(&self, s: ServerId) -> Option<ServerIndex> { Some(ServerIndex::new(s.get() - 1)) }
//! #     fn server_at(&self, s: ServerIndex) -> ServerId { ServerId::new(s.get() + 1) }
//! # }
//!
//! // One server of two, with one VM; `s-core-topology` has location tables.
//! let (here, vm) = (ServerId::new(1), VmId::new(10));
//! let model = CostModel::new(LinkWeights::new([1.0])?, Racks)?;
//! let config = Config::new(here, model, Arc::from(PolicyKind::Distributed.build()));
//! let mut node = Node::new(Arc::new(config), Durable::default())?;
//!
//! // A driver: tell the node what happened, do what it asks for, tell it the answers.
//! let mut inputs = vec![
//!     Input::Mint { vms: vec![] },
//!     Input::Hosted { vms: vec![(vm, 1024)], free: Capacity { vm_slots: 3, memory_mib: 4096 } },
//! ];
//! let (mut now, mut stayed) = (Instant::ORIGIN, None);
//! while stayed.is_none() {
//!     let input = inputs.pop().unwrap_or_else(|| {
//!         now = node.poll_timeout().expect("the token is here").0; // a real driver waits
//!         Input::Tick
//!     });
//!     node.handle(now, input);
//!     while let Some(action) = node.poll() {
//!         match action {
//!             Action::Measure(vm) => inputs.push(Input::Measured { vm, peers: vec![] }),
//!             Action::Report(Report::Stayed { why, .. }) => stayed = Some(why),
//!             _ => {} // persist the mark, send a message, migrate a VM, …
//!         }
//!     }
//! }
//! assert_eq!(stayed, Some(WhyStayed::NoTraffic));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The types to know
//!
//! - [`Node`] with its [`Config`]; [`Input`]s go in, [`Action`]s come out; [`Report`]s are for people.
//! - [`Message`]: what nodes say to each other; [`wire::Codec`] seals the frames and [`wire::Opener`] opens them.
//! - [`Evaluation`] and [`TargetChoice`]: the migration decision alone, for planners and simulators.
//!
//! # The rules
//!
//! Safety is local; the token only schedules. A server acts on a token only if its mark is above
//! the highest it has seen, which is durable first (R1); a mark goes to exactly one VM, and giving a
//! successor up mints a new epoch (R2); a capacity request carries the mark, fences lower ones and
//! reserves (R3); a stale token is acknowledged and not acted on (R4); every mark that comes raises
//! the receiver's (R6). docs/protocol.md shows messages, phases and the test that guards each rule.
//!
//! # Recovery
//!
//! Whoever hands the token on keeps a copy until its successor has handed it on as well, and makes
//! a new epoch from it when the successor is silent (R5). When both are gone, a server that hears of no token for
//! long claims to make a new one. A migration of unknown outcome blocks its VM until both ends have said where it is.
//!
//! # What it does not do
//!
//! It measures nothing and migrates nothing itself, and it keeps no secrets: [`wire`] proves who sent a
//! frame, not that nobody else reads it.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;

mod decision;
mod message;
mod mutation;
mod node;
mod time;
pub mod wire;

pub use decision::{Candidate, Evaluation, NoTarget, Rules, TargetChoice, UnknownTargetChoice};
pub use message::{Arrival, CapacityAnswer, Demand, Message, QueryId, TokenVerdict};
#[cfg(feature = "mutations")]
pub use mutation::Mutation;
pub use node::{
    Action, BadToken, Bounds, Config, Destination, Durable, Input, InvalidPairShare,
    MigrationLimits, Node, OpenMigration, Outcome, PairShare, Report, TimerKind, Timing,
    UnknownServer, WhySkipped, WhyStayed,
};
pub use time::Instant;
