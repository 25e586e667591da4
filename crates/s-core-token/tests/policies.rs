//! The policies, with their index, against a plain scan of a sorted list.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails shall fail its test"
)]

use std::cmp::Reverse;

use proptest::prelude::*;
use s_core_model::{Level, VmId};
use s_core_token::{Limits, Mark, PolicyKind, SlotsError, Statistic, Token, TokenView};

/// A token as the thesis tells it: a list of slots that is sorted and scanned again at every step.
#[derive(Clone, Debug)]
struct Naive {
    kind: PolicyKind,
    slots: Vec<(VmId, Level, Statistic)>,
    holder: VmId,
    visit: (Level, Statistic),
    round: u32,
    quiet: u16,
    migrations: u32,
    unsettled: bool,
}

type NaiveKey = (Reverse<Level>, Reverse<Statistic>, VmId);

impl Naive {
    fn new(kind: PolicyKind, mut ids: Vec<VmId>) -> Self {
        match kind {
            PolicyKind::RoundRobin => {}
            PolicyKind::Global | PolicyKind::Distributed | PolicyKind::LoadAware => ids.sort(),
        }
        Self {
            kind,
            holder: ids[0],
            slots: ids
                .into_iter()
                .map(|id| (id, Level::ZERO, Statistic::ZERO))
                .collect(),
            visit: (Level::ZERO, Statistic::ZERO),
            round: 0,
            quiet: 0,
            migrations: 0,
            unsettled: false,
        }
    }

    fn slot(&mut self, id: VmId) -> &mut (VmId, Level, Statistic) {
        self.slots.iter_mut().find(|slot| slot.0 == id).unwrap()
    }

    fn key(&self, (id, level, statistic): (VmId, Level, Statistic)) -> NaiveKey {
        let by_load = self.kind == PolicyKind::LoadAware;
        (
            Reverse(level),
            Reverse(if by_load { statistic } else { Statistic::ZERO }),
            id,
        )
    }

    /// The VMs in the order of the policy; what is after the holder as it was visited.
    fn order(&self) -> (Vec<VmId>, Option<VmId>) {
        match self.kind {
            PolicyKind::RoundRobin | PolicyKind::Global => {
                let ids: Vec<VmId> = self.slots.iter().map(|slot| slot.0).collect();
                let next = ids
                    .iter()
                    .skip_while(|&&id| id != self.holder)
                    .nth(1)
                    .copied();
                (ids, next)
            }
            PolicyKind::Distributed | PolicyKind::LoadAware => {
                let mut keys: Vec<NaiveKey> =
                    self.slots.iter().map(|&slot| self.key(slot)).collect();
                keys.sort();
                let cursor = self.key((self.holder, self.visit.0, self.visit.1));
                let next = keys.iter().find(|&&key| key > cursor).map(|key| key.2);
                (keys.into_iter().map(|key| key.2).collect(), next)
            }
        }
    }

    fn pass(&mut self, migrated: bool) {
        self.migrations += u32::from(migrated);
        if migrated {
            self.quiet = 0;
        }
        self.holder = if let Some(next) = self.order().1 {
            next
        } else {
            if self.kind == PolicyKind::Global {
                self.slots
                    .sort_by_key(|&(id, _, statistic)| (Reverse(statistic), id));
            }
            self.quiet = if self.migrations == 0 && !self.unsettled {
                self.quiet + 1
            } else {
                0
            };
            self.round += 1;
            self.migrations = 0;
            self.unsettled = false;
            self.order().0[0]
        };
        let holder = self.holder;
        let &mut (_, level, statistic) = self.slot(holder);
        self.visit = (level, statistic);
    }
}

#[derive(Clone, Debug)]
enum Op {
    Own(u8, u8),
    Raise(usize, u8),
    Pass(bool),
    Insert(u32),
    Remove(usize),
    Rotate(usize),
    /// Over the wire and back, which forgets the index.
    Send,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (0..4u8, 0..4u8).prop_map(|(level, load)| Op::Own(level, load)),
        6 => (any::<usize>(), 0..4u8).prop_map(|(at, level)| Op::Raise(at, level)),
        12 => prop::bool::weighted(0.1).prop_map(Op::Pass),
        1 => (0..40u32).prop_map(Op::Insert),
        1 => any::<usize>().prop_map(Op::Remove),
        1 => any::<usize>().prop_map(Op::Rotate),
        1 => Just(Op::Send),
    ];
    proptest::collection::vec(op, 1..400)
}

