//! A server's clock, which runs too fast or too slow and began at any time.

use std::time::Duration;

use s_core_proto::Instant;

/// World time: how long ago the run began.
pub(super) type Time = Duration;

/// How much slower than the world a clock runs at most, and how much faster: 20 %.
pub(super) const RATE: std::ops::RangeInclusive<u64> = 800..=1200;

#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// When the process started, in world time.
    pub(super) since: Time,
    /// What it showed then.
    pub(super) showed: Duration,
    /// How many of its milliseconds pass in a second.
    pub(super) permille: u32,
}

impl Clock {
    pub(super) fn local(&self, now: Time) -> Instant {
        let passed = now.saturating_sub(self.since);
        Instant::after_origin(self.showed + passed * self.permille / 1000)
    }

    /// When it will show this, or a moment later.
    pub(super) fn world(&self, at: Instant) -> Time {
        let wait = at.since_origin().saturating_sub(self.showed);
        // Far away is far away: a moment that no run reaches, and that does not overflow.
        let wait = wait.min(Duration::from_secs(1 << 20));
        self.since + wait * 1000 / self.permille + Duration::from_nanos(2)
    }

    /// How long this span of its time takes in the world.
    pub(super) fn takes(&self, span: Duration) -> Duration {
        span * 1000 / self.permille
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_due_when_the_world_comes_to_it() {
        for permille in [800, 999, 1000, 1001, 1200] {
            for showed in [0, 1, 999_999_999, u64::MAX / 4] {
                let clock = Clock {
                    since: Duration::from_nanos(12_345),
                    showed: Duration::from_nanos(showed),
                    permille,
                };
                for wait in [0, 1, 7, 1_000_003, 3_600_000_000_000] {
                    let at = Instant::after_origin(clock.showed + Duration::from_nanos(wait));
                    let due = clock.world(at);
                    assert!(clock.local(due) >= at, "{permille} {showed} {wait}");
                    let early = due.saturating_sub(Duration::from_micros(1));
                    assert!(wait < 2000 || clock.local(early) < at);
                }
            }
        }
    }
}
