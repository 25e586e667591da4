//! Limits on migrations: what a flooder can do without them, and not with them.

mod common;

use std::time::Duration;

use common::lead::{
    FAR, HERE, Lead, THIRD, asked_capacity, asked_location, first_mark, sends, token, why_stayed,
};
use common::{Pairs, rate, server};
use proptest::prelude::*;
use s_core_model::{Capacity, Rate};
use s_core_proto::{
    Action, CapacityAnswer, Config, Demand, Message, PairShare, QueryId, WhyStayed,
};

fn share(part: f64) -> PairShare {
    PairShare::new(part).expect("a part of the whole")
}

/// VM 10 talks to a VM beside it at 1 B/s, and VM 20 on server 2 floods it.
fn flooded(flood: f64, change: &dyn Fn(&mut Config<Pairs>)) -> Vec<Action> {
    let mut lead = Lead::with(change);
    lead.hosted(&[HERE, THIRD], 2);
    lead.receives(3, Message::Token(token(HERE, first_mark())));
    let query = asked_location(&lead.measured(&[(THIRD, 1.0), (FAR, flood)]));
    lead.far_is_found(query)
}

#[test]
fn a_flooder_moves_its_victim_unless_its_share_is_capped() {
    for flood in [1.5, 1e3, 1e15] {
        asked_capacity(&flooded(flood, &|_| {}), 2);
        let half = |config: &mut Config<Pairs>| config.limits.pair_share = share(0.5);
        let target = server(2);
        let why = why_stayed(&flooded(flood, &half));
        assert_eq!(why, WhyStayed::PairShare { target });
    }
}

/// A VM's only peer is no reason for suspicion; neither is one of several that are all elsewhere.
#[test]
fn a_cap_leaves_ordinary_moves() {
    for peers in [&[(FAR, 100.0)][..], &[(FAR, 100.0), (THIRD, 90.0)]] {
        let mut lead = Lead::with(|config| config.limits.pair_share = share(0.5));
        lead.receives(3, Message::Token(token(HERE, first_mark())));
        let first = asked_location(&lead.measured(peers)).get();
        let mut actions = Vec::new();
        for (query, (vm, _)) in (first..).zip(peers) {
            let (query, server) = (QueryId::new(query), Some(server(2)));
            let vm = *vm;
            actions = lead.receives(2, Message::LocationResponse { query, vm, server });
        }
        asked_capacity(&actions, 2);
    }
}

#[test]
fn a_pinned_vm_stays() {
    let pinned = |config: &mut Config<Pairs>| config.limits.pinned = [HERE].into();
    assert_eq!(why_stayed(&flooded(9.0, &pinned)), WhyStayed::Excluded);
    let other = |config: &mut Config<Pairs>| config.limits.pinned = [FAR].into();
    asked_capacity(&flooded(9.0, &other), 2);
}

fn asks_for_room(lead: &mut Lead, answer: CapacityAnswer) {
    let (query, mark) = (QueryId::new(1), first_mark());
    let demands = vec![Demand {
        vm: HERE,
        memory_mib: 80,
    }];
    let actions = lead.receives(
        3,
        Message::CapacityRequest {
            query,
            mark,
            demands,
            cpu: None,
        },
    );
    let response = Message::CapacityResponse {
        query,
        answer,
        cpu: None,
    };
    assert!(actions.contains(&sends(3, response)), "{actions:?}");
}

#[test]
fn a_server_that_takes_none_has_no_room() {
    let mut lead = Lead::with(|config| config.limits.takes_none = true);
    lead.hosted(&[FAR], 2);
    asks_for_room(&mut lead, CapacityAnswer::Full(Capacity::default()));
    assert_eq!(lead.node.reservation_count(), 0);
}

