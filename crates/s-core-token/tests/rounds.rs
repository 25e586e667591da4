//! Nobody starves: who is visited in a round, and how long a VM can wait.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails shall fail its test"
)]

mod broken;

use std::collections::{BTreeMap, BTreeSet};

use broken::{C1AfterUpdate, WrapWithinLevel};
use proptest::prelude::*;
use s_core_model::{Level, VmId};
use s_core_token::{Distributed, Limits, LoadAware, Mark, PassingPolicy, Statistic, Token};

const VMS: u32 = 6;

/// What a holder does: its own level and load, and raises of others.
#[derive(Clone, Debug)]
struct Deed {
    own: u8,
    load: u16,
    raises: Vec<(usize, u8)>,
}

fn deeds(highest: u8) -> impl Strategy<Value = Vec<Deed>> {
    let raise = (0..VMS as usize, 0..=highest);
    let deed = (
        0..=highest,
        any::<u16>(),
        proptest::collection::vec(raise, 0..3),
    );
    let deed = deed.prop_map(|(own, load, raises)| Deed { own, load, raises });
    proptest::collection::vec(deed, 1..250)
}

/// Runs the deeds in turn; `Err` says which promise was broken:
///
/// 1. a VM that was not visited in a round was raised in it by another;
/// 2. so none is passed over in more rounds in a row than there are levels above 0;
/// 3. a round ends: within a visit per VM and level, unless falling loads (`steps`) make it longer.
fn run(
    policy: &dyn PassingPolicy,
    highest: u8,
    deeds: &[Deed],
    steps: usize,
) -> Result<(), String> {
    let ids: Vec<VmId> = (1..=VMS).map(VmId::new).collect();
    let mut token = Token::new(&ids, policy, Mark::default(), Limits::default()).unwrap();
    let (mut visited, mut raised) = (BTreeSet::new(), BTreeSet::new());
    let mut waits: BTreeMap<VmId, u8> = ids.iter().map(|&id| (id, 0)).collect();
    let mut length = 0;
    for (at, deed) in deeds.iter().enumerate() {
        visited.insert(token.holder_id());
        length += 1;
        token.set_own_level(Level::new(deed.own));
        token.set_own_statistic(Statistic::from_f64(f64::from(deed.load)));
        for &(position, level) in &deed.raises {
            if position != token.holder() && token.raise_level(position, Level::new(level)) {
                raised.insert(token.id(position));
            }
        }
        if !token.pass(policy, false).new_round {
            if length >= steps {
                return Err(format!("step {at}: the round does not end"));
            }
            continue;
        }
        for (id, wait) in &mut waits {
            *wait = if visited.contains(id) { 0 } else { *wait + 1 };
            if *wait > 0 && !raised.contains(id) {
                return Err(format!("step {at}: {id} was neither visited nor raised"));
            }
            if *wait > highest {
                return Err(format!(
                    "step {at}: {id} was passed over in {wait} rounds in a row"
                ));
            }
        }
        if token.quiet_rounds() > 0 && visited.len() < ids.len() {
            return Err(format!("step {at}: a quiet round did not visit all"));
        }
        (visited, raised, length) = (BTreeSet::new(), BTreeSet::new(), 0);
    }
    Ok(())
}

