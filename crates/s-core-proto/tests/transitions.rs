//! One node, led by hand: how it takes the token, serves others, and hands the token on.

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::lead::{
    FAR, HERE, Lead, THIRD, ack, asked_location, first_mark, holder_and_mark, persist, sends,
    sends_to_all, token,
};
use common::{config, server, vm};
use s_core_model::{Capacity, ServerId, VmId};
use s_core_proto::{
    Action, CapacityAnswer, Demand, Destination, Durable, Input, Instant, Message, Node, QueryId,
    Report, TimerKind, TokenVerdict, WhySkipped,
};
use s_core_token::{Limits, Mark, PolicyKind, Token};

#[test]
fn an_unknown_server_is_no_node() {
    let config = Arc::new(config(ServerId::new(1), 4, PolicyKind::RoundRobin));
    let error = Node::new(config, Durable::default()).expect_err("not in the table");
    assert!(error.to_string().contains("0.0.0.1"), "{error}");
}

/// R1: the mark is durable before the token is acknowledged or acted on.
#[test]
fn a_token_is_persisted_then_acknowledged_then_acted_on() {
    let mark = first_mark();
    let actions = Lead::new().receives(3, Message::Token(token(HERE, mark)));
    let wanted = [
        persist(mark),
        sends(3, ack(mark, TokenVerdict::Accepted)),
        Action::Measure(HERE),
    ];
    assert_eq!(actions, wanted);
}

/// R4: a copy of an accepted token is acknowledged again, an older one as stale, neither acted on.
#[test]
fn a_token_is_acted_on_once() {
    let mut lead = Lead::new();
    let mark = first_mark();
    let newer = mark.next().expect("the second mark");
    lead.receives(3, Message::Token(token(HERE, newer)));
    let check = |lead: &mut Lead, mark, verdict| {
        let actions = lead.receives(3, Message::Token(token(HERE, mark)));
        assert_eq!(actions, [sends(3, ack(mark, verdict))]);
    };
    check(&mut lead, newer, TokenVerdict::Accepted);
    // The chain of this epoch has come by here since, so somebody has handed the older one on.
    check(&mut lead, mark, TokenVerdict::HandedOn);
    let mut other = mark;
    other.epoch.origin = server(1);
    check(&mut lead, other, TokenVerdict::Stale(newer));
}

/// R1 across a crash: what was persisted is known after a restart.
#[test]
fn a_restarted_node_does_not_act_on_what_it_has_seen() {
    let mark = first_mark();
    let config = Arc::new(config(server(0), 4, PolicyKind::RoundRobin));
    let node = Node::new(config, mark.into()).expect("server 0 is known");
    let mut lead = Lead {
        node,
        now: Instant::ORIGIN,
        last_query: 0,
    };
    lead.hosted(&[HERE], 2);
    let actions = lead.receives(3, Message::Token(token(HERE, mark)));
    assert_eq!(actions, [sends(3, ack(mark, TokenVerdict::Stale(mark)))]);
}

#[test]
fn a_token_for_a_vm_that_is_not_here_is_refused_and_its_mark_left_free() {
    let mut lead = Lead::new();
    let mark = first_mark();
    let actions = lead.receives(3, Message::Token(token(FAR, mark)));
    assert_eq!(
        actions,
        [
            Action::ListHosted,
            sends(3, ack(mark, TokenVerdict::NotHosted))
        ]
    );
    // Once the VM is here, the same token is welcome.
    lead.hosted(&[HERE, FAR], 1);
    let actions = lead.receives(3, Message::Token(token(FAR, mark)));
    assert_eq!(actions[2], Action::Measure(FAR));
}

#[test]
fn damaged_tokens_and_those_of_another_policy_are_refused() {
    let mut lead = Lead::new();
    let actions = lead.receives(3, Message::Token(Bytes::from_static(b"SCTK")));
    assert_eq!(
        actions,
        [sends(3, ack(Mark::default(), TokenVerdict::Malformed))]
    );
    let policy = PolicyKind::Distributed.build();
    let mark = first_mark();
    let other = Token::new(&[HERE], &*policy, mark, Limits::default()).expect("one VM");
    let actions = lead.receives(3, Message::Token(other.encode().into()));
    assert_eq!(actions, [sends(3, ack(mark, TokenVerdict::Malformed))]);
    // The right code with slots of the wrong kind: a user's policy under a number taken twice.
    let mut kind = token(HERE, mark).to_vec();
    kind[5] = 1;
    let slots = [HERE, FAR, THIRD].map(|vm| [&vm.get().to_be_bytes()[..], &[0; 5]].concat());
    kind.splice(54.., slots.concat());
    let actions = lead.receives(3, Message::Token(kind.into()));
    assert_eq!(actions, [sends(3, ack(mark, TokenVerdict::Malformed))]);
}

