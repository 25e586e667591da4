//! What can be wrong with a frame, with a change of the slots, and with a policy's name or code.

use alloc::string::String;

use s_core_model::VmId;
use thiserror::Error;

/// Why a frame is not a token. The sender is at fault; nothing of the frame has been used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The frame ends within its header or within a slot.
    #[error("token frame truncated: {found} bytes where its header needs {needed}")]
    Truncated {
        /// Bytes that the header, or the header's slot count, calls for.
        needed: u64,
        /// Bytes in the frame.
        found: usize,
    },
    /// Bytes that are not a whole slot stand after the last slot.
    #[error("token frame over-long: {found} bytes where its header needs {needed}")]
    OverLong {
        /// Bytes that the header's slot count calls for.
        needed: u64,
        /// Bytes in the frame.
        found: usize,
    },
    /// The frame holds whole slots, but not as many as the header counts.
    #[error("token frame holds {found} slots but its header counts {count}")]
    WrongCount {
        /// Slots by the header.
        count: u32,
        /// Slots by the frame's length.
        found: usize,
    },
    /// The frame does not begin with `SCTK`.
    #[error("not a token frame: begins with {found:02x?}, not with \"SCTK\"")]
    BadMagic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// The version is not 1.
    #[error("token version {0} is unknown: this node speaks version 1")]
    UnknownVersion(u8),
    /// The slot kind is neither 0 (basic) nor 1 (extended).
    #[error("slot kind {0} is unknown: 0 is basic, 1 is extended")]
    UnknownSlotKind(u8),
    /// A flag is set that version 1 does not define.
    #[error("flags {0:#010b} have bits set that version 1 reserves")]
    ReservedFlags(u8),
    /// The token number is not 0: version 1 knows one token only.
    #[error("token number {0} is unknown: version 1 knows token 0 only")]
    UnknownTokenNumber(u32),
    /// The header counts more slots than the receiver allows.
    #[error(
        "token of {count} slots exceeds the limit of {limit}: raise max_slots if it is genuine"
    )]
    TooManySlots {
        /// Slots by the header.
        count: u32,
        /// The receiver's [`Limits::max_slots`](crate::Limits::max_slots).
        limit: u32,
    },
    /// The token has no slot, so nobody can hold it.
    #[error("token without slots")]
    Empty,
    /// The holder's position is not that of a slot.
    #[error("holder position {position} is not below the slot count {count}")]
    HolderOutOfRange {
        /// The position in the header.
        position: u32,
        /// Slots by the header.
        count: u32,
    },
    /// The slot at the holder's position is another VM's.
    #[error(
        "the header says that {header} holds the token, the slot at position {position} is {slot}'s"
    )]
    HolderMismatch {
        /// The position in the header.
        position: u32,
        /// The holder's id in the header.
        header: VmId,
        /// The id in the slot.
        slot: VmId,
    },
    /// A VM has two slots.
    #[error("{id} has more than one slot")]
    DuplicateId {
        /// The VM.
        id: VmId,
    },
    /// The header promises ascending ids and the slots break the promise.
    #[error("slot {position} of {id} stands after {previous} in a token of ascending ids")]
    NotAscending {
        /// Position of the slot that is too low.
        position: usize,
        /// The id at this position.
        id: VmId,
        /// The id before it.
        previous: VmId,
    },
    /// The statistic of an extended slot is negative, infinite or not a number.
    #[error(
        "slot {position} has statistic {bits:#010x}, which is not a finite number of 0 or more"
    )]
    BadStatistic {
        /// Position of the slot.
        position: usize,
        /// The bit pattern.
        bits: u32,
    },
}

/// Why a token cannot be built of, or changed to, these slots. The token is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SlotsError {
    /// No VM: nobody could hold the token.
    #[error("a token needs at least one VM")]
    Empty,
    /// More VMs than receivers accept.
    #[error(
        "a token of {count} slots exceeds the limit of {limit}: raise max_slots on every host first"
    )]
    TooMany {
        /// Slots that there would be.
        count: usize,
        /// The [`Limits::max_slots`](crate::Limits::max_slots) given.
        limit: u32,
    },
    /// The VM has a slot already, or is listed twice.
    #[error("{0} would have more than one slot")]
    Duplicate(VmId),
    /// The VM has no slot.
    #[error("{0} has no slot in the token")]
    Unknown(VmId),
    /// The VM holds the token; pass it on first.
    #[error("{0} holds the token: pass it on before removing the slot")]
    Holder(VmId),
    /// A new order does not list every VM.
    #[error("the order lists {listed} VMs of {count}")]
    Incomplete {
        /// VMs in the order.
        listed: usize,
        /// Slots in the token.
        count: usize,
    },
}

/// A position beyond the last slot of a [`TokenView`](crate::TokenView). The frame is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no slot at position {position}: the token has {count}")]
pub struct PositionError {
    /// The position asked for.
    pub position: usize,
    /// The slots that there are, at positions 0 to `count` - 1.
    pub count: usize,
}

/// Why a name or a code does not say which of the four policies to use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// No policy has this name.
    #[error("no policy is called {0:?}: say round-robin, global, distributed or load-aware")]
    UnknownName(String),
    /// Codes 4 to 127 are kept for policies of later versions.
    #[error("policy code {0} is reserved: this node knows 0 to 3, and 128 to 255 are users' own")]
    Reserved(u8),
    /// Codes 128 to 255 name policies of users' own, which this crate cannot build.
    #[error("policy code {0} is a user's own: build that policy yourself")]
    UserDefined(u8),
}
