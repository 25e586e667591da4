//! What nodes say to each other.

use alloc::vec::Vec;

use bytes::Bytes;
use s_core_model::{Capacity, CpuModel, ServerId, VmId};
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
        /// What the processor of their host offers, if that is known: so much they may need.
        cpu: Option<CpuModel>,
    },
    /// *Capacity response* of 4.2.5.
    CapacityResponse {
        /// The request's number.
        query: QueryId,
        /// The answer.
        answer: CapacityAnswer,
        /// What the target's processor offers, if that is known and the request told of the asker's.
        cpu: Option<CpuModel>,
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
    /// To the predecessor, which keeps a copy (rule R5): the token is still here.
    KeepAlive {
        /// The mark under which the predecessor handed it over.
        mark: Mark,
        /// The mark under which it is held now.
        current: Mark,
    },
    /// From the predecessor, which has heard nothing for long (rule R5): where is the token?
    CustodyRequest {
        /// The mark under which it was handed over.
        mark: Mark,
        /// The highest mark that the predecessor has seen.
        highest: Mark,
        /// The VM that it was handed to.
        vm: VmId,
    },
    /// To all servers: the token lives, or a new one was made.
    Beacon {
        /// A mark under which it was held; never one that is on its way.
        mark: Mark,
        /// Its round.
        round: u32,
    },
    /// To all servers, from one that has heard of no token for long: may a new one be made?
    Claim {
        /// The highest mark that the sender has seen.
        mark: Mark,
        /// The round of the last token that it had; with it, no answer is longer than the claim.
        round: u32,
    },
    /// The receiver's mark is not the highest, or a claim may go on: what the sender knows.
    Yield {
        /// The highest mark that the sender has seen.
        mark: Mark,
        /// To a claim: a VM that runs on the sender, for the new token to come by.
        vm: Option<VmId>,
    },
    /// The answer of a server that the token passes by: give this VM a slot.
    Join {
        /// A VM that runs on the sender.
        vm: VmId,
    },
    /// To the target of a migration of unknown outcome: what became of it?
    OutcomeRequest {
        /// Comes back in the answer.
        query: QueryId,
        /// The mark under which room was reserved.
        mark: Mark,
        /// The VM.
        vm: VmId,
    },
    /// What the target of a migration knows.
    OutcomeResponse {
        /// The request's number.
        query: QueryId,
        /// The VM.
        vm: VmId,
        /// Whether it is there.
        arrival: Arrival,
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
    /// Its processor does not offer all that the asker's does. Only to a request that tells of that.
    Unsuitable,
}

/// What a server did with a token that it received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenVerdict {
    /// It holds the token now, or held it under this mark before: the sender's duty ends.
    Accepted,
    /// The mark is not above the highest that the server has seen (rule R4); that mark.
    Stale(Mark),
    /// It held the token under this mark or a later one of the epoch, and another server has taken it since.
    HandedOn,
    /// The VM that the token is addressed to does not run here.
    NotHosted,
    /// The token's form is wrong; trying again with the same bytes is of no use.
    Malformed,
}

/// What the target of a migration knows of the VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arrival {
    /// It runs there.
    Hosted,
    /// It is arriving.
    Arriving,
    /// It is not there, and will not be admitted any more under this mark.
    Absent,
}

impl Message {
    /// Whether the message goes over a stream: a token can be larger than any datagram.
    pub const fn wants_stream(&self) -> bool {
        matches!(self, Self::Token(_))
    }

    /// The highest mark that the message carries outside of a token.
    pub(crate) fn highest_mark(&self) -> Option<Mark> {
        match self {
            Self::CapacityRequest { mark, .. }
            | Self::Release { mark, .. }
            | Self::Beacon { mark, .. }
            | Self::Claim { mark, .. }
            | Self::Yield { mark, .. }
            | Self::OutcomeRequest { mark, .. } => Some(*mark),
            Self::KeepAlive {
                mark,
                current: other,
            }
            | Self::CustodyRequest {
                mark,
                highest: other,
                ..
            }
            | Self::TokenAck {
                mark,
                verdict: TokenVerdict::Stale(other),
            } => Some(*mark.max(other)),
            Self::TokenAck { mark, .. } => Some(*mark),
            Self::CapacityResponse { answer, .. } => match answer {
                CapacityAnswer::Stale(highest) => Some(*highest),
                CapacityAnswer::Reserved | CapacityAnswer::Full(_) | CapacityAnswer::Unsuitable => {
                    None
                }
            },
            Self::LocationRequest { .. }
            | Self::LocationResponse { .. }
            | Self::Token(_)
            | Self::Join { .. }
            | Self::OutcomeResponse { .. } => None,
        }
    }
}
