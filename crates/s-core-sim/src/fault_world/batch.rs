//! Many seeds together.

use std::time::Duration;

use super::{Marks, Outcome, Tally};

/// What the outcomes of many seeds add up to.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Seeds that were run.
    pub seeds: u64,
    /// Those of them in which an invariant did not hold.
    pub failed: Vec<u64>,
    /// What was done to the worlds.
    pub tally: Tally,
    /// What was seen in them.
    pub marks: Marks,
    /// Events.
    pub events: u64,
    /// Visits of a token to a VM.
    pub hops: u64,
    /// VMs that moved.
    pub migrations: u64,
    /// Losses that were made good after the faults.
    pub recoveries: u64,
    /// The largest part of its bound that such a recovery took.
    pub worst_recovery: f64,
    /// The longest such recovery, in world time.
    pub longest_recovery: Duration,
}

impl Batch {
    /// Adds the outcome of a seed.
    pub fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        if outcome.violation.is_some() {
            self.failed.push(outcome.seed);
        }
        self.tally.add_all(&outcome.tally);
        self.marks.add_all(&outcome.marks);
        self.events += outcome.events;
        self.hops += outcome.hops;
        self.migrations += outcome.migrations;
        if let Some((took, bound)) = outcome.recovery {
            self.recoveries += 1;
            let part = took.as_secs_f64() / bound.as_secs_f64();
            self.worst_recovery = self.worst_recovery.max(part);
            self.longest_recovery = self.longest_recovery.max(took);
        }
    }
}
