//! Defects that a test can put back into the node, to prove that it finds them.

/// A defect of a node, switched on by [`Config::mutation`](crate::Config) where the feature `mutations` is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    not(feature = "mutations"),
    expect(unreachable_pub, reason = "it is public with the feature")
)]
pub enum Mutation {
    /// Rule R1: a mark that rises is not made durable.
    MarkNotPersisted,
    /// Rule R4: a second copy of a token is acted on again.
    StaleTokenActedOn,
    /// Rule R2: a successor is given up under the same epoch, and the same mark is used again.
    SkipKeepsEpoch,
    /// Rule R5: a token that is made again from the copy keeps its epoch.
    RecoveryKeepsEpoch,
    /// Rule R5: keep-alives do not count.
    KeepAliveIgnored,
    /// Rule R3: a capacity request neither is refused for its mark nor raises the target's.
    CapacityRequestWithoutMark,
    /// Rule R3: room is promised and not kept.
    CapacityWithoutReservation,
    /// Rule R3: a VM is let in without a reservation.
    AdmittedWithoutReservation,
    /// The target is not told of a migration that failed.
    ReservationNotReleased,
    /// Eq. 3.2 with `>=` in place of `>`.
    GainNotStrict,
    /// A migration of unknown outcome is taken for one that failed.
    OutcomeGuessed,
    /// A second answer to a migration is trusted as much as the first.
    LateAnswerTrusted,
}

impl Mutation {
    /// All of them.
    #[cfg(feature = "mutations")]
    pub const ALL: [Self; 12] = [
        Self::MarkNotPersisted,
        Self::StaleTokenActedOn,
        Self::SkipKeepsEpoch,
        Self::RecoveryKeepsEpoch,
        Self::KeepAliveIgnored,
        Self::CapacityRequestWithoutMark,
        Self::CapacityWithoutReservation,
        Self::AdmittedWithoutReservation,
        Self::ReservationNotReleased,
        Self::GainNotStrict,
        Self::OutcomeGuessed,
        Self::LateAnswerTrusted,
    ];
}
