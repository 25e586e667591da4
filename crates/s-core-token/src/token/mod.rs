//! The owned token.

mod codec;
mod edit;
mod order;
mod pass;

use alloc::vec::Vec;

use s_core_model::{Level, VmId};

use crate::{Mark, PassingPolicy, SlotKind, Statistic};
use order::Index;
pub use order::VisitOrder;
pub use pass::Step;

/// How the token found its holder: the holder's slot at the moment when the token was handed to it.
///
/// This is the cursor from which Algorithm 1 continues (`c1` in line 1), whatever the holder has
/// since written into its own slot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Visit {
    /// The level.
    pub level: Level,
    /// The statistic.
    pub statistic: Statistic,
}

/// The token (thesis 4.1): a slot for each VM, who holds it, and how its rounds have gone.
///
/// Slots are addressed by *position*, their index in slot order. 5 bytes of memory per VM, 4 more if slots
/// are extended, 4 more if the ids do not ascend, and 1 to 2 more once the token has been searched more than
/// once (see [`VisitOrder`]).
///
/// Two tokens are equal if they would behave alike; what has been searched does not count.
///
/// Methods that take a position panic if it is not below [`len`](Token::len), as slices do.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Token {
    policy: u8,
    kind: SlotKind,
    mark: Mark,
    round: u32,
    quiet_rounds: u16,
    migrations: u32,
    unsettled: bool,
    holder: usize,
    visit: Visit,
    ids: Vec<VmId>,
    levels: Vec<Level>,
    /// Empty if the slots are basic.
    statistics: Vec<Statistic>,
    /// The positions sorted by id; empty if the ids themselves ascend.
    by_id: Vec<u32>,
    index: Index,
}

impl Token {
    /// The code of the passing policy that the token was made for.
    pub const fn policy_code(&self) -> u8 {
        self.policy
    }

    /// The kind of all slots.
    pub const fn slot_kind(&self) -> SlotKind {
        self.kind
    }

    /// The mark.
    pub const fn mark(&self) -> Mark {
        self.mark
    }

    /// Replaces the mark. Passing the token on does not do this by itself: which mark a hand-over
    /// gets is for the node to decide, and to persist.
    pub const fn set_mark(&mut self, mark: Mark) {
        self.mark = mark;
    }

    /// The number of rounds begun before this one. Stays at `u32::MAX`.
    pub const fn round(&self) -> u32 {
        self.round
    }

    /// How many whole rounds in a row, up to the last one that ended, were quiet.
    ///
    /// A round is quiet if no VM migrated in it and it was not [unsettled](Token::is_unsettled), so
    /// that every VM was asked and none wanted to move. A migration sets the number to 0.
    pub const fn quiet_rounds(&self) -> u16 {
        self.quiet_rounds
    }

    /// The migrations of this round so far.
    pub const fn migrations(&self) -> u32 {
        self.migrations
    }

    /// Whether this round may pass a VM over, because since its begin a level was raised, a slot
    /// inserted or the order changed, or if a VM [could not be asked](Token::unsettle).
    pub const fn is_unsettled(&self) -> bool {
        self.unsettled
    }

    /// Makes this round one that cannot be [quiet](Token::quiet_rounds), because a VM was handed the
    /// token, or was to be, and could not be asked whether it wants to migrate.
    pub const fn unsettle(&mut self) {
        self.unsettled = true;
    }

    /// The number of slots, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a token is never empty")]
    pub const fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether the ids ascend from slot to slot.
    pub const fn is_ascending(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The position of the VM that holds the token or is to receive it.
    pub const fn holder(&self) -> usize {
        self.holder
    }

    /// The VM that holds the token or is to receive it.
    pub fn holder_id(&self) -> VmId {
        self.ids[self.holder]
    }

    /// How the token found its holder.
    pub const fn visit(&self) -> Visit {
        self.visit
    }

    /// All ids, in slot order.
    pub fn ids(&self) -> &[VmId] {
        &self.ids
    }

    /// The id at a position.
    ///
    /// # Panics
    ///
    /// If there is no such position.
    pub fn id(&self, position: usize) -> VmId {
        self.ids[position]
    }

    /// l_u of Algorithm 1: the level at a position.
    ///
    /// # Panics
    ///
    /// If there is no such position.
    pub fn level(&self, position: usize) -> Level {
        self.levels[position]
    }

    /// The statistic at a position; [`Statistic::ZERO`] in a token of basic slots.
    ///
    /// # Panics
    ///
    /// If there is no such position and the slots are extended.
    pub fn statistic(&self, position: usize) -> Statistic {
        match self.kind {
            SlotKind::Basic => Statistic::ZERO,
            SlotKind::Extended => self.statistics[position],
        }
    }

    /// The position of a VM's slot, in O(log n).
    pub fn position_of(&self, id: VmId) -> Option<usize> {
        if self.is_ascending() {
            self.ids.binary_search(&id).ok()
        } else {
            let rank = self
                .by_id
                .binary_search_by_key(&id, |&p| self.ids[p as usize])
                .ok()?;
            Some(self.by_id[rank] as usize)
        }
    }

    /// The position of the slot whose id is the lowest but `rank` others.
    ///
    /// # Panics
    ///
    /// If there are not as many slots.
    pub fn position_of_rank(&self, rank: usize) -> usize {
        if self.is_ascending() {
            assert!(rank < self.len(), "rank {rank} of {}", self.len());
            rank
        } else {
            self.by_id[rank] as usize
        }
    }

    /// Raises another VM's level; leaves one that is as high already (lines 4 to 6 of Algorithm 1).
    /// Whether it rose; if so, the round is [unsettled](Token::is_unsettled).
    ///
    /// # Panics
    ///
    /// If there is no such position.
    pub fn raise_level(&mut self, position: usize, level: Level) -> bool {
        let rises = self.levels[position] < level;
        if rises {
            self.write_slot(position, level, self.statistic(position));
            self.unsettled = true;
        }
        rises
    }

    /// Sets the level of the holder's own slot, which only the holder may lower.
    pub fn set_own_level(&mut self, level: Level) {
        self.write_slot(self.holder, level, self.statistic(self.holder));
    }

    /// Sets the statistic of the holder's own slot. Basic slots have no place for one and stay as
    /// they are.
    pub fn set_own_statistic(&mut self, statistic: Statistic) {
        self.write_slot(self.holder, self.levels[self.holder], statistic);
    }

    /// The only place where a level or a statistic changes, so that the index follows.
    fn write_slot(&mut self, position: usize, level: Level, statistic: Statistic) {
        let before = self.indexed_key(position);
        self.levels[position] = level;
        match self.kind {
            SlotKind::Basic => {}
            SlotKind::Extended => self.statistics[position] = statistic,
        }
        if let (Some(before), Some(after)) = (before, self.indexed_key(position)) {
            self.index.replace(before, after);
        }
    }

    /// Makes the slot at `position` the holder's, and remembers how the token found it.
    fn hand_to(&mut self, position: usize) {
        self.holder = position;
        self.visit = Visit {
            level: self.levels[position],
            statistic: self.statistic(position),
        };
    }

    /// Gives the round, at its begin, to the VM that the policy starts with.
    fn start_round(&mut self, policy: &dyn PassingPolicy) {
        let first = policy.begin_round(self);
        self.hand_to(first);
        self.migrations = 0;
        self.unsettled = false;
    }
}
