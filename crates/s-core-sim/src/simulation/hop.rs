//! What happens while one VM holds the token.

use std::time::Duration;

use s_core_model::{ServerIndex, VmIndex};
use s_core_proto::NoTarget;

/// One VM's turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hop {
    /// The VM that held the token.
    pub holder: VmIndex,
    /// What it decided.
    pub decision: Decision,
    /// Eq. 3.1 afterwards.
    pub total_cost: f64,
    /// Whether a round of the policy began with this hop.
    pub new_round: bool,
    /// Whether a round of the policy ended with this hop.
    pub round_ended: bool,
    /// The simulated time from the token's beginning until the next VM has it; zero without a
    /// [`Timing`](super::Timing).
    pub elapsed: Duration,
}

/// What a VM decided when it held the token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decision {
    /// It moved.
    Migrated(Migration),
    /// It stayed where it was.
    Stayed(WhyStayed),
}

/// Why a VM stayed where it was.
pub type WhyStayed = NoTarget;

/// A migration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Migration {
    /// Which hop of the token it was, from 1.
    pub step: u64,
    /// The VM.
    pub vm: VmIndex,
    /// The server that it left.
    pub source: ServerIndex,
    /// The server that it went to.
    pub target: ServerIndex,
    /// The left side of Eq. 3.2.
    pub gain: f64,
    /// Eq. 3.1 afterwards.
    pub total_cost: f64,
}
