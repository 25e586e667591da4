//! How long a lost token may take to be acted on again (invariant L1).

use std::time::Duration;

use s_core_proto::{Bounds, Timing};

/// What stands in the token's way when it is made again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Obstacles {
    /// Servers in the location table.
    pub servers: u32,
    /// VMs that follow in the token one after the other and whose server does not answer, or that are gone.
    pub unreachable_vms: u32,
    /// Servers that do not answer and are remembered for such VMs.
    pub dead_servers: u32,
}

/// The bound of L1 by the two lines of recovery (rule R5), for clocks that run as they should and messages
/// that take no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryBound {
    /// The holder is gone and its predecessor is there: custody + attempts × answer, and what is passed over then.
    pub first_line: Duration,
    /// Both are gone: silence + stagger × (servers − 1) + attempts × answer, and what is passed over then.
    pub second_line: Duration,
}

/// The longest time from the loss of a token until a VM that can be reached holds it, with these settings.
///
/// What is passed over takes (unreachable VMs + 1) × (rest + attempts × answer) + dead servers × attempts ×
/// acknowledgement. The second line takes as much again for each server that dies while it claims.
///
/// ```
/// use std::time::Duration;
/// use s_core_proto::{Bounds, Timing};
/// use s_core_sim::fault_world::{Obstacles, recovery_bound};
///
/// let obstacles = Obstacles { servers: 4, unreachable_vms: 16, dead_servers: 1 };
/// let bound = recovery_bound(&Timing::default(), &Bounds::default(), obstacles);
/// assert_eq!(bound.first_line, Duration::from_millis(29_100));
/// assert_eq!(bound.second_line, Duration::from_millis(69_850));
/// ```
pub fn recovery_bound(timing: &Timing, bounds: &Bounds, obstacles: Obstacles) -> RecoveryBound {
    let attempts = u32::from(bounds.attempts);
    let asked = timing.answer * attempts;
    let passed_over = (timing.rest + asked) * (obstacles.unreachable_vms + 1)
        + timing.acknowledgement * attempts * obstacles.dead_servers;
    let staggers = obstacles.servers.saturating_sub(1);
    RecoveryBound {
        first_line: timing.custody + asked + passed_over,
        second_line: timing.silence + timing.stagger * staggers + asked + passed_over,
    }
}
