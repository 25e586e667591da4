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
    OtherSource,
    Replayed,
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
            Self::OtherSource => "not sent by its sender",
            Self::Replayed => "replayed",
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
            FrameError::UnknownSender(_) => Self::UnknownSender,
            FrameError::OtherSource { .. } => Self::OtherSource,
            FrameError::Replayed { .. } => Self::Replayed,
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use tracing::span::{Attributes, Id, Record};
    use tracing::{Level, Metadata, Subscriber};

    use super::*;

    /// Counts warnings.
    #[derive(Clone, Default)]
    struct Warnings(Arc<AtomicU64>);

    impl Subscriber for Warnings {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() == Level::WARN
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &tracing::Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn each_reason_is_counted_always_and_logged_now_and_then() {
        let (refusals, warnings) = (Refusals::default(), Warnings::default());
        tracing::subscriber::with_default(warnings.clone(), || {
            for _ in 0..1000 {
                refusals.count(Refusal::Replayed);
                refusals.count(Refusal::OtherSource);
            }
        });
        assert_eq!(warnings.0.load(Ordering::Relaxed), 2, "one for each");
        let totals = [("not sent by its sender", 1000), ("replayed", 1000)];
        assert_eq!(refusals.totals(), BTreeMap::from(totals));
    }
}
