//! placeholder
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod decision;
mod message;
mod node;
mod time;
pub mod wire;

pub use decision::{Candidate, Evaluation, TargetChoice, UnknownTargetChoice};
pub use message::{CapacityAnswer, Demand, Message, QueryId, TokenVerdict};
pub use node::{
    Action, BadToken, Bounds, Config, Destination, Input, Node, Outcome, Report, TimerKind, Timing,
    WhySkipped, WhyStayed,
};
pub use time::Instant;
