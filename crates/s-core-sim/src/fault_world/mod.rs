//! The fault world: real [`Node`](s_core_proto::Node)s over emulated hypervisors in a world with a time of its own,
//! in which everything goes wrong that can.
//!
//! One 64-bit seed draws all: the data centre, the settings, how often what goes wrong, and each fault. A run begins
//! with faults, under which nothing bad may happen (the invariants S1 to S7, after every event); then they end, and
//! something good has to happen (L1 to L4); at last the holder of the token is taken away for good, and the time until
//! another VM holds it is compared with [`recovery_bound`].
//!
//! ```
//! use s_core_sim::fault_world::{Options, run};
//!
//! let outcome = run(7, &Options::default());
//! assert!(outcome.violation.is_none());
//! assert_eq!(outcome.trace_hash, run(7, &Options::default()).trace_hash);
//! ```
//!
//! # The types to know
//!
//! - [`run`] with its [`Options`] and the [`Outcome`]; [`Batch`] adds outcomes up.
//! - [`Harm`]: what is done to servers, messages and VMs. [`Sometimes`]: what has to have happened in a batch, which has
//!   tested nothing otherwise.

mod agenda;
mod batch;
mod bound;
mod clock;
#[cfg(feature = "mutations")]
mod defect;
mod describe;
mod door;
mod draw;
mod frames;
mod host;
mod hypervisor;
mod invariants;
mod knobs;
mod nemesis;
mod network;
mod notes;
mod phases;
mod setting;
mod sometimes;
mod tally;
mod trace;
mod truth;
mod world;

use std::fmt;
use std::time::Duration;

pub use batch::Batch;
pub use bound::{Obstacles, RecoveryBound, recovery_bound};
#[cfg(feature = "mutations")]
pub use defect::{Defect, Found};
pub use sometimes::{Marks, Sometimes};
pub use tally::{Harm, Tally};
use world::World;

/// How many there are; drawn where it is not said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Servers, at least 2; else 3 to 8.
    pub servers: Option<usize>,
    /// VMs at the begin, at least 2; else 4 to 40.
    pub vms: Option<usize>,
}

/// How to run a seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How many servers and VMs.
    pub size: Size,
    /// Whether to write down what happens.
    pub trace: bool,
    /// A defect to put back, which the invariants have to find.
    #[cfg(feature = "mutations")]
    pub defect: Option<Defect>,
}

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which: the name that docs/testing.md lists.
    pub invariant: &'static str,
    /// What was so instead.
    pub what: String,
    /// When, since the run began.
    pub at: Duration,
    /// After how many events.
    pub events: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            invariant,
            what,
            at,
            events,
        } = self;
        write!(f, "{invariant} at {at:?}, event {events}: {what}")
    }
}

/// What came of a seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The first invariant that did not hold; the run ended there.
    pub violation: Option<Violation>,
    /// The same for the same seed and options; another as soon as anything happens otherwise.
    pub trace_hash: u64,
    /// What happened, a line each: seconds, server, event. Empty unless asked for.
    pub trace: Vec<String>,
    /// What was done to the world.
    pub tally: Tally,
    /// What was seen.
    pub marks: Marks,
    /// Events.
    pub events: u64,
    /// Visits of a token to a VM.
    pub hops: u64,
    /// VMs that moved.
    pub migrations: u64,
    /// From the last loss to the next visit, and its bound, if the run came so far.
    pub recovery: Option<(Duration, Duration)>,
}

/// Runs a seed until it is over or an invariant does not hold.
pub fn run(seed: u64, options: &Options) -> Outcome {
    let mut world = World::new(seed, options);
    world.run();
    let recovery = world.settling.lost.filter(|_| world.violation.is_none());
    Outcome {
        seed,
        trace_hash: world.trace.hash(),
        trace: world.trace.lines.take().unwrap_or_default(),
        tally: world.tally,
        marks: world.marks,
        events: world.events,
        hops: world.hops,
        migrations: world.migrations,
        recovery: recovery.map(|(at, bound)| (world.now.saturating_sub(at), bound)),
        violation: world.violation,
    }
}
