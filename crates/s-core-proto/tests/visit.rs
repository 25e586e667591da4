//! One node, led by hand through a visit of the token: measure, locate, ask for room, migrate or stay.

mod common;

use common::lead::{
    FAR, HERE, Lead, THIRD, asked_capacity, asked_location, first_mark, holder_and_mark, persist,
    sends, token, why_stayed,
};
use common::{Pairs, rate, server};
use s_core_model::{Capacity, MigrationCost, VmId};
use s_core_proto::{
    Action, CapacityAnswer, Config, Destination, Input, Message, Outcome, QueryId, Report,
    TimerKind, WhyStayed,
};
use s_core_token::{Limits, PolicyKind, Token};

#[test]
fn a_vm_migrates_to_its_peer_and_the_token_goes_on() {
    let mut lead = Lead::new();
    lead.up_to_migrating();
    let outcome = Outcome::Moved;
    let actions = lead.feed(Input::MigrationEnded { vm: HERE, outcome });
    let Some(Action::Report(Report::Migrated {
        gain, cost_before, ..
    })) = actions
        .iter()
        .find(|action| matches!(action, Action::Report(Report::Migrated { .. })))
    else {
        panic!("{actions:?}");
    };
    // 100 B/s over a path of cost 4, counted at both ends.
    assert_eq!((*gain, *cost_before), (800.0, 400.0));
    let Some(Action::Send {
        message: Message::Token(bytes),
        ..
    }) = actions.last()
    else {
        panic!("{actions:?}");
    };
    let (holder, mark) = holder_and_mark(bytes);
    assert_eq!(holder, FAR);
    assert!(mark > first_mark());
    assert_eq!(lead.node.hosted_vms().count(), 0);
}

#[test]
fn reasons_to_stay() {
    let check = |change: &dyn Fn(&mut Config<Pairs>),
                 peers: &[(VmId, f64)],
                 wanted: &dyn Fn(WhyStayed) -> bool| {
        let mut lead = Lead::with(change);
        lead.receives(3, Message::Token(token(HERE, first_mark())));
        let mut actions = lead.measured(peers);
        if !peers.is_empty() {
            let query = asked_location(&actions);
            let message = Message::LocationResponse {
                query,
                vm: FAR,
                server: Some(server(2)),
            };
            actions = lead.feed(Input::Received {
                sender: server(2),
                message,
            });
        }
        let why = why_stayed(&actions);
        assert!(wanted(why.clone()), "{why:?}");
    };
    check(&|_| {}, &[], &|why| why == WhyStayed::NoTraffic);
    let stranger = [(VmId::new(77), 5.0)];
    let mut lead = Lead::new();
    lead.receives(3, Message::Token(token(HERE, first_mark())));
    assert_eq!(why_stayed(&lead.measured(&stranger)), WhyStayed::NoTraffic);
    // Eq. 3.2 is strict: a gain of 800 is not above 800.
    let at_the_gain =
        |config: &mut Config<Pairs>| config.migration_cost = MigrationCost::Absolute(800.0);
    let best = Some((server(2), 800.0));
    let no_gain = WhyStayed::NoGain {
        best,
        threshold: 800.0,
    };
    check(&at_the_gain, &[(FAR, 100.0)], &|why| why == no_gain);
}

#[test]
fn a_vm_whose_rates_do_not_come_stays() {
    let mut lead = Lead::new();
    lead.receives(3, Message::Token(token(HERE, first_mark())));
    assert_eq!(
        why_stayed(&lead.times_out(TimerKind::Measurement)),
        WhyStayed::NotMeasured
    );
    assert_eq!(lead.measured(&[(FAR, 1.0)]), [], "too late");

    // A driver that knows that it does not know says so at once.
    let mut lead = Lead::new();
    lead.receives(3, Message::Token(token(HERE, first_mark())));
    let actions = lead.feed(Input::NotMeasured { vm: HERE });
    assert_eq!(why_stayed(&actions), WhyStayed::NotMeasured);
}

