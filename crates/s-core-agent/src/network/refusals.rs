//! What was refused, by reason, counted and now and then logged.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use s_core_proto::wire::FrameError;

use crate::clock::Throttle;

/// How often a reason is logged at most.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Why a datagram, frame or connection was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Refusal {
    NotAFrame,
    UnknownVersion,
    TooLong,
    UnknownKey,
    WrongTag,
    OtherCluster,
    NotForUs,
    BadBody,
    UnknownSender,
    TokenInDatagram,
    CutOff,
    TooSlow,
    TooMany,
    Busy,
}

impl Refusal {
    const fn name(self) -> &'static str {
        match self {
            Self::NotAFrame => "not a frame",
            Self::UnknownVersion => "unknown version",
            Self::TooLong => "too long",
            Self::UnknownKey => "unknown key",
            Self::WrongTag => "wrong tag",
            Self::OtherCluster => "other cluster",
            Self::NotForUs => "not for this server",
            Self::BadBody => "bad body",
            Self::UnknownSender => "sender not in the location table",
            Self::TokenInDatagram => "token in a datagram",
            Self::CutOff => "cut off",
            Self::TooSlow => "too slow",
            Self::TooMany => "too many connections",
            Self::Busy => "too many messages",
        }
    }
}

impl From<FrameError> for Refusal {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::UnknownVersion(_) => Self::UnknownVersion,
            FrameError::TooLong { .. } => Self::TooLong,
            FrameError::UnknownKey(_) => Self::UnknownKey,
            FrameError::WrongTag => Self::WrongTag,
            FrameError::OtherCluster(_) => Self::OtherCluster,
            FrameError::OwnFrame | FrameError::OtherReceiver(_) => Self::NotForUs,
            FrameError::Body(_) | FrameError::ReservedByte(_) => Self::BadBody,
            _ => Self::NotAFrame,
        }
    }
}

/// The counts of all refusals.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<Refusal, Count>>);

#[derive(Debug)]
struct Count {
    total: u64,
    log: Throttle,
}

impl Refusals {
    pub(crate) fn count(&self, refusal: Refusal) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(refusal).or_insert(Count {
            total: 0,
            log: Throttle::new(LOG_INTERVAL),
        });
        count.total += 1;
        if count.log.permits() {
            tracing::warn!(reason = refusal.name(), total = count.total, "refused");
        }
    }

    /// How often each reason has occurred.
    pub(crate) fn totals(&self) -> BTreeMap<&'static str, u64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total = |(refusal, count): (&Refusal, &Count)| (refusal.name(), count.total);
        counts.iter().map(total).collect()
    }
}
