//! The window over which rates are averages: two half-window buckets on a fixed grid of time.
//!
//! Times are nanoseconds since the caller's origin. Bucket `k` holds `[k·W/2, (k+1)·W/2)`. At any
//! moment the window is the bucket that runs and the one before it, so it reaches back between W/2
//! and W, and its bytes and its length are both exact.

use core::time::Duration;

/// Nanoseconds of `time`; times beyond 584 years are all the same.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The grid of half-window buckets, seen from one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// The length of a bucket.
    half: u64,
    /// Where the bucket that runs begins.
    newer: u64,
}

impl Window {
    pub(crate) fn new(length: Duration, now: u64) -> Self {
        let half = nanos(length) / 2;
        Self { half, newer: 0 }.at(now)
    }

    /// The same grid seen from `now`, which is no earlier than the moment before.
    pub(crate) fn at(self, now: u64) -> Self {
        // The common case, many records of one poll, needs no division.
        if now - self.newer < self.half {
            return self;
        }
        Self {
            half: self.half,
            newer: now - now % self.half,
        }
    }

    /// Where the window begins.
    pub(crate) const fn start(&self) -> u64 {
        self.newer.saturating_sub(self.half)
    }
}

/// Bytes of two adjacent buckets; which ones, the time of the last addition tells.
#[derive(Clone, Copy)]
pub(crate) struct Buckets {
    older: u64,
    newer: u64,
}

impl Buckets {
    pub(crate) const EMPTY: Self = Self { older: 0, newer: 0 };

    /// The buckets as `window` sees them; `last` is when bytes were last added.
    pub(crate) const fn seen_from(self, window: &Window, last: u64) -> Self {
        if last >= window.newer {
            self
        } else if last >= window.start() {
            Self {
                older: self.newer,
                newer: 0,
            }
        } else {
            Self::EMPTY
        }
    }

    pub(crate) const fn add(&mut self, bytes: u64) {
        self.newer = self.newer.saturating_add(bytes);
    }

    pub(crate) const fn total(&self) -> u64 {
        self.older.saturating_add(self.newer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Window of 10: buckets of 5. Adds (time, bytes), then asks at the last moment.
    #[track_caller]
    fn check(adds: &[(u64, u64)], now: u64, want_start: u64, want_bytes: u64) {
        let mut window = Window::new(Duration::from_nanos(10), 0);
        let (mut buckets, mut last) = (Buckets::EMPTY, 0);
        for &(at, bytes) in adds {
            window = window.at(at);
            buckets = buckets.seen_from(&window, last);
            buckets.add(bytes);
            last = at;
        }
        window = window.at(now);
        assert_eq!(window.start(), want_start);
        assert_eq!(buckets.seen_from(&window, last).total(), want_bytes);
    }

    #[test]
    fn window_holds_the_running_bucket_and_the_one_before() {
        check(&[], 0, 0, 0);
        check(&[(0, 1)], 0, 0, 1);
        check(&[(0, 1)], 4, 0, 1);
        check(&[(0, 1)], 9, 0, 1);
        check(&[(0, 1)], 10, 5, 0);
        check(&[(4, 1), (5, 2)], 9, 0, 3);
        check(&[(4, 1), (5, 2)], 10, 5, 2);
        check(&[(4, 1), (5, 2), (10, 4)], 14, 5, 6);
        check(&[(4, 1), (5, 2), (15, 4)], 15, 10, 4);
        check(&[(4, 1), (19, 4)], 24, 15, 4);
        check(&[(4, 1), (19, 4)], 25, 20, 0);
        check(&[(4, u64::MAX), (5, 2)], 9, 0, u64::MAX);
        check(&[(0, 1)], u64::MAX, u64::MAX - 5, 0);
    }
}