/// A VM that came against a reservation is not moved on at once; one that was here, or came otherwise, is.
#[test]
fn a_vm_that_has_arrived_stays_for_a_while() {
    let cool_down = Duration::from_secs(300);
    let check = |reserved: bool, waited: Duration, moves: bool| {
        let mut lead = Lead::with(|config| config.limits.cool_down = cool_down);
        lead.hosted(&[], 3);
        if reserved {
            asks_for_room(&mut lead, CapacityAnswer::Reserved);
        }
        lead.hosted(&[HERE], 2);
        let until = lead.now + cool_down;
        // Listed again, it has not come again.
        lead.now = lead.now + waited / 2;
        lead.hosted(&[HERE], 2);
        lead.now = lead.now + (waited - waited / 2);
        let next = first_mark().new_epoch(server(3)).expect("an epoch");
        lead.receives(3, Message::Token(token(HERE, next)));
        let query = asked_location(&lead.measured(&[(FAR, 100.0)]));
        let actions = lead.far_is_found(query);
        if moves {
            asked_capacity(&actions, 2);
        } else {
            assert_eq!(why_stayed(&actions), WhyStayed::CoolingDown { until });
        }
    };
    check(true, Duration::ZERO, false);
    check(true, cool_down - Duration::from_nanos(1), false);
    check(true, cool_down, true);
    check(false, Duration::ZERO, true);
}

/// The greatest height that keeps every rate within the share, found by halving.
fn plainly(rates: &[f64], share: f64) -> f64 {
    let share = share.max(1.0 / rates.len() as f64) * (1.0 + 1e-12);
    let fits = |height: f64| {
        let sum: f64 = rates.iter().map(|rate| rate.min(height)).sum();
        rates.iter().all(|rate| rate.min(height) <= share * sum)
    };
    let (mut low, mut high) = (0.0, rates.iter().copied().fold(0.0, f64::max));
    if fits(high) {
        return high;
    }
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if fits(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

proptest! {
    #[test]
    fn a_cap_is_the_greatest_height_within_the_share(
        rates in prop::collection::vec((1u32..1000, 0i32..6), 1..12),
        part in 0.01f64..=1.0,
    ) {
        let rates: Vec<f64> = rates.iter().map(|(n, e)| f64::from(*n) * 10f64.powi(*e)).collect();
        let mut capped: Vec<Rate> = rates.iter().map(|r| rate(*r)).collect();
        share(part).cap(&mut capped);
        let height = plainly(&rates, part);
        for (rate, capped) in rates.iter().zip(&capped) {
            let (wanted, capped) = (rate.min(height), capped.bytes_per_second());
            prop_assert!((capped - wanted).abs() <= 1e-6 * wanted, "{} for {} of {:?}", capped, wanted, rates);
        }
    }

    /// With a share of a half or less, one pair never draws a VM away from where all its others are.
    #[test]
    fn one_pair_never_outweighs_the_others_together(
        others in prop::collection::vec(1u32..1000, 1..6),
        flood in 1e3f64..1e12,
        part in 0.01f64..=0.5,
    ) {
        let mut rates: Vec<Rate> = others.iter().map(|r| rate(f64::from(*r))).collect();
        rates.push(rate(flood));
        share(part).cap(&mut rates);
        let flood = rates.pop().expect("it was pushed").bytes_per_second();
        let others: f64 = rates.iter().map(|r| r.bytes_per_second()).sum();
        prop_assert!(flood <= others * (1.0 + 1e-12));
    }
}

#[test]
fn shares() {
    for wrong in [0.0, -0.5, 1.1, f64::NAN, f64::INFINITY] {
        let error = PairShare::new(wrong).expect_err("no share");
        assert!(
            error.to_string().contains("above 0 and at most 1"),
            "{error}"
        );
    }
    let check = |part: f64, rates: &[f64], wanted: &[f64]| {
        let mut capped: Vec<Rate> = rates.iter().map(|r| rate(*r)).collect();
        share(part).cap(&mut capped);
        let capped: Vec<f64> = capped.iter().map(|r| r.bytes_per_second()).collect();
        assert_eq!(capped, wanted, "{part} of {rates:?}");
    };
    check(1.0, &[1.0, 1e18], &[1.0, 1e18]);
    check(0.5, &[], &[]);
    check(0.1, &[7.0], &[7.0]);
    check(0.1, &[7.0, 3.0], &[3.0, 3.0]);
    check(0.5, &[7.0, 3.0], &[3.0, 3.0]);
    check(0.5, &[7.0, 3.0, 4.0], &[7.0, 3.0, 4.0]);
    check(0.5, &[100.0, 3.0, 4.0], &[7.0, 3.0, 4.0]);
    check(0.25, &[100.0, 2.0, 100.0, 4.0], &[2.0, 2.0, 2.0, 2.0]);
    check(0.5, &[1e18, 1e18, 1e18, 1.0], &[1e18, 1e18, 1e18, 1.0]);
    check(0.5, &[0.0, 5.0], &[0.0, 0.0]);
}
