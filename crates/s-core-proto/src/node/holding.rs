//! The token while it is here, and what is being waited for.

use alloc::vec::Vec;

use s_core_model::{Rate, ServerId, VmId};
use s_core_token::{Mark, Token};

use super::io::{OpenMigration, TimerKind};
use crate::message::QueryId;
use crate::time::Instant;

/// A token, the peers of its holder, and the step that the visit has come to.
///
/// A visit goes through the phases in the order in which they are listed; `Asking` and `Migrating`
/// are left out when the VM stays.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Holding {
    pub(super) token: Token,
    pub(super) peers: Vec<Peer>,
    /// The rate of the peers beyond the bound on peers.
    pub(super) uncounted: Rate,
    /// The last mark under which it was held, and which is not on its way to anybody.
    pub(super) base: Mark,
    /// Who keeps a copy of it until it is handed on, if it came from another server.
    pub(super) from: Option<Predecessor>,
    pub(super) phase: Phase,
}

/// The server that the token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Predecessor {
    pub(super) server: ServerId,
    /// The mark under which it came.
    pub(super) mark: Mark,
    /// When to tell it again that the token is here.
    pub(super) tell_at: Instant,
}

/// A VM that the holder exchanges data with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Peer {
    pub(super) vm: VmId,
    pub(super) rate: Rate,
    /// Where it is, once its server has said so.
    pub(super) server: Option<ServerId>,
    /// How many answers have pointed elsewhere.
    pub(super) redirects: u8,
}

/// A server that is worth a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Offer {
    pub(super) server: ServerId,
    pub(super) gain: Cost,
}

/// A finite cost in a state that can be compared and hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cost(u64);

impl Cost {
    pub(super) fn new(cost: f64) -> Self {
        Self(cost.to_bits())
    }

    pub(super) fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// A request that is repeated until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Attempt {
    pub(super) number: u8,
    pub(super) until: Instant,
}

impl Attempt {
    /// Whether to try once more; if so, until when.
    pub(super) fn again(&mut self, until: Instant, attempts: u8) -> bool {
        let more = self.number < attempts;
        if more {
            self.number += 1;
            self.until = until;
        }
        more
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// The driver reads the holder's rates.
    Measuring { until: Instant },
    /// The peers' servers are asked for; the query of peer i is `first_query + i`.
    Locating {
        first_query: QueryId,
        attempt: Attempt,
    },
    /// The first of the offers is asked for room.
    Asking {
        /// Still to be asked, the current one last.
        offers: Vec<Offer>,
        asked: Vec<ServerId>,
        query: QueryId,
        cost_before: Cost,
        attempt: Attempt,
    },
    /// The holder is on its way: see [`InFlight`].
    Migrating { until: Instant },
    /// The next VM is known; the token rests.
    Resting { until: Instant },
    /// The next VM's server is asked for.
    Seeking {
        query: QueryId,
        redirects: u8,
        /// How often the next VM turned out not to be where it was sought.
        moved: u8,
        attempt: Attempt,
    },
    /// The token was sent and is not yet acknowledged.
    Handing {
        server: ServerId,
        /// As in `Seeking`.
        moved: u8,
        attempt: Attempt,
    },
}

impl Holding {
    pub(super) fn timer(&self) -> (Instant, TimerKind) {
        match &self.phase {
            Phase::Measuring { until } => (*until, TimerKind::Measurement),
            Phase::Locating { attempt, .. } | Phase::Seeking { attempt, .. } => {
                (attempt.until, TimerKind::Location)
            }
            Phase::Asking { attempt, .. } => (attempt.until, TimerKind::Capacity),
            Phase::Migrating { until } => (*until, TimerKind::Migration),
            Phase::Resting { until } => (*until, TimerKind::Rest),
            Phase::Handing { attempt, .. } => (attempt.until, TimerKind::Acknowledgement),
        }
    }

    /// Whether the holder is still to be decided for, and so has to be here.
    pub(super) fn is_deciding(&self) -> bool {
        matches!(
            self.phase,
            Phase::Measuring { .. } | Phase::Locating { .. } | Phase::Asking { .. }
        )
    }

    /// Whether the rates of this VM are waited for.
    pub(super) fn is_measuring(&self, vm: VmId) -> bool {
        matches!(self.phase, Phase::Measuring { .. }) && self.token.holder_id() == vm
    }

    pub(super) fn is_migrating(&self) -> bool {
        matches!(self.phase, Phase::Migrating { .. })
    }
}

/// A migration that the driver has been told to make, until it says how it ended. It outlives the
/// visit in which it was decided, and the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct InFlight {
    pub(super) vm: VmId,
    pub(super) offer: Offer,
    pub(super) cost_before: Cost,
    pub(super) mark: Mark,
}

impl InFlight {
    pub(super) fn open(&self) -> OpenMigration {
        OpenMigration {
            vm: self.vm,
            target: self.offer.server,
            mark: self.mark,
        }
    }
}
