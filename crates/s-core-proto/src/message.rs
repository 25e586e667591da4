//! What nodes say to each other.

use alloc::vec::Vec;

use bytes::Bytes;
use s_core_model::{Capacity, ServerId, VmId};
use s_core_token::Mark;

/// Matches an answer to its request; chosen by the asking node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct QueryId(u64);

impl QueryId {
    /// The query with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// One message of the protocol; docs/protocol.md shows each byte by byte.
///
/// Who sent it is not part of it: the frame around it says so, authenticated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// *Location request* of 4.2.5: which server hosts this VM?
    LocationRequest {
        /// Comes back in the answer.
        query: QueryId,
        /// The VM that is looked for.
        vm: VmId,
        /// Whether a server that does not host the VM shall say so. Off when all servers are asked at once.
        directed: bool,
    },
    /// *Location response* of 4.2.5.
    LocationResponse {
        /// The request's number.
        query: QueryId,
        /// The VM that was looked for.
        vm: VmId,
        /// Where it is: the sender itself if it hosts the VM, else where it was last known to be.
        server: Option<ServerId>,
    },
    /// *Capacity request* of 4.2.5, which also reserves (rule R3).
    CapacityRequest {
        /// Comes back in the answer.
        query: QueryId,
        /// The mark under which the token is held.
        mark: Mark,
        /// What shall be hosted, all or nothing; one VM today.
        demands: Vec<Demand>,
    },
    /// *Capacity response* of 4.2.5.
    CapacityResponse {
        /// The request's number.
        query: QueryId,
        /// The answer.
        answer: CapacityAnswer,
    },
    /// A reservation is not needed any more.
    Release {
        /// The mark of the capacity request.
        mark: Mark,
        /// The VM that will not come.
        vm: VmId,
    },
    /// The token, as encoded by `s-core-token`; addressed to the VM that its header names.
    Token(Bytes),
    /// What became of a token that was sent.
    TokenAck {
        /// The mark of the token that was received.
        mark: Mark,
        /// What the receiver did with it.
        verdict: TokenVerdict,
    },
}

/// A VM that a server is asked to make room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Demand {
    /// The VM.
    pub vm: VmId,
    /// Its memory in MiB.
    pub memory_mib: u32,
}

/// What a server says to a capacity request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CapacityAnswer {
    /// Room is reserved until the reservation expires.
    Reserved,
    /// No room; what is left.
    Full(Capacity),
    /// The mark is below the highest that the server has seen: the asker's token is not the current one.
    Stale(Mark),
}

/// What a server did with a token that it received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenVerdict {
    /// It holds the token now, or held it under this mark before: the sender's duty ends.
    Accepted,
    /// The mark is not above the highest that the server has seen (rule R4); that mark.
    Stale(Mark),
    /// The VM that the token is addressed to does not run here.
    NotHosted,
    /// The token's form is wrong; trying again with the same bytes is of no use.
    Malformed,
}

impl Message {
    /// Whether the message goes over a stream: a token can be larger than any datagram.
    pub const fn wants_stream(&self) -> bool {
        matches!(self, Self::Token(_))
    }

    /// The highest mark that the message carries outside of a token.
    pub(crate) fn highest_mark(&self) -> Option<Mark> {
        match self {
            Self::CapacityRequest { mark, .. } | Self::Release { mark, .. } => Some(*mark),
            Self::CapacityResponse { answer, .. } => match answer {
                CapacityAnswer::Stale(highest) => Some(*highest),
                CapacityAnswer::Reserved | CapacityAnswer::Full(_) => None,
            },
            Self::TokenAck { mark, verdict } => match verdict {
                TokenVerdict::Stale(highest) => Some(*mark.max(highest)),
                TokenVerdict::Accepted | TokenVerdict::NotHosted | TokenVerdict::Malformed => {
                    Some(*mark)
                }
            },
            Self::LocationRequest { .. } | Self::LocationResponse { .. } | Self::Token(_) => None,
        }
    }
}
