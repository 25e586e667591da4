//! The token on the wire, version 1, byte by byte.
//!
//! A frame is a header of [`HEADER_LEN`] = 54 bytes and the slots, without padding. Every number
//! is big-endian.
//!
//! | bytes | field | value |
//! |---|---|---|
//! | 0..4 | magic | `53 43 54 4b`, "SCTK" |
//! | 4 | version | 1 |
//! | 5 | slot kind | 0 = basic, 1 = extended |
//! | 6 | policy | 0 = round-robin, 1 = global, 2 = distributed, 3 = load-aware; 4 to 127 reserved; 128 to 255 users' own |
//! | 7 | flags | bit 0: the ids ascend; bit 1: the round is [unsettled](crate::Token::is_unsettled); bits 2 to 7 are 0 |
//! | 8..12 | token number | 0; room for several tokens |
//! | 12..32 | [mark](crate::Mark) | epoch counter (8), epoch origin (4), sequence (8) |
//! | 32..36 | round | rounds begun before this one |
//! | 36..38 | quiet rounds | see [`Token::quiet_rounds`](crate::Token::quiet_rounds) |
//! | 38..42 | migrations | in this round, so far |
//! | 42..46 | slot count | *n*, at least 1 |
//! | 46..50 | holder position | index of the slot of the VM that holds the token or is to receive it, below *n* |
//! | 50..54 | holder id | equal to the id in that slot |
//! | 54.. | *n* slots | 5 or 9 bytes each |
//!
//! A basic slot is bit for bit that of Fig. 4.1; an extended slot appends the VM's
//! [statistic](crate::Statistic):
//!
//! | bytes | field | value |
//! |---|---|---|
//! | 0..4 | id | the VM's IPv4 address; no two slots share one |
//! | 4 | level | l_u of Algorithm 1 |
//! | 5..9 | statistic | extended only: IEEE-754 binary32, finite, sign bit 0 |
//!
//! A frame carries no length of its own: whoever transports it delimits it, and a frame whose
//! length is not 54 + *n* × slot size is refused.

mod check;
mod patch;
mod slot;
mod view;

pub use slot::{Slot, SlotKind};
pub use view::TokenView;

/// Bytes before the first slot.
pub const HEADER_LEN: usize = 54;

pub(crate) const MAGIC: [u8; 4] = *b"SCTK";
pub(crate) const VERSION: u8 = 1;

/// Bits of the flags byte.
pub(crate) mod flag {
    pub(crate) const ASCENDING: u8 = 1;
    pub(crate) const UNSETTLED: u8 = 1 << 1;
    pub(crate) const ALL: u8 = ASCENDING | UNSETTLED;
}

/// Where the header's fields stand.
pub(crate) mod field {
    use core::ops::Range;

    pub(crate) const MAGIC: Range<usize> = 0..4;
    pub(crate) const VERSION: usize = 4;
    pub(crate) const SLOT_KIND: usize = 5;
    pub(crate) const POLICY: usize = 6;
    pub(crate) const FLAGS: usize = 7;
    pub(crate) const TOKEN_NUMBER: Range<usize> = 8..12;
    pub(crate) const MARK: Range<usize> = 12..32;
    pub(crate) const ROUND: Range<usize> = 32..36;
    pub(crate) const QUIET_ROUNDS: Range<usize> = 36..38;
    pub(crate) const MIGRATIONS: Range<usize> = 38..42;
    pub(crate) const SLOT_COUNT: Range<usize> = 42..46;
    pub(crate) const HOLDER_POSITION: Range<usize> = 46..50;
    pub(crate) const HOLDER_ID: Range<usize> = 50..54;
}

/// What a receiver accepts. Checked before anything is allocated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Limits {
    /// The most slots, that is VMs, in a token; 1,000,000 by default.
    pub max_slots: u32,
}

impl Limits {
    /// The longest frame within these limits, in bytes; a bound for whoever reads frames.
    pub const fn max_frame_len(self) -> u64 {
        frame_len(SlotKind::Extended, self.max_slots)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_slots: 1_000_000,
        }
    }
}

/// Bytes of a frame of `count` slots.
pub(crate) const fn frame_len(kind: SlotKind, count: u32) -> u64 {
    HEADER_LEN as u64 + count as u64 * kind.len() as u64
}

/// The `N` bytes of a header field.
pub(crate) fn bytes_at<const N: usize>(frame: &[u8], field: core::ops::Range<usize>) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&frame[field]);
    bytes
}

pub(crate) fn u32_at(frame: &[u8], field: core::ops::Range<usize>) -> u32 {
    u32::from_be_bytes(bytes_at(frame, field))
}