/// The gain must be worth it even if the silent peer sits beside the VM and the target is at the far end.
#[test]
fn peers_that_are_not_found_count_against_a_move() {
    for (silent_rate, moves) in [(40.0, true), (100.0, false)] {
        let mut lead = Lead::new();
        lead.receives(3, Message::Token(token(HERE, first_mark())));
        let query = asked_location(&lead.measured(&[(FAR, 100.0), (THIRD, silent_rate)]));
        let answer = Message::LocationResponse {
            query,
            vm: FAR,
            server: Some(server(2)),
        };
        assert_eq!(lead.receives(2, answer), [], "one of two peers is missing");
        for _ in 1..4 {
            let again = lead.times_out(TimerKind::Location);
            assert!(matches!(
                again[..],
                [Action::Send {
                    to: Destination::HostOf(THIRD),
                    ..
                }]
            ));
        }
        let actions = lead.times_out(TimerKind::Location);
        let count = Report::PeersNotFound { vm: HERE, count: 1 };
        assert_eq!(actions[0], Action::Report(count));
        if moves {
            asked_capacity(&actions, 2);
        } else {
            let best = Some((server(2), 800.0));
            assert_eq!(
                why_stayed(&actions),
                WhyStayed::NoGain {
                    best,
                    threshold: 800.0
                }
            );
        }
    }
}

#[test]
fn the_next_candidate_is_asked_when_one_is_full_or_silent() {
    let mut lead = Lead::new();
    lead.receives(3, Message::Token(token(HERE, first_mark())));
    let first = asked_location(&lead.measured(&[(FAR, 100.0), (THIRD, 90.0)])).get();
    for (query, vm, on) in [(first, FAR, 2), (first + 1, THIRD, 3)] {
        let query = QueryId::new(query);
        let server = Some(server(on));
        lead.receives(on, Message::LocationResponse { query, vm, server });
    }
    // FAR's pair is the dearest: its server was asked first. It is silent, and is told to forget it.
    let mut sent = Vec::new();
    for _ in 1..4 {
        asked_capacity(&lead.times_out(TimerKind::Capacity), 2);
    }
    sent.extend(lead.times_out(TimerKind::Capacity));
    let release = Message::Release {
        mark: first_mark(),
        vm: HERE,
    };
    assert!(sent.contains(&sends(2, release)));
    let query = asked_capacity(&sent, 3);
    let answer = CapacityAnswer::Full(Capacity::default());
    let message = Message::CapacityResponse {
        query,
        answer,
        cpu: None,
    };
    let actions = lead.feed(Input::Received {
        sender: server(3),
        message,
    });
    let asked = vec![server(2), server(3)];
    assert_eq!(why_stayed(&actions), WhyStayed::NoRoom { asked });
}

/// R3, the asker's side: a target that has seen a higher mark ends the visit and the token.
#[test]
fn a_fenced_token_is_dropped() {
    let mut lead = Lead::new();
    let query = lead.up_to_asking();
    let higher = first_mark().new_epoch(server(1)).expect("an epoch");
    let answer = CapacityAnswer::Stale(higher);
    let message = Message::CapacityResponse {
        query,
        answer,
        cpu: None,
    };
    let actions = lead.feed(Input::Received {
        sender: server(2),
        message,
    });
    let superseded = Report::Superseded {
        mark: first_mark(),
        by: higher,
    };
    let release = Message::Release {
        mark: first_mark(),
        vm: HERE,
    };
    assert_eq!(
        actions,
        [
            persist(higher),
            sends(2, release),
            Action::Report(superseded)
        ]
    );
    assert_eq!(lead.node.holder(), None);
}

#[test]
fn a_failed_migration_gives_the_room_back_and_an_unknown_one_blocks_the_vm() {
    let target = server(2);
    let mut lead = Lead::new();
    lead.up_to_migrating();
    let actions = lead.feed(Input::MigrationEnded {
        vm: HERE,
        outcome: Outcome::StayedHere,
    });
    let release = Message::Release {
        mark: first_mark(),
        vm: HERE,
    };
    assert!(actions.contains(&sends(2, release)));
    assert_eq!(why_stayed(&actions), WhyStayed::MigrationFailed { target });

    let mut lead = Lead::new();
    lead.up_to_migrating();
    let actions = lead.feed(Input::MigrationEnded {
        vm: HERE,
        outcome: Outcome::Unknown,
    });
    assert_eq!(why_stayed(&actions), WhyStayed::OutcomeUnknown { target });
    let later = lead.node.mark().new_epoch(server(3)).expect("an epoch");
    lead.receives(3, Message::Token(token(HERE, later)));
    let actions = lead.measured(&[(FAR, 100.0)]);
    let query = asked_location(&actions);
    let actions = lead.far_is_found(query);
    assert_eq!(why_stayed(&actions), WhyStayed::Blocked);
}

#[test]
fn a_node_migrates_one_vm_at_a_time() {
    let mut lead = Lead::new();
    lead.up_to_migrating();
    // Another token comes while the first one's migration is under way.
    let later = first_mark().new_epoch(server(3)).expect("an epoch");
    lead.receives(3, Message::Token(token(HERE, later)));
    let query = asked_location(&lead.measured(&[(FAR, 100.0)]));
    let actions = lead.far_is_found(query);
    assert_eq!(why_stayed(&actions), WhyStayed::Busy);
}

