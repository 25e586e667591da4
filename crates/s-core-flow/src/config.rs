//! The parameters of a flow table and what makes them wrong.

use core::time::Duration;

/// The most entries that a table may be told to hold.
pub const MAX_LIMIT: usize = i32::MAX as usize;

/// The shortest window over which rates may be asked for.
pub const MIN_WINDOW: Duration = Duration::from_millis(1);

/// The parameters of a [`FlowTable`](crate::FlowTable).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowTableConfig {
    /// The most entries kept, 1 to [`MAX_LIMIT`]. A flow and its reverse are one entry. Nothing is
    /// allocated in advance.
    pub limit: usize,
    /// How far back rates look, at least [`MIN_WINDOW`]: rates are averages over the last half to
    /// whole of it. Thesis 5.1.4 wants it long enough not to answer to bursts; a window of less
    /// than some polls also makes them depend on when the polls fall.
    pub window: Duration,
    /// After how long without a record [`expire`](crate::FlowTable::expire) drops an entry: at
    /// least `window`, so that no traffic that rates still count is dropped.
    pub idle_timeout: Duration,
    /// Seeds the hash. Tenants choose the keys, so draw it at random at each start and keep it to
    /// yourself.
    pub seed: u64,
}

impl FlowTableConfig {
    pub(crate) fn validate(&self) -> Result<(), InvalidFlowTableConfig> {
        let Self {
            limit,
            window,
            idle_timeout,
            seed: _,
        } = *self;
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(InvalidFlowTableConfig::Limit { limit });
        }
        if window < MIN_WINDOW {
            return Err(InvalidFlowTableConfig::Window { window });
        }
        if idle_timeout < window {
            return Err(InvalidFlowTableConfig::IdleTimeout {
                idle_timeout,
                window,
            });
        }
        Ok(())
    }
}

/// A [`FlowTableConfig`] that no table can be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFlowTableConfig {
    /// `limit` is zero or above [`MAX_LIMIT`].
    #[error("flow table limit {limit} is out of range: choose 1 to {MAX_LIMIT} entries")]
    Limit {
        /// What was asked for.
        limit: usize,
    },
    /// `window` is below [`MIN_WINDOW`].
    #[error("rate window {window:?} is too short: choose at least {MIN_WINDOW:?}")]
    Window {
        /// What was asked for.
        window: Duration,
    },
    /// `idle_timeout` is below `window`.
    #[error(
        "idle timeout {idle_timeout:?} is shorter than the rate window {window:?}: \
         flows would be dropped while rates still count them; choose at least the window"
    )]
    IdleTimeout {
        /// What was asked for.
        idle_timeout: Duration,
        /// The window asked for with it.
        window: Duration,
    },
}
