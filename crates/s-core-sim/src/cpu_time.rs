//! The clock that `seconds` of a result is measured with.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Runs `work` and measures how long this thread has computed for it, whatever else the machine did meanwhile.
pub(crate) fn measure<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let before = thread_time();
    let value = work();
    (value, thread_time().saturating_sub(before))
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // A thread's CPU time is never negative, and nanoseconds stay below 10⁹.
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}
