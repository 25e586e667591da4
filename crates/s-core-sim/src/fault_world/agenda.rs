//! What is going to happen, in the order in which it will.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use bytes::Bytes;
use s_core_model::VmId;
use s_core_proto::{Message, Outcome};

use super::clock::Time;

/// Something that happens at a moment. Servers are named by their index.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A frame comes to a server.
    Frame {
        from: usize,
        to: usize,
        frame: Bytes,
        /// What was sealed in it.
        sent: Message,
        /// Whether a bit was flipped on the way.
        damaged: bool,
    },
    /// A node's timer is due.
    Timer { host: usize, number: u64 },
    /// The agent lists its VMs; `again` after a while if it does so regularly.
    List {
        host: usize,
        process: u64,
        again: bool,
    },
    /// The rates of a VM are read.
    Rates { host: usize, process: u64, vm: VmId },
    /// A VM begins to arrive at the target of its migration.
    Arrive { migration: usize },
    /// The migration is over, one way or the other.
    End { migration: usize },
    /// The source's agent waits no longer.
    Deadline { migration: usize },
    /// The source's agent is told.
    Tell { migration: usize, outcome: Outcome },
    /// The source's agent is told once more, and wrongly, that the VM stayed.
    TellLate { migration: usize },
    /// The target's agent sees that an arrival which it let in has ended.
    Arrived { host: usize, process: u64, vm: VmId },
    /// An agent that was told to stop is gone.
    Stop { host: usize, process: u64 },
    /// A server's agent starts again.
    Restart { host: usize },
    /// A fault is drawn.
    Fault,
    /// A partition ends.
    Heal { number: u64 },
    /// The run goes on to its next phase.
    Phase,
}

#[derive(Clone, Debug)]
struct Entry {
    at: Time,
    number: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// Events of the same moment happen in the order in which they were put in.
#[derive(Clone, Debug, Default)]
pub(super) struct Agenda {
    entries: BinaryHeap<Reverse<Entry>>,
    put_in: u64,
}

impl Agenda {
    pub(super) fn put(&mut self, at: Time, event: Event) {
        self.put_in += 1;
        let number = self.put_in;
        self.entries.push(Reverse(Entry { at, number, event }));
    }

    pub(super) fn next(&mut self) -> Option<(Time, Event)> {
        let Reverse(entry) = self.entries.pop()?;
        Some((entry.at, entry.event))
    }
}
