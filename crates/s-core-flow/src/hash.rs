//! Seeded hashing: tenants choose addresses and ports, so they must not be able to choose buckets.

use core::hash::Hasher;

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;

/// Hashes small keys under a seed that the traffic's authors do not know.
#[derive(Clone)]
pub(crate) struct SeededHash {
    seed: u64,
    shared: SharedSeed,
}

impl SeededHash {
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            seed,
            // The library's own fixed constants are public: every word of the state comes from the
            // seed.
            shared: SharedSeed::from_u64(seed),
        }
    }

    /// The hash of one word.
    pub(crate) fn word(&self, word: u64) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared);
        hasher.write_u64(word);
        hasher.finish()
    }

    /// The hash of two words.
    pub(crate) fn words(&self, first: u64, second: u64) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared);
        hasher.write_u64(first);
        hasher.write_u64(second);
        hasher.finish()
    }
}
