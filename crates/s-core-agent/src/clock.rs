//! The time that an agent tells its node and its flow table.

use std::time::{Duration, Instant};

/// The system's monotonic clock, from when the agent started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Duration {
        self.0.elapsed()
    }
}

/// Lets something happen at once, and then at most once in a span of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Throttle {
    span: Duration,
    last: Option<Instant>,
}

impl Throttle {
    pub(crate) const fn new(span: Duration) -> Self {
        Self { span, last: None }
    }

    /// Whether it may happen now; if so, it counts as having happened.
    pub(crate) fn permits(&mut self) -> bool {
        let now = Instant::now();
        let permitted = self.last.is_none_or(|last| now - last >= self.span);
        if permitted {
            self.last = Some(now);
        }
        permitted
    }
}
