//! What an operator sets for a node.

use alloc::sync::Arc;
use core::time::Duration;

use s_core_model::{CostModel, MigrationCost, ServerId};
use s_core_token::{Limits, PassingPolicy};

use crate::decision::TargetChoice;

/// The settings of one node; every node of a cluster must have the same cost model and policy.
#[derive(Clone, Debug)]
pub struct Config<L> {
    /// This server.
    pub server: ServerId,
    /// Link weights and the location cost mapping of 4.2.5.
    pub model: CostModel<L>,
    /// Which VM gets the token next.
    pub policy: Arc<dyn PassingPolicy>,
    /// c_m of Eq. 3.2.
    pub migration_cost: MigrationCost,
    /// In which order candidates are asked for room.
    pub target_choice: TargetChoice,
    /// Bounds on a received token.
    pub token_limits: Limits,
    /// How long things may take.
    pub timing: Timing,
    /// How much is remembered and tried.
    pub bounds: Bounds,
}

impl<L> Config<L> {
    /// The thesis's settings for `server`: migrations cost nothing, first fit; the rest as in
    /// [`Timing::default`] and [`Bounds::default`].
    pub fn new(server: ServerId, model: CostModel<L>, policy: Arc<dyn PassingPolicy>) -> Self {
        Self {
            server,
            model,
            policy,
            migration_cost: MigrationCost::ZERO,
            target_choice: TargetChoice::FirstFit,
            token_limits: Limits::default(),
            timing: Timing::default(),
            bounds: Bounds::default(),
        }
    }
}

/// How long a node waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// For the driver to read a VM's rates. Default 5 s.
    pub measurement: Duration,
    /// For the answer to a location or capacity request, before it is sent again. Default 200 ms.
    pub answer: Duration,
    /// For a token to be acknowledged, before it is sent again. Default 2 s.
    pub acknowledgement: Duration,
    /// For a migration. Default 10 min.
    pub migration: Duration,
    /// How long a reservation is kept for a VM that does not come: at least as long as a migration takes. Default 15 min.
    pub reservation: Duration,
    /// How long the token rests with each VM; paces rounds. Default 100 ms.
    pub rest: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            measurement: Duration::from_secs(5),
            answer: Duration::from_millis(200),
            acknowledgement: Duration::from_secs(2),
            migration: Duration::from_secs(600),
            reservation: Duration::from_secs(900),
            rest: Duration::from_millis(100),
        }
    }
}

/// Bounds on a node's memory and patience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How often a request or a token is sent in all before it is given up. Default 4.
    pub attempts: u8,
    /// Locations remembered. Default 65,536.
    pub locations: usize,
    /// Reservations held at a time. Default 1,024.
    pub reservations: usize,
    /// Peers considered for one VM, those with the highest rates. Default 4,096.
    pub peers: usize,
    /// Servers asked for room for one VM. Default 64.
    pub candidates: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            attempts: 4,
            locations: 1 << 16,
            reservations: 1 << 10,
            peers: 1 << 12,
            candidates: 64,
        }
    }
}