fn longest_round(highest: u8) -> usize {
    VMS as usize * (usize::from(highest) + 1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn distributed_passes_over_only_whom_others_raise(deeds in deeds(4)) {
        prop_assert_eq!(run(&Distributed, 4, &deeds, longest_round(4)), Ok(()));
    }

    #[test]
    fn load_aware_passes_over_only_whom_others_raise(deeds in deeds(4)) {
        prop_assert_eq!(run(&LoadAware, 4, &deeds, usize::MAX), Ok(()));
    }

    /// Between two visits lies at most one round that passes the VM over.
    #[test]
    fn with_two_levels_nobody_waits_more_than_two_rounds(deeds in deeds(1)) {
        prop_assert_eq!(run(&Distributed, 1, &deeds, longest_round(1)), Ok(()));
        prop_assert_eq!(run(&LoadAware, 1, &deeds, usize::MAX), Ok(()));
    }

    /// Whatever the levels and loads are, a round in which they stay visits each VM once.
    #[test]
    fn a_round_without_changes_visits_each_once(deeds in deeds(4)) {
        let policies: [&dyn PassingPolicy; 2] = [&Distributed, &LoadAware];
        for policy in policies {
            let ids: Vec<VmId> = (1..=VMS).map(VmId::new).collect();
            let mut token = Token::new(&ids, policy, Mark::default(), Limits::default()).unwrap();
            for deed in &deeds {
                token.set_own_level(Level::new(deed.own));
                token.set_own_statistic(Statistic::from_f64(f64::from(deed.load)));
                token.pass(policy, false);
            }
            prop_assert!((0..VMS).any(|_| token.pass(policy, false).new_round));
            let visited: BTreeSet<VmId> = (0..VMS).map(|_| {
                let id = token.holder_id();
                token.pass(policy, false);
                id
            }).collect();
            prop_assert_eq!(visited.len(), ids.len());
            prop_assert!(token.quiet_rounds() > 0);
        }
    }
}

/// The checks above can fail: each wrong reading of Algorithm 1 is caught.
#[test]
fn wrong_readings_of_algorithm_1_starve_vms() {
    // VM 1 raises all; from then on VM 1, at level 3, lowers itself and is raised again by VM 2.
    let deed = |own, raises: &[(usize, u8)]| Deed {
        own,
        load: 0,
        raises: raises.to_vec(),
    };
    let lowers: Vec<Deed> = std::iter::once(deed(3, &[(1, 3), (2, 3), (3, 2)]))
        .chain((0..60).map(|_| deed(0, &[(0, 3), (1, 3)])))
        .collect();
    let keeps: Vec<Deed> = (0..60).map(|_| deed(1, &[(0, 1), (1, 1)])).collect();
    assert_eq!(run(&Distributed, 3, &lowers, longest_round(3)), Ok(()));
    assert_eq!(run(&Distributed, 3, &keeps, longest_round(3)), Ok(()));
    let starved = run(&C1AfterUpdate, 3, &lowers, longest_round(3)).unwrap_err();
    assert!(starved.contains("neither visited nor raised"), "{starved}");
    let endless = run(&WrapWithinLevel, 3, &keeps, longest_round(3)).unwrap_err();
    assert!(endless.contains("does not end"), "{endless}");
}

/// Two rounds are not the bound with more than two levels: VM 2 is raised past the cursor in two
/// rounds in a row, to level 1 and to level 2, by holders that tell no lie.
#[test]
fn a_vm_that_rises_twice_waits_three_rounds() {
    let ids: Vec<VmId> = (1..=4).map(VmId::new).collect();
    let mut token = Token::new(&ids, &Distributed, Mark::default(), Limits::default()).unwrap();
    let mut visits = Vec::new();
    for (own, raises) in [
        // Round 0. VM 1 talks to VM 2 over level 1 and to VM 3 over level 2; VM 4 talks to nobody.
        (2, &[(1, 1), (2, 2)][..]),
        (0, &[]),
        // Round 1. VM 3 talks to VM 2 over level 2, and the cursor, at level 2, is past VM 2 then.
        (2, &[]),
        (2, &[(1, 2)]),
        (0, &[]),
        // Round 2.
        (2, &[]),
        (2, &[]),
    ] {
        visits.push((token.round(), token.holder_id().get()));
        token.set_own_level(Level::new(own));
        for &(position, level) in raises {
            token.raise_level(position, Level::new(level));
        }
        token.pass(&Distributed, false);
    }
    assert_eq!(
        visits,
        [(0, 1), (0, 4), (1, 1), (1, 3), (1, 4), (2, 1), (2, 2)]
    );
}

/// The first holder raises all others past the cursor: its round ends at once, and proves nothing.
#[test]
fn a_round_that_passes_vms_over_is_not_quiet() {
    let ids: Vec<VmId> = (1..=3).map(VmId::new).collect();
    let mut token = Token::new(&ids, &Distributed, Mark::default(), Limits::default()).unwrap();
    token.set_own_level(Level::new(3));
    token.raise_level(1, Level::new(3));
    token.raise_level(2, Level::new(3));
    assert!(token.pass(&Distributed, false).new_round);
    assert_eq!((token.round(), token.quiet_rounds()), (1, 0));
    for _ in 0..3 {
        token.pass(&Distributed, false);
    }
    assert_eq!((token.round(), token.quiet_rounds()), (2, 1));
    token.pass(&Distributed, true);
    assert_eq!((token.migrations(), token.quiet_rounds()), (1, 0));
    for _ in 0..2 {
        token.pass(&Distributed, false);
    }
    assert_eq!(
        (token.round(), token.migrations(), token.quiet_rounds()),
        (3, 0, 0)
    );
}
