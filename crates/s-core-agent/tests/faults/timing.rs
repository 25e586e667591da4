//! How long things may take here, and what follows from it for recovery (docs/protocol.md, L1).

use std::time::Duration;

use s_core_proto::{Bounds, Timing};

use crate::world::{MIGRATION, VM_MIB};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Some five to fifty times shorter than the defaults, and not so short that a busy machine looks like a fault.
pub(crate) fn timing() -> Timing {
    Timing {
        measurement: ms(300),
        answer: ms(100),
        acknowledgement: ms(300),
        migration: ms(3000),
        reservation: ms(4000),
        rest: ms(60),
        idle: ms(300),
        keep_alive: ms(200),
        custody: ms(1000),
        beacon: ms(1000),
        silence: ms(3500),
        stagger: ms(100),
        outcome: ms(300),
    }
}

/// Longer than each of them.
pub(crate) const LONGEST: Duration = ms(4500);

/// n · a: asking in vain.
fn asking() -> Duration {
    timing().answer * u32::from(Bounds::default().attempts)
}

/// `(U + 1) · (r + n·a) + D · n·k`, with this many VMs out of reach and this many servers.
fn skips(vms: u32, servers: u32) -> Duration {
    let attempts = u32::from(Bounds::default().attempts);
    (vms + 1) * (timing().rest + asking()) + servers * attempts * timing().acknowledgement
}

/// Within which the token is back after its holder was lost.
pub(crate) fn first(vms: u32, servers: u32) -> Duration {
    timing().custody + asking() + skips(vms, servers)
}

/// Within which it is back after its holder and the one before were lost, or there never was one.
pub(crate) fn second(vms: u32, servers: u32, of: u32) -> Duration {
    timing().silence + (of - 1) * timing().stagger + asking() + skips(vms, servers)
}

/// Within which one of two tokens is left when they can hear of each other: whichever sends the next beacon ends
/// the other, once its holder does not migrate any more. One beacon may be lost while addresses are resolved again.
pub(crate) fn healing() -> Duration {
    2 * timing().beacon + timing().answer + MIGRATION.duration(VM_MIB)
}
