//! The searches that level-driven policies need, and the index that makes them cheap.

use alloc::collections::BTreeSet;
use core::cmp::Reverse;
use core::hash::{Hash, Hasher};
use core::ops::Bound;

use s_core_model::{Level, VmId};

use super::Token;
use crate::Statistic;

/// The order in which a level-driven policy visits the VMs of a round.
///
/// [`Token::first`] and [`Token::following`] search by it. After decoding, the first search for a
/// follower reads all slots once, as receiving them did; the second builds an index, which then
/// costs O(log n) per search and per changed slot. A token that is received, stepped once and
/// forwarded so never pays for an index, and one that stays in the process pays once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum VisitOrder {
    /// Level falling, then id rising: Algorithm 1.
    Level,
    /// Level falling, then statistic falling, then id rising: load-aware (thesis 4.1).
    LevelThenStatistic,
}

/// A VM's place in a [`VisitOrder`]; the least comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Key {
    level: Reverse<Level>,
    /// Zero in orders that do not ask for it.
    statistic: Reverse<Statistic>,
    id: VmId,
}

impl Key {
    fn new(order: VisitOrder, level: Level, statistic: Statistic, id: VmId) -> Self {
        let statistic = match order {
            VisitOrder::Level => Statistic::ZERO,
            VisitOrder::LevelThenStatistic => statistic,
        };
        Self {
            level: Reverse(level),
            statistic: Reverse(statistic),
            id,
        }
    }
}

/// A cache of what the slots say: it takes no part in comparing or hashing tokens.
///
/// One ordered set of keys: its memory is bounded by the number of slots, however many levels occur.
#[derive(Clone, Debug, Default)]
pub(super) enum Index {
    /// No follower has been searched for.
    #[default]
    Unused,
    /// One has, by reading all slots.
    Searched,
    /// Kept up to date with every change of a slot.
    Built {
        order: VisitOrder,
        keys: BTreeSet<Key>,
    },
}

impl Index {
    fn order(&self) -> Option<VisitOrder> {
        match self {
            Self::Unused | Self::Searched => None,
            Self::Built { order, .. } => Some(*order),
        }
    }

    fn keys(&self, wanted: VisitOrder) -> Option<&BTreeSet<Key>> {
        match self {
            Self::Built { order, keys } if *order == wanted => Some(keys),
            Self::Unused | Self::Searched | Self::Built { .. } => None,
        }
    }

    /// Follows a slot that changed (`before` and `after`), came (`after`) or went (`before`).
    pub(super) fn replace(&mut self, before: Option<Key>, after: Option<Key>) {
        match self {
            Self::Unused | Self::Searched => {}
            Self::Built { .. } if before == after => {}
            Self::Built { keys, .. } => {
                if let Some(key) = before {
                    keys.remove(&key);
                }
                keys.extend(after);
            }
        }
    }
}

impl PartialEq for Index {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Index {}

impl Hash for Index {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Token {
    /// The position that comes first in the order: for [`VisitOrder::Level`], the lowest id at the
    /// highest level (line 21 of Algorithm 1).
    ///
    /// O(log n) with an index, else O(n).
    pub fn first(&self, order: VisitOrder) -> usize {
        match self.index.keys(order) {
            Some(keys) => keys.first().and_then(|key| self.position_of(key.id)),
            None => (0..self.len()).min_by_key(|&position| self.key(order, position)),
        }
        .expect("a token has a slot, and the index lists the slots' ids only")
    }

    /// The position that comes next in the order after the holder, as the token found it (see
    /// [`Token::visit`]): at the same level, or at the next lower level that occurs. `None` if the
    /// order is exhausted; there is no wrap, neither within a level nor at the end.
    ///
    /// O(log n) with an index. Takes `&mut self` because the second search builds it.
    pub fn following(&mut self, order: VisitOrder) -> Option<usize> {
        let cursor = Key::new(
            order,
            self.visit.level,
            self.visit.statistic,
            self.holder_id(),
        );
        if matches!(self.index, Index::Unused) {
            self.index = Index::Searched;
            return (0..self.len())
                .map(|position| (self.key(order, position), position))
                .filter(|&(key, _)| key > cursor)
                .min()
                .map(|(_, position)| position);
        }
        if self.index.order() != Some(order) {
            let keys = (0..self.len())
                .map(|position| self.key(order, position))
                .collect();
            self.index = Index::Built { order, keys };
        }
        let beyond = (Bound::Excluded(cursor), Bound::Unbounded);
        let key = self.index.keys(order)?.range(beyond).next()?;
        self.position_of(key.id)
    }

    fn key(&self, order: VisitOrder, position: usize) -> Key {
        Key::new(
            order,
            self.levels[position],
            self.statistic(position),
            self.ids[position],
        )
    }

    /// The key by which the index, if one is built, knows the slot at `position`.
    pub(super) fn indexed_key(&self, position: usize) -> Option<Key> {
        self.index.order().map(|order| self.key(order, position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Mark, PolicyKind};
    use alloc::vec::Vec;

    #[test]
    fn an_index_is_built_by_the_second_search_for_a_follower() {
        let policy = PolicyKind::Distributed.build();
        let ids: Vec<VmId> = (1..=4).map(VmId::new).collect();
        let mut token =
            Token::new(&ids, policy.as_ref(), Mark::default(), Limits::default()).unwrap();
        assert!(matches!(token.index, Index::Unused));
        token.following(VisitOrder::Level);
        assert!(matches!(token.index, Index::Searched));
        token.following(VisitOrder::Level);
        assert_eq!(token.index.order(), Some(VisitOrder::Level));
        token.following(VisitOrder::LevelThenStatistic);
        assert_eq!(token.index.order(), Some(VisitOrder::LevelThenStatistic));
    }

    #[test]
    fn an_index_of_another_order_is_not_asked() {
        let policy = PolicyKind::LoadAware.build();
        let ids: Vec<VmId> = (1..=2).map(VmId::new).collect();
        let mut token =
            Token::new(&ids, policy.as_ref(), Mark::default(), Limits::default()).unwrap();
        token.pass(policy.as_ref(), false);
        token.set_own_statistic(Statistic::MAX);
        for _ in 0..2 {
            token.following(VisitOrder::Level);
        }
        assert_eq!(token.first(VisitOrder::Level), 0);
        assert_eq!(token.first(VisitOrder::LevelThenStatistic), 1);
    }

    #[test]
    fn a_million_slots_on_256_levels_keep_one_key_each() {
        let policy = PolicyKind::Distributed.build();
        let ids: Vec<VmId> = (1..=1_000_000).map(VmId::new).collect();
        let mut token =
            Token::new(&ids, policy.as_ref(), Mark::default(), Limits::default()).unwrap();
        for position in 0..token.len() {
            token.raise_level(position, Level::new(position as u8));
        }
        for _ in 0..2 {
            token.pass(policy.as_ref(), false);
        }
        let keys = token.index.keys(VisitOrder::Level).unwrap();
        assert_eq!((keys.len(), size_of::<Key>()), (1_000_000, 12));
        assert_eq!(
            keys.first().map(|key| key.level),
            Some(Reverse(Level::new(255)))
        );
    }
}
