//! Which frames of a sender have come already: the sliding window of RFC 4303 (3.4.3), kept as the ring of RFC 6479.

use alloc::vec::Vec;
use core::fmt;

/// How many of a sender's frame counters are told apart, back from the highest that has come; what is further back
/// is refused whether it came or not.
///
/// The window has to span what one frame may be overtaken by. A sender's counter rises with every frame to
/// anybody, so gaps are ordinary and cost nothing; a frame is overtaken by those of the same sender to the same
/// receiver only. Datagrams overtake each other by a few. The token's frame goes over TCP and may take seconds, in
/// which its sender, that has no token any more, answers others: at most all location requests of one visit, 4,096
/// peers asked four times each ([`Bounds::default`](crate::Bounds)), which makes 16,384.
///
/// A frame that falls behind the window is lost, like any other: it is sent again with a counter of its own. A
/// sender that was heard takes 2 KiB.
pub const REPLAY_WINDOW: u64 = 1 << 14;

const WORD_BITS: u64 = u64::BITS as u64;
const WORDS: usize = (REPLAY_WINDOW / WORD_BITS) as usize;

/// The counters of one sender's frames that have come.
///
/// ```
/// use s_core_proto::wire::{REPLAY_WINDOW, ReplayWindow};
///
/// let mut window = ReplayWindow::default();
/// assert!(window.accept(1_000)); // the first may be any
/// assert!(window.accept(1_002) && window.accept(1_001)); // overtaken
/// assert!(!window.accept(1_001)); // replayed
/// assert!(window.accept(1_002 + REPLAY_WINDOW));
/// assert!(!window.accept(999)); // too far back to be known
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct ReplayWindow {
    highest: u64,
    /// Bit `counter % REPLAY_WINDOW` of all words together; no words before the first frame.
    seen: Vec<u64>,
}

impl ReplayWindow {
    /// Whether no frame with this counter has come before; from now on one has.
    ///
    /// A counter that is [`REPLAY_WINDOW`] or more below the highest is refused, and nothing changes. The time taken
    /// is proportional to how far the highest rises, and bounded by the window.
    pub fn accept(&mut self, counter: u64) -> bool {
        if self.seen.is_empty() {
            self.seen.resize(WORDS, 0);
            self.highest = counter;
        }
        if counter > self.highest {
            self.advance(counter);
        } else if self.highest - counter >= REPLAY_WINDOW {
            return false;
        }
        let (word, bit) = place(counter);
        let new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        new
    }

    /// The highest counter that has come, if any has.
    pub fn highest(&self) -> Option<u64> {
        (!self.seen.is_empty()).then_some(self.highest)
    }

    /// Counters between the highest and `to` take the places of those that fall behind.
    fn advance(&mut self, to: u64) {
        if to - self.highest >= REPLAY_WINDOW {
            self.seen.fill(0);
        } else {
            for counter in self.highest + 1..=to {
                let (word, bit) = place(counter);
                self.seen[word] &= !bit;
            }
        }
        self.highest = to;
    }
}

/// The word and the bit in it that stand for a counter.
const fn place(counter: u64) -> (usize, u64) {
    let position = counter % REPLAY_WINDOW;
    let word = (position / WORD_BITS) as usize;
    (word, 1 << (position % WORD_BITS))
}

/// Shows the highest counter and how many are known, not 16,384 bits.
impl fmt::Debug for ReplayWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: u32 = self.seen.iter().map(|word| word.count_ones()).sum();
        f.debug_struct("ReplayWindow")
            .field("highest", &self.highest())
            .field("known", &known)
            .finish()
    }
}
