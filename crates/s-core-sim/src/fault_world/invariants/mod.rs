//! What must hold after every event: a file each.

mod l1;
mod l2;
mod l3;
mod l4;
mod no_needless_epoch;
mod once;
mod r2;
mod reservations;
mod s1;
mod s2;
mod s3;
mod s4;
mod s5;
mod s6;
mod s7;
mod tag_first;

use s_core_proto::wire::{FrameError, Opened};
use s_core_proto::{Action, Input, Message};

use super::truth::Migration;
use super::world::World;

/// Something that an invariant may look at when it happens.
#[derive(Debug)]
pub(super) enum Seen<'a> {
    /// An event is over.
    Event,
    /// A server's agent has started.
    Started { host: usize },
    /// A server's agent is gone.
    Stopped { host: usize },
    /// A node is about to be told this.
    Input { host: usize, input: &'a Input },
    /// A node wants this; a mark that is to be durable is so by now.
    Action { host: usize, action: &'a Action },
    /// A node has been told something, and all that it wanted has been done.
    Handled { host: usize },
    /// A frame came.
    Opened {
        to: usize,
        sent: &'a Message,
        damaged: bool,
        opened: &'a Result<Opened, FrameError>,
    },
    /// A hypervisor is told to migrate; the migration is not yet among those under way.
    MigrationBegins {
        host: usize,
        migration: &'a Migration,
    },
    /// A VM runs elsewhere from now on.
    Moved {
        migration: &'a Migration,
        cost_before: f64,
    },
    /// Nothing moves any more, and nothing is pending.
    Settled,
}

/// Watches a run; says what is wrong.
pub(super) trait Invariant {
    /// The rule's or the invariant's name in docs/protocol.md.
    fn name(&self) -> &'static str;

    fn check(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String>;
}

pub(super) fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(s1::ActedOnOnce::default()),
        Box::new(s2::OneHome),
        Box::new(s3::WithinCapacity),
        Box::new(s4::MarksRise::default()),
        Box::new(s5::DecisionsAreRight::default()),
        Box::new(s6::CostFalls::default()),
        Box::new(s7::RoundTrip),
        Box::new(tag_first::TagFirst),
        Box::new(once::OpenedOnce::default()),
        Box::new(r2::OneVmPerMark::default()),
        Box::new(reservations::Released::default()),
        Box::new(l1::Recovers::default()),
        Box::new(l2::NobodyStarves::default()),
        Box::new(l3::LocalOptimum),
        Box::new(l4::OneEpoch),
        Box::new(no_needless_epoch::Quiet),
    ]
}