#[test]
fn a_holder_that_disappears_is_not_migrated() {
    let mut lead = Lead::new();
    let query = lead.up_to_asking();
    let actions = lead.hosted(&[], 3);
    assert_eq!(why_stayed(&actions), WhyStayed::Gone);
    let release = Message::Release {
        mark: first_mark(),
        vm: HERE,
    };
    assert!(actions.contains(&sends(2, release)));
    let answer = CapacityAnswer::Reserved;
    assert_eq!(
        lead.receives(
            2,
            Message::CapacityResponse {
                query,
                answer,
                cpu: None
            }
        ),
        []
    );
}

/// S2: time runs out on the visit, not on the migration.
#[test]
fn a_migration_that_is_never_reported_blocks_the_next() {
    let mut lead = Lead::new();
    lead.up_to_migrating();
    let actions = lead.times_out(TimerKind::Migration);
    let target = server(2);
    assert_eq!(why_stayed(&actions), WhyStayed::OutcomeUnknown { target });
    lead.hosted(&[HERE], 2);
    let later = lead.node.mark().new_epoch(server(3)).expect("an epoch");
    lead.receives(3, Message::Token(token(HERE, later)));
    let query = asked_location(&lead.measured(&[(FAR, 100.0)]));
    let actions = lead.far_is_found(query);
    assert_eq!(why_stayed(&actions), WhyStayed::Busy);
    // Its end is told when it is known, whatever the token does.
    let outcome = Outcome::Moved;
    let actions = lead.feed(Input::MigrationEnded { vm: HERE, outcome });
    assert!(matches!(
        actions[0],
        Action::Report(Report::Migrated { vm: HERE, .. })
    ));
}

#[test]
fn peers_beyond_the_bound_count_against_a_move() {
    let mut lead = Lead::with(|config| config.bounds.peers = 1);
    lead.receives(3, Message::Token(token(HERE, first_mark())));
    let query = asked_location(&lead.measured(&[(FAR, 100.0), (THIRD, 99.0)]));
    let actions = lead.far_is_found(query);
    // 99 B/s over a path of cost 4, at both ends.
    let (best, threshold) = (Some((server(2), 800.0)), 792.0);
    let asked = actions.iter().any(|action| {
        matches!(
            action,
            Action::Send {
                message: Message::CapacityRequest { .. },
                ..
            }
        )
    });
    assert!(asked, "{best:?} is above {threshold}: {actions:?}");
    let mut lead = Lead::with(|config| config.bounds.peers = 1);
    lead.receives(3, Message::Token(token(HERE, first_mark())));
    let query = asked_location(&lead.measured(&[(FAR, 100.0), (THIRD, 100.0)]));
    let actions = lead.far_is_found(query);
    let threshold = 800.0;
    assert_eq!(why_stayed(&actions), WhyStayed::NoGain { best, threshold });
}

#[test]
fn any_number_of_answers_that_point_elsewhere_is_taken() {
    let mut lead = Lead::new();
    lead.receives(3, Message::Token(token(HERE, first_mark())));
    let query = asked_location(&lead.measured(&[(FAR, 100.0)]));
    let elsewhere = Message::LocationResponse {
        query,
        vm: FAR,
        server: None,
    };
    let sent: usize = (0..1000)
        .map(|_| lead.receives(1, elsewhere.clone()).len())
        .sum();
    assert_eq!(sent, 3, "as often as a request is tried");
}

/// What the load-aware policy orders by, also for a VM that has fallen silent.
#[test]
fn the_holder_reports_its_load() {
    for (peers, load) in [(&[(FAR, 100.0), (THIRD, 50.0)][..], 150.0), (&[], 0.0)] {
        let mut lead = Lead::with(|config| config.policy = PolicyKind::LoadAware.build().into());
        let policy = PolicyKind::LoadAware.build();
        let mut token = Token::new(
            &[HERE, FAR, THIRD],
            &*policy,
            first_mark(),
            Limits::default(),
        )
        .expect("three VMs");
        token.set_own_statistic(rate(7.0).into());
        lead.receives(3, Message::Token(token.encode().into()));
        lead.measured(peers);
        if peers.is_empty() {
            // Now among the least loaded, it has its turn again.
            lead.measured(peers);
        } else {
            for _ in 0..4 {
                lead.times_out(TimerKind::Location);
            }
        }
        assert_eq!(lead.next_token_slot_of(HERE), load);
    }
}