#[test]
fn locations_are_told_to_those_who_ask() {
    let mut lead = Lead::new();
    let query = QueryId::new(7);
    let request = |vm, directed| Message::LocationRequest {
        query,
        vm,
        directed,
    };
    let response = |vm, server| Message::LocationResponse { query, vm, server };
    let here = Some(server(0));
    assert_eq!(
        lead.receives(1, request(HERE, false)),
        [sends(1, response(HERE, here))]
    );
    assert_eq!(
        lead.receives(1, request(HERE, true)),
        [sends(1, response(HERE, here))]
    );
    // Asked with all others, one that does not host it is silent; asked alone, it says so.
    assert_eq!(lead.receives(1, request(FAR, false)), []);
    assert_eq!(
        lead.receives(1, request(FAR, true)),
        [sends(1, response(FAR, None))]
    );
    lead.receives(2, response(FAR, Some(server(2))));
    let hint = response(FAR, Some(server(2)));
    assert_eq!(lead.receives(1, request(FAR, true)), [sends(1, hint)]);
}

/// R3: all lower marks are fenced, room is promised once, and the promise ends.
#[test]
fn room_is_reserved_once_and_for_a_time() {
    let mut lead = Lead::new();
    let mark = first_mark();
    let ask = |lead: &mut Lead, vm: u32, mark: Mark| {
        let demand = Demand {
            vm: VmId::new(vm),
            memory_mib: 80,
        };
        let query = QueryId::new(u64::from(vm));
        let request = Message::CapacityRequest {
            query,
            mark,
            demands: vec![demand],
            cpu: None,
        };
        match lead.receives(3, request).pop() {
            Some(Action::Send {
                message: Message::CapacityResponse { answer, .. },
                ..
            }) => answer,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask(&mut lead, 50, mark), CapacityAnswer::Reserved);
    assert_eq!(lead.node.mark(), mark, "R6");
    assert_eq!(
        ask(&mut lead, 50, mark),
        CapacityAnswer::Reserved,
        "the same again"
    );
    assert_eq!(lead.node.reservation_count(), 1);
    let second = mark.next().expect("the second mark");
    assert_eq!(ask(&mut lead, 51, second), CapacityAnswer::Reserved);
    assert_eq!(ask(&mut lead, 52, mark), CapacityAnswer::Stale(second));
    let left = Capacity {
        vm_slots: 0,
        memory_mib: 840,
    };
    assert_eq!(ask(&mut lead, 52, second), CapacityAnswer::Full(left));
    // A VM that came is counted by the hypervisor; one that does not come gives its room back.
    lead.hosted(&[HERE, VmId::new(50)], 1);
    assert_eq!(lead.node.reservation_count(), 1);
    lead.receives(
        3,
        Message::Release {
            mark,
            vm: VmId::new(51),
        },
    );
    assert_eq!(
        lead.node.reservation_count(),
        1,
        "another mark's reservation stays"
    );
    lead.times_out(TimerKind::Reservation);
    assert_eq!(lead.node.reservation_count(), 0);
    assert_eq!(ask(&mut lead, 52, second), CapacityAnswer::Reserved);
    lead.receives(
        3,
        Message::Release {
            mark: second,
            vm: VmId::new(52),
        },
    );
    assert_eq!(lead.node.reservation_count(), 0);
}

#[test]
fn a_capacity_request_is_all_or_nothing() {
    let mut lead = Lead::new();
    let demands = (50..53)
        .map(|vm| Demand {
            vm: VmId::new(vm),
            memory_mib: 1,
        })
        .collect();
    let query = QueryId::new(1);
    let request = Message::CapacityRequest {
        query,
        mark: first_mark(),
        demands,
        cpu: None,
    };
    let left = Capacity {
        vm_slots: 2,
        memory_mib: 1000,
    };
    let answer = CapacityAnswer::Full(left);
    let actions = lead.receives(3, request);
    assert_eq!(
        actions[1],
        sends(
            3,
            Message::CapacityResponse {
                query,
                answer,
                cpu: None
            }
        )
    );
    assert_eq!(lead.node.reservation_count(), 0);
}

/// R2: the same token again until it is acknowledged; given up only in a new epoch, to another VM.
#[test]
fn an_unacknowledged_token_is_sent_again_and_then_skips_its_holder() {
    let mut lead = Lead::new();
    let mark = lead.up_to_handing();
    for _ in 1..4 {
        let mut again = lead.times_out(TimerKind::Acknowledgement);
        again.retain(|action| !matches!(action, Action::Report(Report::SentAgain { .. })));
        let [
            Action::Send {
                message: Message::Token(token),
                ..
            },
        ] = &again[..]
        else {
            panic!("{again:?}");
        };
        assert_eq!(holder_and_mark(token), (FAR, mark));
    }
    let actions = lead.times_out(TimerKind::Acknowledgement);
    let minted = mark.new_epoch(server(0)).expect("an epoch");
    assert_eq!(actions[0], persist(minted));
    let why = WhySkipped::NoAcknowledgement(server(2));
    assert_eq!(actions[1], Action::Report(Report::Skipped { vm: FAR, why }));
    assert!(matches!(
        actions[2],
        Action::Send {
            to: Destination::HostOf(THIRD),
            ..
        }
    ));
    // A late acknowledgement of the old mark changes nothing.
    assert_eq!(lead.receives(2, ack(mark, TokenVerdict::Accepted)), []);
    assert_eq!(lead.node.holder(), Some(THIRD));
}

#[test]
fn what_ends_a_hand_over() {
    let mut lead = Lead::new();
    let mark = lead.up_to_handing();
    assert_eq!(
        lead.receives(3, ack(mark, TokenVerdict::Accepted)),
        [],
        "from elsewhere"
    );
    assert_eq!(
        lead.receives(2, ack(first_mark(), TokenVerdict::Accepted)),
        [],
        "of another"
    );
    assert_eq!(lead.node.holder(), Some(FAR));
    assert_eq!(
        lead.receives(2, ack(mark, TokenVerdict::Accepted)),
        [sends(3, ack(first_mark(), TokenVerdict::HandedOn))],
        "the server that it came from need not watch it any more"
    );
    assert_eq!(lead.node.holder(), None);

    let mut lead = Lead::new();
    let mark = lead.up_to_handing();
    let higher = mark.new_epoch(server(1)).expect("an epoch");
    lead.receives(2, ack(mark, TokenVerdict::Stale(higher)));
    assert_eq!((lead.node.holder(), lead.node.mark()), (None, higher));

    // It was started again since it saw the token: nobody holds it there.
    let mut lead = Lead::new();
    let mark = lead.up_to_handing();
    let actions = lead.feed(Input::Received {
        sender: server(2),
        message: ack(mark, TokenVerdict::Stale(mark)),
    });
    let why = WhySkipped::Forgotten(server(2));
    assert!(actions.contains(&Action::Report(Report::Skipped { vm: FAR, why })));
}

/// A higher mark of the epoch can only come from whoever has got the token: only its acknowledgement was lost. Else the
/// predecessor would hear that the token is not here, and make another one.
#[test]
fn a_token_that_is_heard_of_further_on_has_been_taken() {
    let mut lead = Lead::new();
    let sent = lead.up_to_handing();
    let further = sent.next().expect("a mark");
    let from = first_mark();
    let actions = lead.receives(
        1,
        Message::Beacon {
            mark: further,
            round: 0,
        },
    );
    let handed_on = ack(from, TokenVerdict::HandedOn);
    assert!(
        actions.contains(&sends(3, handed_on.clone())),
        "{actions:?}"
    );
    assert_eq!(lead.node.watched(), Some(server(2)));
    let question = Message::CustodyRequest {
        mark: from,
        highest: further,
        vm: HERE,
    };
    assert_eq!(lead.receives(3, question), [sends(3, handed_on)]);
}

/// R2: a copy of the refused token may still be accepted there; what is sent next fences it.
#[test]
fn a_vm_that_was_not_there_gets_the_token_in_a_new_epoch() {
    let mut lead = Lead::new();
    let mark = lead.up_to_handing();
    let actions = lead.receives(2, ack(mark, TokenVerdict::NotHosted));
    let minted = mark.new_epoch(server(0)).expect("an epoch");
    assert_eq!(actions[0], persist(minted));
    let query = asked_location(&actions);
    let answer = Message::LocationResponse {
        query,
        vm: FAR,
        server: Some(server(1)),
    };
    let actions = lead.receives(1, answer);
    let next = minted.next().expect("a mark");
    assert_eq!(actions[0], persist(next));
    assert!(
        matches!(&actions[1], Action::Send { to: Destination::Server(to), .. } if *to == server(1))
    );

    // It has come here meanwhile.
    let mut lead = Lead::new();
    let mark = lead.up_to_handing();
    lead.hosted(&[HERE, FAR], 1);
    let actions = lead.receives(2, ack(mark, TokenVerdict::NotHosted));
    assert_eq!(actions.last(), Some(&Action::Measure(FAR)));
}

#[test]
fn a_vm_that_nobody_hosts_is_skipped_without_a_new_epoch() {
    let mut lead = Lead::new();
    lead.receives(3, Message::Token(token(HERE, first_mark())));
    lead.measured(&[]);
    for _ in 1..4 {
        assert_eq!(lead.times_out(TimerKind::Location).len(), 1);
    }
    let actions = lead.times_out(TimerKind::Location);
    let why = WhySkipped::NotFound;
    assert_eq!(actions[0], Action::Report(Report::Skipped { vm: FAR, why }));
    assert_eq!(lead.node.mark(), first_mark());
}

#[test]
fn minting_makes_a_new_epoch_and_starts_the_first_round() {
    let mut lead = Lead::new();
    let actions = lead.acts(Input::Mint {
        vms: vec![FAR, THIRD, FAR],
    });
    let minted = Mark::default().new_epoch(server(0)).expect("an epoch");
    let acted = minted.next().expect("a mark");
    assert_eq!(
        actions,
        [
            persist(minted),
            sends_to_all(Message::Beacon {
                mark: minted,
                round: 0
            }),
            persist(acted),
            Action::Measure(HERE)
        ]
    );
    let again = lead.feed(Input::Mint { vms: vec![FAR] });
    assert!(matches!(
        again[..],
        [Action::Report(Report::BadToken { .. })]
    ));
}

#[test]
fn a_vm_born_here_gets_a_slot() {
    let mut lead = Lead::new();
    let born = vm(15);
    lead.hosted(&[HERE, born], 1);
    lead.receives(3, Message::Token(token(HERE, first_mark())));
    let actions = lead.measured(&[]);
    assert_eq!(
        actions.last(),
        Some(&Action::Measure(born)),
        "it is next by id, and here"
    );
}

/// A VM that is nowhere to be asked may want to move: the round is not quiet.
#[test]
fn a_round_in_which_a_vm_was_not_asked_is_not_quiet() {
    let mut lead = Lead::new();
    lead.receives(3, Message::Token(token(HERE, first_mark())));
    lead.measured(&[]);
    for _ in 0..4 {
        lead.times_out(TimerKind::Location);
    }
    for _ in 0..3 {
        lead.times_out(TimerKind::Location);
    }
    let actions = lead.times_out(TimerKind::Location);
    let quiet = actions.iter().find_map(|action| match action {
        Action::Report(Report::RoundEnded { quiet_rounds, .. }) => Some(*quiet_rounds),
        _ => None,
    });
    assert_eq!(quiet, Some(0), "{actions:?}");
}

/// One odd server must not use up all marks there are.
#[test]
fn marks_beyond_all_that_can_be_are_ignored() {
    let mut lead = Lead::new();
    let mut mark = first_mark();
    mark.epoch.counter = u64::MAX;
    let query = QueryId::new(1);
    let demands = vec![Demand {
        vm: FAR,
        memory_mib: 1,
    }];
    let request = Message::CapacityRequest {
        query,
        mark,
        demands,
        cpu: None,
    };
    assert_eq!(lead.receives(3, request), []);
    assert_eq!(lead.receives(3, Message::Token(token(HERE, mark))), []);
    assert_eq!(lead.node.mark(), Mark::default());
}