fn apply(kind: PolicyKind, token: &mut Token, naive: &mut Naive, op: &Op) {
    match *op {
        Op::Own(level, load) => {
            let (level, load) = (Level::new(level), Statistic::from_f64(f64::from(load)));
            let holder = naive.holder;
            naive.slot(holder).1 = level;
            token.set_own_level(level);
            if token.slot_kind() == s_core_token::SlotKind::Extended {
                naive.slot(holder).2 = load;
            }
            token.set_own_statistic(load);
        }
        Op::Raise(at, level) => {
            let position = at % token.len();
            let level = Level::new(level);
            let slot = naive.slot(token.id(position));
            let rises = slot.1 < level;
            slot.1 = slot.1.max(level);
            naive.unsettled |= rises;
            assert_eq!(token.raise_level(position, level), rises);
        }
        Op::Pass(migrated) => {
            naive.pass(migrated);
            let before = token.round();
            let step = token.pass(kind.build().as_ref(), migrated);
            assert_eq!(step.id, naive.holder);
            assert_eq!(step.new_round, naive.round > before);
        }
        Op::Insert(id) => insert(token, naive, VmId::new(id)),
        Op::Remove(at) => {
            let id = token.id(at % token.len());
            if id == naive.holder {
                assert_eq!(token.remove(id), Err(SlotsError::Holder(id)));
            } else {
                naive.slots.retain(|slot| slot.0 != id);
                token.remove(id).unwrap();
                assert_eq!(token.remove(id), Err(SlotsError::Unknown(id)));
            }
        }
        Op::Rotate(by) => {
            let by = by % token.len();
            naive.slots.rotate_left(by);
            naive.unsettled = true;
            let ids: Vec<VmId> = naive.slots.iter().map(|slot| slot.0).collect();
            token.reorder(&ids).unwrap();
        }
        // What the holder has changed is not yet ordered by its visit: send only after a pass.
        Op::Send => {
            apply(kind, token, naive, &Op::Pass(false));
            *token =
                Token::decode(&TokenView::new_checked(token.encode(), Limits::default()).unwrap());
        }
    }
}

fn insert(token: &mut Token, naive: &mut Naive, id: VmId) {
    if naive.slots.iter().any(|slot| slot.0 == id) {
        assert_eq!(
            token.insert(id, Limits::default()),
            Err(SlotsError::Duplicate(id))
        );
        return;
    }
    let ascending = naive.slots.is_sorted_by_key(|slot| slot.0);
    let place = if ascending {
        naive.slots.partition_point(|slot| slot.0 < id)
    } else {
        naive.slots.len()
    };
    naive
        .slots
        .insert(place, (id, Level::ZERO, Statistic::ZERO));
    naive.unsettled = true;
    assert_eq!(token.insert(id, Limits::default()), Ok(place));
}

fn compare(token: &Token, naive: &Naive) {
    let slots: Vec<_> = (0..token.len())
        .map(|at| (token.id(at), token.level(at), token.statistic(at)))
        .collect();
    assert_eq!(slots, naive.slots);
    assert_eq!(token.holder_id(), naive.holder);
    assert_eq!((token.visit().level, token.visit().statistic), naive.visit);
    assert_eq!(
        (
            token.round(),
            token.quiet_rounds(),
            token.migrations(),
            token.is_unsettled()
        ),
        (naive.round, naive.quiet, naive.migrations, naive.unsettled)
    );
    for (position, slot) in slots.iter().enumerate() {
        assert_eq!(token.position_of(slot.0), Some(position));
    }
    assert_eq!(token.position_of(VmId::new(1000)), None);
}

fn run(kind: PolicyKind, ids: Vec<VmId>, ops: &[Op]) {
    let policy = kind.build();
    let mut token = Token::new(&ids, policy.as_ref(), Mark::default(), Limits::default()).unwrap();
    let mut naive = Naive::new(kind, ids);
    compare(&token, &naive);
    for op in ops {
        apply(kind, &mut token, &mut naive, op);
        compare(&token, &naive);
    }
}

fn ids() -> impl Strategy<Value = Vec<VmId>> {
    proptest::collection::btree_set((0..40u32).prop_map(VmId::new), 1..16)
        .prop_map(Vec::from_iter)
        .prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn round_robin(ids in ids(), ops in ops()) {
        run(PolicyKind::RoundRobin, ids, &ops);
    }

    #[test]
    fn global(ids in ids(), ops in ops()) {
        run(PolicyKind::Global, ids, &ops);
    }

    #[test]
    fn distributed(ids in ids(), ops in ops()) {
        run(PolicyKind::Distributed, ids, &ops);
    }

    #[test]
    fn load_aware(ids in ids(), ops in ops()) {
        run(PolicyKind::LoadAware, ids, &ops);
    }
}

#[test]
fn slots_that_make_no_token_are_refused() {
    let policy = PolicyKind::RoundRobin.build();
    let limits = Limits { max_slots: 3 };
    let new = |ids: &[u32]| {
        let ids: Vec<VmId> = ids.iter().copied().map(VmId::new).collect();
        Token::new(&ids, policy.as_ref(), Mark::default(), limits)
    };
    assert_eq!(new(&[]).unwrap_err(), SlotsError::Empty);
    assert_eq!(
        new(&[1, 2, 3, 4]).unwrap_err(),
        SlotsError::TooMany { count: 4, limit: 3 }
    );
    assert_eq!(
        new(&[2, 1, 2]).unwrap_err(),
        SlotsError::Duplicate(VmId::new(2))
    );
    assert_eq!(
        new(&[1, 1]).unwrap_err(),
        SlotsError::Duplicate(VmId::new(1))
    );

    let mut token = new(&[3, 1, 2]).unwrap();
    let full = SlotsError::TooMany { count: 4, limit: 3 };
    assert_eq!(token.insert(VmId::new(4), limits), Err(full));
    let before = token.clone();
    for (order, error) in [
        (
            &[1, 2][..],
            SlotsError::Incomplete {
                listed: 2,
                count: 3,
            },
        ),
        (&[1, 2, 2], SlotsError::Duplicate(VmId::new(2))),
        (&[1, 2, 9], SlotsError::Unknown(VmId::new(9))),
    ] {
        let order: Vec<VmId> = order.iter().copied().map(VmId::new).collect();
        assert_eq!(token.reorder(&order), Err(error));
    }
    assert_eq!(token, before);
}
