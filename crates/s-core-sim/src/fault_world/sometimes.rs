//! What a batch of runs must have seen, or it has tested nothing.

use std::fmt;

/// Something that has to happen in some run of every batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sometimes {
    /// A server crashed while it held the token.
    TokenLost,
    /// A token was dropped or refused for a higher mark.
    TokenFenced,
    /// Two tokens were alive at once.
    TwoTokens,
    /// A successor that did not answer was passed over in a new epoch.
    SuccessorSkipped,
    /// A successor had forgotten the token when it was asked.
    SuccessorForgot,
    /// The token went on from its predecessor's copy.
    CustodyRecovered,
    /// A keep-alive ended a doubt.
    DoubtEnded,
    /// A token was made after a claim.
    ClaimMinted,
    /// A claim was given up for another or for a living token.
    ClaimParked,
    /// A reservation ended because its VM did not come.
    ReservationExpired,
    /// A VM was not let in, because no room was reserved for it any more.
    ArrivalRefused,
    /// A migration failed after its deadline.
    FailedAfterDeadline,
    /// A migration succeeded after its deadline.
    MovedAfterDeadline,
    /// A migration of unknown outcome turned out to have moved the VM.
    UnknownMoved,
    /// A migration of unknown outcome turned out to have left it.
    UnknownStayed,
    /// The target of a migration of unknown outcome said that the VM was still arriving.
    ToldArriving,
    /// A server started again and asked about a migration from before.
    AskedAfterRestart,
    /// Room was refused to a token that was not the newest.
    CapacityFenced,
    /// A sequence number came to its end and a new epoch began.
    SequenceWrapped,
    /// A partition healed while there were two tokens.
    PartitionHealed,
    /// A VM that was born in the run got the token.
    NewcomerJoined,
    /// A server that the token had passed by asked for a slot.
    JoinAsked,
    /// An agent that was stopped gave the token away.
    TokenGivenAway,
    /// A damaged frame was refused.
    DamageRefused,
    /// A frame that came again was refused by the replay window.
    ReplayRefused,
    /// A server crashed after it had made a mark durable and before it acted on it.
    CrashedBeforeActing,
    /// The token rested because nothing changed.
    TokenRested,
    /// A VM that nobody hosts lost its slot.
    SlotRemoved,
    /// A run settled in a local optimum after the faults.
    Settled,
}

impl Sometimes {
    /// All of them.
    pub const ALL: [Self; 29] = [
        Self::TokenLost,
        Self::TokenFenced,
        Self::TwoTokens,
        Self::SuccessorSkipped,
        Self::SuccessorForgot,
        Self::CustodyRecovered,
        Self::DoubtEnded,
        Self::ClaimMinted,
        Self::ClaimParked,
        Self::ReservationExpired,
        Self::ArrivalRefused,
        Self::FailedAfterDeadline,
        Self::MovedAfterDeadline,
        Self::UnknownMoved,
        Self::UnknownStayed,
        Self::ToldArriving,
        Self::AskedAfterRestart,
        Self::CapacityFenced,
        Self::SequenceWrapped,
        Self::PartitionHealed,
        Self::NewcomerJoined,
        Self::JoinAsked,
        Self::TokenGivenAway,
        Self::DamageRefused,
        Self::ReplayRefused,
        Self::CrashedBeforeActing,
        Self::TokenRested,
        Self::SlotRemoved,
        Self::Settled,
    ];

    /// A few words for a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TokenLost => "a token was lost in a crash",
            Self::TokenFenced => "a token was fenced",
            Self::TwoTokens => "two tokens were alive",
            Self::SuccessorSkipped => "a successor was skipped",
            Self::SuccessorForgot => "a successor had forgotten the token",
            Self::CustodyRecovered => "a token was recovered from custody",
            Self::DoubtEnded => "a keep-alive ended a doubt",
            Self::ClaimMinted => "a token was minted by a claim",
            Self::ClaimParked => "a claim was parked",
            Self::ReservationExpired => "a reservation expired",
            Self::ArrivalRefused => "an arrival was refused",
            Self::FailedAfterDeadline => "a migration failed after its deadline",
            Self::MovedAfterDeadline => "a migration succeeded after its deadline",
            Self::UnknownMoved => "an unknown outcome was resolved: moved",
            Self::UnknownStayed => "an unknown outcome was resolved: stayed",
            Self::ToldArriving => "a VM of unknown outcome was still arriving",
            Self::AskedAfterRestart => "an agent started again amid a migration",
            Self::CapacityFenced => "a capacity request was fenced",
            Self::SequenceWrapped => "a sequence wrap was crossed",
            Self::PartitionHealed => "a partition with two tokens healed",
            Self::NewcomerJoined => "a newcomer got the token",
            Self::JoinAsked => "a server asked to join",
            Self::TokenGivenAway => "a leaving agent gave the token away",
            Self::DamageRefused => "a damaged frame was refused",
            Self::ReplayRefused => "a frame that came again was refused",
            Self::CrashedBeforeActing => "a crash came between durable and acted on",
            Self::TokenRested => "the token rested",
            Self::SlotRemoved => "a VM that nobody hosts lost its slot",
            Self::Settled => "a run settled in a local optimum",
        }
    }
}

impl fmt::Display for Sometimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How many times each [`Sometimes`] happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Marks([u64; Sometimes::ALL.len()]);

impl Marks {
    pub(super) fn hit(&mut self, mark: Sometimes) {
        self.0[mark as usize] += 1;
    }

    /// How often it happened.
    pub fn of(&self, mark: Sometimes) -> u64 {
        self.0[mark as usize]
    }

    /// What never happened.
    pub fn missed(&self) -> impl Iterator<Item = Sometimes> + '_ {
        Sometimes::ALL
            .into_iter()
            .filter(|mark| self.of(*mark) == 0)
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }
}
