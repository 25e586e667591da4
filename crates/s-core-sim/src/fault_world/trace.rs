//! What happened, as a number to compare runs by and as lines for a person.

use super::clock::Time;

/// Two runs with the same hash did the same.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    hash: u64,
    pub(super) lines: Option<Vec<String>>,
}

impl Trace {
    pub(super) fn new(with_lines: bool) -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            lines: with_lines.then(Vec::new),
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Mixes a number in (FNV-1a over 64-bit words).
    pub(super) fn mix(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        self.hash ^= self.hash >> 29;
    }

    /// A line: when, where, what.
    pub(super) fn line(&mut self, now: Time, place: &str, what: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            let (seconds, micros) = (now.as_secs(), now.subsec_micros());
            lines.push(format!("{seconds:>4}.{micros:06}  {place:<10} {}", what()));
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.lines.is_some()
    }
}
