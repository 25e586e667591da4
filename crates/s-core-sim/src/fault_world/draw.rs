//! The one source of chance.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Draws everything that a run does by chance from its seed, the same on every machine.
#[derive(Clone, Debug)]
pub(super) struct Draw(Pcg64Mcg);

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self(Pcg64Mcg::seed_from_u64(seed))
    }

    /// From 0 to `bound` − 1; 0 if there is nothing to choose from.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        // Drawn as 64 bits everywhere, so that a seed means the same on every machine.
        self.0.random_range(0..bound.max(1) as u64) as usize
    }

    /// Both ends included.
    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        self.0.random_range(least..=most)
    }

    pub(super) fn milliseconds(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_micros(self.between(least * 1000, most * 1000))
    }

    /// Up to and including `most`.
    pub(super) fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_nanos(self.between(0, most.as_nanos() as u64))
    }

    /// True `permille` times of a thousand; draws nothing if that is never.
    pub(super) fn chance(&mut self, permille: u32) -> bool {
        permille > 0 && self.0.random_range(0..1000u32) < permille
    }

    /// One of them.
    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let place = self.below(from.len());
        from.get(place).copied()
    }

    /// Swarm testing: a knob is off half of the time, else anywhere up to `most`.
    pub(super) fn knob(&mut self, most: u64) -> u32 {
        if self.chance(500) {
            0
        } else {
            self.between(1, most) as u32
        }
    }
}
