//! What time it is in the emulated data centre.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Tells the time and waits.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time since an arbitrary origin; it never falls.
    fn now(&self) -> Duration;

    /// Returns once `span` has passed.
    fn sleep(&self, span: Duration);
}

/// The system's clock; its origin is when it was made.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Instant);

impl SystemClock {
    /// A clock that starts at 0 now.
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, span: Duration) {
        thread::sleep(span);
    }
}

/// A clock that stands still until it is advanced. Clones show the same time.
///
/// Who sleeps by it does not wait, but advances it.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that stands at 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `span` pass; the clock ends after some 584 years and stands still from then on.
    pub fn advance(&self, span: Duration) {
        let span = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let later = |now: u64| Some(now.saturating_add(span));
        // The closure always has a new value, so that the update cannot fail.
        let _ = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, later);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::SeqCst))
    }

    fn sleep(&self, span: Duration) {
        self.advance(span);
    }
}
