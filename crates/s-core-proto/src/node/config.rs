//! What an operator sets for a node.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use s_core_model::{CostModel, MigrationCost, ServerId, VmId};
use s_core_token::{Limits, PassingPolicy};

use super::limits::MigrationLimits;
use crate::decision::TargetChoice;
use crate::mutation::Mutation;

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
    /// Ranges of addresses, first and last, that belong to VMs whether or not they have a slot in the token: what a VM
    /// exchanges with them counts against a move as long as their server is not found. Empty, the default: an address
    /// is a VM's if it has a slot or its server is remembered.
    pub vm_addresses: Vec<(VmId, VmId)>,
    /// What keeps VMs where they are whatever they would gain.
    pub limits: MigrationLimits,
    /// Whether the driver asks before a VM arrives ([`Input::Arriving`](super::Input::Arriving)). It should; where it
    /// cannot, a VM for which room is reserved may be on its way, and nobody is told that it is not. Default true.
    pub asks_admission: bool,
    /// A defect to put back, for a test that shall find it.
    #[cfg(feature = "mutations")]
    pub mutation: Option<Mutation>,
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
            vm_addresses: Vec::new(),
            limits: MigrationLimits::default(),
            asks_admission: true,
            #[cfg(feature = "mutations")]
            mutation: None,
        }
    }

    /// Whether this defect has been put back.
    #[cfg(feature = "mutations")]
    pub(super) fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    #[cfg(not(feature = "mutations"))]
    pub(super) const fn has(&self, _: Mutation) -> bool {
        false
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
    /// How long the token rests at the end of a round once [`Bounds::quiet_rounds`] were quiet. Default 10 s.
    pub idle: Duration,
    /// How often whoever holds the token tells the server that keeps a copy (rule R5). Default 1 s.
    pub keep_alive: Duration,
    /// How long a predecessor waits for that before it asks. Default 5 s.
    pub custody: Duration,
    /// How long all servers hear nothing of a token that is alive. Default 10 s.
    pub beacon: Duration,
    /// How long a server hears of no token before it claims to make a new one; more than several beacons. Default 45 s.
    pub silence: Duration,
    /// By how much each server waits longer than the one before it in the location table. Default 250 ms.
    pub stagger: Duration,
    /// How often both ends of a migration of unknown outcome are asked. Default 5 s.
    pub outcome: Duration,
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
            idle: Duration::from_secs(10),
            keep_alive: Duration::from_secs(1),
            custody: Duration::from_secs(5),
            beacon: Duration::from_secs(10),
            silence: Duration::from_secs(45),
            stagger: Duration::from_millis(250),
            outcome: Duration::from_secs(5),
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
    /// Migrations of unknown outcome at a time; with more, none begins. Default 16.
    pub open_migrations: usize,
    /// VMs remembered that asked for a slot. Default 1,024.
    pub newcomers: usize,
    /// After how many quiet rounds the token rests longer. Default 3.
    pub quiet_rounds: u16,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            attempts: 4,
            locations: 1 << 16,
            reservations: 1 << 10,
            peers: 1 << 12,
            candidates: 64,
            open_migrations: 16,
            newcomers: 1 << 10,
            quiet_rounds: 3,
        }
    }
}
