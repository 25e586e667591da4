//! Workloads that the benches share.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Runs `work`, and tells how long this thread has computed for it, whatever else the machine did meanwhile.
pub fn cpu_time<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let before = thread_time();
    let value = work();
    (value, thread_time().saturating_sub(before))
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Duration::new(time.tv_sec.unsigned_abs(), nanoseconds)
}
