//! The searches that level-driven policies need, and the index that makes them cheap.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::hash::{Hash, Hasher};

use s_core_model::{Level, VmId};

use super::{Token, Visit};
use crate::Statistic;

/// How many stretches of an order the index lists one after the other.
const STRETCHES: usize = 20;

/// The fewest keys of a stretch.
const LEAST_STRETCH: usize = 64;

/// The order in which a level-driven policy visits the VMs of a round.
///
/// [`Token::first`] and [`Token::following`] search by it. After decoding, the first search for a
/// follower reads all slots once, as receiving them did; from the second on, an index lists the next part of
/// the order, so that all slots are read once per part. A token that is received, stepped once and
/// forwarded so never pays for an index.
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
    /// Where the slot is. Decides nothing, as ids are distinct.
    position: u32,
}

/// A cache of what the slots say: it takes no part in comparing or hashing tokens.
#[derive(Clone, Debug, Default)]
pub(super) enum Index {
    /// No follower has been searched for.
    #[default]
    Unused,
    /// One has, by reading all slots.
    Searched,
    /// Kept up to date with every change of a slot.
    Built(Window),
}

/// The next stretch of an order: every key beyond `after` and up to `until`.
///
/// A search that comes to its end reads all slots once for the next stretch. As a stretch is a fixed part of
/// all slots, a search takes O(1) on average, and the memory is a fraction of the slots' own, however many
/// levels occur and however often slots change.
#[derive(Clone, Debug)]
pub(super) struct Window {
    order: VisitOrder,
    after: Key,
    /// `None`: up to the end of the order.
    until: Option<Key>,
    /// The keys when the stretch was read, falling. Those that slots no longer have are passed over.
    read: Vec<Key>,
    /// The keys that slots have got since.
    changed: BTreeSet<Key>,
    /// The most keys of either kind.
    size: usize,
}

impl Window {
    /// Reads the least keys beyond `after`, as many as a stretch has.
    fn read(token: &Token, order: VisitOrder, after: Key, mut read: Vec<Key>) -> Self {
        let size = (token.len() / STRETCHES).max(LEAST_STRETCH);
        read.clear();
        read.reserve_exact(2 * size);
        let mut until: Option<Key> = None;
        // Levels are read first, as most slots differ in theirs.
        let mut levels = (after.level, Reverse(Level::ZERO));
        for (position, level) in token.levels.iter().enumerate() {
            let level = Reverse(*level);
            if level < levels.0 || level > levels.1 {
                continue;
            }
            let key = token.key(order, position);
            if key > after && until.is_none_or(|until| key < until) {
                if read.len() == 2 * size {
                    let greatest = keep_least(&mut read, size);
                    levels.1 = greatest.level;
                    until = Some(greatest);
                    if key > greatest {
                        continue;
                    }
                }
                read.push(key);
            }
        }
        if read.len() > size {
            until = Some(keep_least(&mut read, size));
        }
        read.sort_unstable_by_key(|key| Reverse(*key));
        Self {
            order,
            after,
            until,
            read,
            changed: BTreeSet::new(),
            size,
        }
    }

    fn covers(&self, key: &Key) -> bool {
        *key > self.after && self.until.is_none_or(|until| *key <= until)
    }

    /// Forgets the keys up to the cursor, and finds the next that its slot still has.
    fn next_after(&mut self, cursor: Key, is_current: impl Fn(&Key) -> bool) -> Option<Key> {
        self.after = cursor;
        let stale = |key: &Key| *key <= cursor || !is_current(key);
        while self.read.pop_if(|key| stale(key)).is_some() {}
        while self.changed.first().is_some_and(|key| *key <= cursor) {
            self.changed.pop_first();
        }
        let read = self.read.last().copied();
        let changed = self.changed.first().copied();
        read.into_iter().chain(changed).min()
    }

    /// Follows a changed slot. Whether the stretch can be kept.
    fn replace(&mut self, before: Key, after: Key) -> bool {
        if !self.changed.is_empty() && self.covers(&before) {
            self.changed.remove(&before);
        }
        if self.covers(&after) {
            self.changed.insert(after);
        }
        self.changed.len() <= self.size
    }
}

/// Keeps the least keys, `count` of them, and returns the greatest of these.
fn keep_least(keys: &mut Vec<Key>, count: usize) -> Key {
    let (_, greatest, _) = keys.select_nth_unstable(count - 1);
    let greatest = *greatest;
    keys.truncate(count);
    greatest
}

impl Index {
    fn window(&mut self, wanted: VisitOrder) -> Option<&mut Window> {
        match self {
            Self::Built(window) if window.order == wanted => Some(window),
            Self::Unused | Self::Searched | Self::Built(_) => None,
        }
    }

    /// The order that the index is for, if it is built.
    pub(super) fn order(&self) -> Option<VisitOrder> {
        match self {
            Self::Unused | Self::Searched => None,
            Self::Built(window) => Some(window.order),
        }
    }

    /// Follows a slot whose key changed.
    pub(super) fn replace(&mut self, before: Key, after: Key) {
        match self {
            Self::Unused | Self::Searched => {}
            Self::Built(window) => {
                if before != after && !window.replace(before, after) {
                    *self = Self::Searched;
                }
            }
        }
    }

