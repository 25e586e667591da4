//! How much may be sent by now.

use std::time::Duration;

/// Credit in bytes that grows at a rate, up to a bound: what could not be sent while the network stood still is not
/// made up for beyond it. Times are since any one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pace {
    /// Bytes per second.
    rate: f64,
    most: f64,
    credit: f64,
    at: Duration,
}

impl Pace {
    /// Without credit at `now`, growing to at most `most` bytes.
    pub(super) const fn new(rate: f64, most: f64, now: Duration) -> Self {
        Self {
            rate,
            most,
            credit: 0.0,
            at: now,
        }
    }

    /// What may be sent at `now`. A time before the last one adds nothing.
    pub(super) fn credit(&mut self, now: Duration) -> f64 {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.credit = (self.credit + self.rate * passed).min(self.most);
        self.at = self.at.max(now);
        self.credit
    }

    /// Takes what was sent, also more than there is.
    pub(super) fn spend(&mut self, bytes: f64) {
        self.credit -= bytes;
    }

    /// When there will be credit for `bytes`; never if that is beyond the bound or nothing grows.
    pub(super) fn due(&self, bytes: f64) -> Option<Duration> {
        let missing = bytes - self.credit;
        if missing <= 0.0 {
            return Some(self.at);
        }
        if bytes > self.most {
            return None;
        }
        Duration::try_from_secs_f64(missing / self.rate)
            .ok()
            .and_then(|wait| self.at.checked_add(wait))
    }

    /// Goes on with another rate and bound; credit stays within it.
    pub(super) fn change(&mut self, rate: f64, most: f64, now: Duration) {
        let credit = self.credit(now).min(most);
        *self = Self {
            rate,
            most,
            credit,
            at: self.at,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn credit_grows_to_its_bound() {
        let mut pace = Pace::new(1000.0, 2500.0, SECOND);
        assert_eq!(pace.credit(SECOND), 0.0);
        assert_eq!(pace.due(500.0), Some(SECOND * 3 / 2));
        assert_eq!(pace.credit(SECOND * 2), 1000.0);
        pace.spend(400.0);
        assert_eq!(pace.credit(SECOND), 600.0);
        assert_eq!(pace.due(600.0), Some(SECOND * 2));
        assert_eq!(pace.credit(SECOND * 100), 2500.0);
        assert_eq!(pace.due(2501.0), None);
        pace.change(10.0, 100.0, SECOND * 100);
        assert_eq!(pace.credit(SECOND * 100), 100.0);
        assert_eq!(Pace::new(0.0, 10.0, SECOND).due(1.0), None);
    }

    proptest! {
        /// Whoever spends as credit allows has sent rate × time, within one piece, however the times fall.
        #[test]
        fn the_rate_is_kept(
            rate in 100.0..1e8f64,
            piece in 1.0..1e5f64,
            waits in prop::collection::vec(0..50u64, 1..200),
        ) {
            let most = rate + piece;
            let mut pace = Pace::new(rate, most, Duration::ZERO);
            let (mut now, mut sent) = (Duration::ZERO, 0.0);
            for wait in waits {
                now += Duration::from_millis(wait);
                while pace.credit(now) >= piece {
                    pace.spend(piece);
                    sent += piece;
                }
            }
            let wanted = rate * now.as_secs_f64();
            prop_assert!(sent <= wanted * 1.000_001 + 1.0, "{sent} of {wanted}");
            prop_assert!(sent >= wanted * 0.999_999 - piece - 1.0, "{sent} of {wanted}");
        }

        #[test]
        fn what_is_due_is_there(rate in 1.0..1e9f64, bytes in 1.0..1e6f64) {
            let mut pace = Pace::new(rate, 2e6, SECOND);
            let due = pace.due(bytes).unwrap();
            prop_assert!(pace.credit(due + Duration::from_nanos(1)) >= bytes * (1.0 - 1e-9) - rate * 1e-9);
        }
    }
}
