//! Clocks, the allocator's account, and what many measurements come to.

use std::time::Duration;

use peak_alloc::PeakAlloc;
use rustix::time::{ClockId, clock_gettime};

/// Counts what is allocated.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Runs `work` and tells how many bytes more are allocated after it than before; no other thread may allocate meanwhile.
pub(crate) fn heap_growth<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HEAP.current_usage();
    let value = work();
    (value, HEAP.current_usage().saturating_sub(before))
}

/// For how long this thread has computed.
pub(crate) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(time.tv_sec.unsigned_abs(), nanoseconds)
}

/// Runs `work` and tells how long this thread has computed for it, in seconds, whatever else the machine did meanwhile.
pub(crate) fn cpu_seconds<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let before = thread_time();
    let value = work();
    (value, thread_time().saturating_sub(before).as_secs_f64())
}

/// What several measurements of one thing come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) greatest: f64,
    pub(crate) count: usize,
}

impl Spread {
    /// Of numbers in any order; `None` of none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let (least, greatest) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => values[middle - 1].midpoint(values[middle]),
            _ => values[middle],
        };
        Some(Self {
            least,
            median,
            greatest,
            count: values.len(),
        })
    }
}

/// Seconds as people read them: `1.23 s`, `45.6 ms`, `789 µs`, `12 ns`.
pub(crate) fn seconds(value: f64) -> String {
    let (scale, unit) = unit(value);
    format!("{}\u{a0}{unit}", scaled(value * scale))
}

/// A spread of seconds in the median's unit: `1.23 ms (0.95 to 12.0)`.
pub(crate) fn spread_of_seconds(of: Spread) -> String {
    let (scale, unit) = unit(of.median);
    let [least, median, greatest] =
        [of.least, of.median, of.greatest].map(|value| scaled(value * scale));
    format!("{median}\u{a0}{unit} ({least} to {greatest})")
}

/// What to multiply with, and the unit then.
fn unit(seconds: f64) -> (f64, &'static str) {
    match seconds {
        v if v >= 1.0 => (1.0, "s"),
        v if v >= 1e-3 => (1e3, "ms"),
        v if v >= 1e-6 => (1e6, "µs"),
        _ => (1e9, "ns"),
    }
}

/// Three digits, or all before the point.
fn scaled(value: f64) -> String {
    let decimals = match value {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let check = |values: &[f64], wanted: Option<(f64, f64, f64)>| {
            let spread = Spread::of(values.iter().copied());
            assert_eq!(
                spread.map(|of| (of.least, of.median, of.greatest)),
                wanted,
                "{values:?}"
            );
        };
        check(&[], None);
        check(&[7.0], Some((7.0, 7.0, 7.0)));
        check(&[3.0, 1.0], Some((1.0, 2.0, 3.0)));
        check(&[9.0, 1.0, 2.0], Some((1.0, 2.0, 9.0)));
        check(&[4.0, 1.0, 2.0, 100.0], Some((1.0, 3.0, 100.0)));
    }

    #[test]
    fn times_are_readable() {
        for (value, wanted) in [
            (30.54, "30.5 s"),
            (1.0, "1.00 s"),
            (0.0456, "45.6 ms"),
            (0.000_789_4, "789 µs"),
            (1.5e-8, "15.0 ns"),
            (0.0, "0.00 ns"),
        ] {
            assert_eq!(seconds(value).replace('\u{a0}', " "), wanted);
        }
    }

    #[test]
    fn a_spread_has_one_unit() {
        let check = |values: [f64; 3], wanted: &str| {
            let spread = Spread::of(values).expect("three");
            assert_eq!(spread_of_seconds(spread).replace('\u{a0}', " "), wanted);
        };
        check([0.002, 0.0009, 1.5], "2.00 ms (0.90 to 1500)");
        check([1e-6, 2e-6, 3e-6], "2.00 µs (1.00 to 3.00)");
    }
}