    /// Forgets where slots are: some came, went or moved.
    pub(super) fn forget(&mut self) {
        if let Self::Built(_) = self {
            *self = Self::Searched;
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
    /// highest level (line 21 of Algorithm 1). O(n).
    pub fn first(&self, order: VisitOrder) -> usize {
        (0..self.len())
            .min_by_key(|&position| self.key(order, position))
            .expect("a token has a slot")
    }

    /// The position that comes next in the order after the holder, as the token found it (see
    /// [`Token::visit`]): at the same level, or at the next lower level that occurs. `None` if the
    /// order is exhausted; there is no wrap, neither within a level nor at the end.
    ///
    /// O(1) on average with an index. Takes `&mut self` because the second search builds it.
    pub fn following(&mut self, order: VisitOrder) -> Option<usize> {
        let cursor = self.cursor(order);
        if matches!(self.index, Index::Unused) {
            self.index = Index::Searched;
            return (0..self.len())
                .map(|position| self.key(order, position))
                .filter(|&key| key > cursor)
                .min()
                .map(|key| key.position as usize);
        }
        let mut index = core::mem::take(&mut self.index);
        if index
            .window(order)
            .is_none_or(|window| window.after > cursor)
        {
            index = Index::Built(Window::read(self, order, cursor, Vec::new()));
        }
        let next = index.window(order).and_then(|window| {
            loop {
                let next = window.next_after(cursor, |key| self.is_current(order, key));
                match window.until {
                    Some(until) if next.is_none() => {
                        let buffer = core::mem::take(&mut window.read);
                        *window = Window::read(self, order, cursor.max(until), buffer);
                    }
                    _ => break next,
                }
            }
        });
        self.index = index;
        next.map(|key| key.position as usize)
    }

    /// Whether the slot at a key's position still has this key; its id is the same as long as there is a window.
    fn is_current(&self, order: VisitOrder, key: &Key) -> bool {
        let position = key.position as usize;
        key.level.0 == self.levels[position]
            && match order {
                VisitOrder::Level => true,
                VisitOrder::LevelThenStatistic => key.statistic.0 == self.statistic(position),
            }
    }

    fn cursor(&self, order: VisitOrder) -> Key {
        self.key_at(order, self.holder, self.visit)
    }

    fn key(&self, order: VisitOrder, position: usize) -> Key {
        let visit = Visit {
            level: self.levels[position],
            statistic: self.statistic(position),
        };
        self.key_at(order, position, visit)
    }

    /// The key that the slot at `position` would have if it said what `visit` says.
    fn key_at(&self, order: VisitOrder, position: usize, visit: Visit) -> Key {
        let statistic = match order {
            VisitOrder::Level => Statistic::ZERO,
            VisitOrder::LevelThenStatistic => visit.statistic,
        };
        Key {
            level: Reverse(visit.level),
            statistic: Reverse(statistic),
            id: self.ids[position],
            position: position as u32,
        }
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
    use proptest::prelude::*;

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

    /// However many levels occur, and however many slots change ahead of the cursor.
    #[test]
    fn a_million_slots_on_256_levels_take_a_fraction_of_a_key_each() {
        const SLOTS: usize = 1_000_000;
        let policy = PolicyKind::Distributed.build();
        let ids: Vec<VmId> = (1..=SLOTS as u32).map(VmId::new).collect();
        let mut token =
            Token::new(&ids, policy.as_ref(), Mark::default(), Limits::default()).unwrap();
        for rise in [0, 100] {
            for position in 0..SLOTS {
                token.raise_level(position, Level::new((position as u8).saturating_add(rise)));
            }
            for _ in 0..2 {
                token.pass(policy.as_ref(), false);
            }
        }
        let Index::Built(window) = &token.index else {
            panic!("searched more than once");
        };
        assert_eq!(window.read.capacity(), SLOTS / 10);
        assert!(window.changed.len() <= SLOTS / 20);
        assert_eq!(size_of::<Key>(), 16);
        assert_eq!(token.level(token.holder()), Level::new(255));
    }

    /// What is done to a token, by numbers that proptest draws.
    fn disturb(token: &mut Token, what: u8, position: usize, level: u8) {
        match what {
            0 => token.set_own_level(Level::new(level)),
            1 => token.set_own_statistic(Statistic::from_f64(f64::from(level))),
            2 => drop(token.remove(token.id(position))),
            3 => drop(token.insert(VmId::new(u32::from(level)), Limits::default())),
            4 => token.hand_to(position),
            _ => drop(token.raise_level(position, Level::new(level))),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Of 400 slots a stretch lists 64.
        #[test]
        fn finds_what_reading_all_slots_finds(
            steps in prop::collection::vec((0..30u8, 0..360usize, 0..5u8, any::<bool>()), 1..2000),
            load_aware in any::<bool>(),
        ) {
            let (kind, order) = if load_aware {
                (PolicyKind::LoadAware, VisitOrder::LevelThenStatistic)
            } else {
                (PolicyKind::Distributed, VisitOrder::Level)
            };
            let policy = kind.build();
            let ids: Vec<VmId> = (100..500).map(VmId::new).collect();
            let mut token = Token::new(&ids, &*policy, Mark::default(), Limits::default()).unwrap();
            for (what, position, level, passes) in steps {
                let position = position % token.len();
                disturb(&mut token, what, position, level);
                let cursor = token.cursor(order);
                let beyond = (0..token.len()).map(|p| token.key(order, p)).filter(|key| *key > cursor);
                let wanted = beyond.min().map(|key| key.position as usize);
                prop_assert_eq!(token.following(order), wanted);
                if passes {
                    token.pass(&*policy, false);
                }
            }
        }
    }
}
