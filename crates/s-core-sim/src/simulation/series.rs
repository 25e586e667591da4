//! How a run went, as points of a curve.

use std::time::Duration;

use super::{Decision, Hop};

/// One point of a curve: how things were after some hop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// How many times a VM had held the token.
    pub hops: u64,
    /// The simulated time; zero without a [`Timing`](super::Timing).
    pub elapsed: Duration,
    /// Eq. 3.1.
    pub cost: f64,
    /// How many rounds had been begun.
    pub rounds: u64,
    /// How many migrations there had been.
    pub migrations: u64,
    /// Whether a round ended with this hop.
    pub round_ended: bool,
}

/// Points of a run, spread evenly over its hops however long it becomes (Fig. 5.2).
///
/// The beginning, the ends of rounds and the last hop observed are always among them.
#[derive(Clone, Debug)]
pub struct Series {
    /// Those to keep, in the order of their hops.
    samples: Vec<Sample>,
    last: Sample,
    /// Every how many hops a point is taken.
    stride: u64,
    /// How many points other than rounds' ends there are.
    evenly: usize,
    most: usize,
}

impl Series {
    /// The points of a run that begins with this cost: at most `most`, but at least two, and besides
    /// these the ends of rounds.
    pub fn new(initial_cost: f64, most: usize) -> Self {
        let begin = Sample {
            hops: 0,
            elapsed: Duration::ZERO,
            cost: initial_cost,
            rounds: 0,
            migrations: 0,
            round_ended: false,
        };
        Self {
            samples: vec![begin],
            last: begin,
            stride: 1,
            evenly: 1,
            most: most.max(2),
        }
    }

    /// Takes the next hop into account; all of a run's hops are to be shown in their order.
    pub fn observe(&mut self, hop: &Hop) {
        let migrated = matches!(hop.decision, Decision::Migrated(_));
        self.last = Sample {
            hops: self.last.hops + 1,
            elapsed: hop.elapsed,
            cost: hop.total_cost,
            rounds: self.last.rounds + u64::from(hop.new_round),
            migrations: self.last.migrations + u64::from(migrated),
            round_ended: hop.round_ended,
        };
        let evenly = self.last.hops.is_multiple_of(self.stride) && !hop.round_ended;
        if evenly || hop.round_ended {
            self.samples.push(self.last);
        }
        self.evenly += usize::from(evenly);
        if self.evenly > self.most {
            self.thin();
        }
    }

    /// Takes points half as often, and leaves out those that would not have been taken then.
    fn thin(&mut self) {
        self.stride *= 2;
        let stride = self.stride;
        self.samples
            .retain(|sample| sample.round_ended || sample.hops.is_multiple_of(stride));
        let evenly = self.samples.iter().filter(|sample| !sample.round_ended);
        self.evenly = evenly.count();
    }

    /// The points in the order of their hops.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples = self.samples.clone();
        if samples.last().is_none_or(|last| last.hops < self.last.hops) {
            samples.push(self.last);
        }
        samples
    }
}

#[cfg(test)]
mod tests {
    use s_core_model::VmIndex;

    use super::super::WhyStayed;
    use super::*;

    fn hop(number: u64, round: u64) -> Hop {
        Hop {
            holder: VmIndex::new(0),
            decision: Decision::Stayed(WhyStayed::NoGain),
            total_cost: 1e6 - number as f64,
            new_round: number % round == 1,
            round_ended: number.is_multiple_of(round),
            elapsed: Duration::from_secs(number),
        }
    }

    #[test]
    fn keeps_few_points_but_all_ends_of_rounds() {
        for (hops, round, most) in [
            (1u64, 7, 10),
            (30, 7, 100),
            (10_000, 997, 100),
            (4_001, 13, 2),
        ] {
            let mut series = Series::new(1e6, most);
            for number in 1..=hops {
                series.observe(&hop(number, round));
                let evenly = series.samples().iter().filter(|s| !s.round_ended).count();
                assert!(evenly <= most + 1, "{number}: {evenly}");
            }
            let samples = series.samples();
            assert!(samples.is_sorted_by(|a, b| a.hops < b.hops));
            let ends = samples.iter().filter(|s| s.round_ended).map(|s| s.hops);
            assert!(ends.eq((1..=hops).filter(|n| n.is_multiple_of(round))));
            let [first, last] = [samples[0], samples[samples.len() - 1]];
            assert_eq!((first.hops, last.hops), (0, hops));
            for sample in &samples[1..] {
                assert_eq!(sample.cost, 1e6 - sample.hops as f64);
                assert_eq!(sample.elapsed, Duration::from_secs(sample.hops));
                assert_eq!(sample.rounds, sample.hops.div_ceil(round));
            }
            // No gap is longer than it must be.
            let gap = samples.windows(2).map(|pair| pair[1].hops - pair[0].hops);
            assert!(
                gap.max()
                    .is_some_and(|gap| gap <= (4 * hops / most as u64).max(1))
            );
        }
    }
}
