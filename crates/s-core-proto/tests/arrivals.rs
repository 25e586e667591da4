//! One node, led by hand: which VMs it lets in (rule R3), and what it says of those that are on their way.

mod common;

use std::time::Duration;

use common::lead::{HERE, Lead, first_mark, sends};
use common::vm;
use s_core_proto::{Action, Arrival, CapacityAnswer, Demand, Input, Message, QueryId};
use s_core_token::Mark;

fn reserve(lead: &mut Lead, number: u32, mark: Mark) -> CapacityAnswer {
    let (query, memory_mib) = (QueryId::new(1), 80);
    let demands = vec![Demand {
        vm: vm(number),
        memory_mib,
    }];
    let request = Message::CapacityRequest {
        query,
        mark,
        demands,
        cpu: None,
    };
    match lead.receives(3, request).pop() {
        Some(Action::Send {
            message: Message::CapacityResponse { answer, .. },
            ..
        }) => answer,
        other => panic!("{other:?}"),
    }
}

/// R3: a VM comes in once, against a reservation that has not ended.
#[test]
fn arrivals_are_admitted_once() {
    let mark = first_mark();
    let arriving = |lead: &mut Lead| lead.acts(Input::Arriving { vm: vm(50) });
    let (admit, refuse) = (Action::Admit(vm(50)), Action::Refuse(vm(50)));
    let mut lead = Lead::new();
    assert_eq!(arriving(&mut lead)[0], refuse, "nothing is reserved");
    assert_eq!(reserve(&mut lead, 50, mark), CapacityAnswer::Reserved);
    assert_eq!(arriving(&mut lead), [admit]);
    assert_eq!(arriving(&mut lead)[0], refuse, "once");
    // While it arrives its room is kept, however long that takes.
    lead.now = lead.now + Duration::from_secs(3600);
    lead.acts(Input::Tick);
    assert_eq!(lead.node.reservation_count(), 1);
    lead.acts(Input::ArrivalFailed { vm: vm(50) });
    assert_eq!(lead.node.reservation_count(), 0);
    // A late copy of the request reserves nothing.
    let mut lead = Lead::new();
    lead.receives(3, Message::Release { mark, vm: vm(50) });
    assert!(matches!(
        reserve(&mut lead, 50, mark),
        CapacityAnswer::Full(_)
    ));
    let next = mark.next().expect("a mark");
    assert_eq!(reserve(&mut lead, 50, next), CapacityAnswer::Reserved);
    // Whoever asks how it ended, and hears that the VM is not there, can rely on it.
    let query = QueryId::new(9);
    let request = Message::OutcomeRequest {
        query,
        mark: next,
        vm: vm(50),
    };
    let arrival = Arrival::Absent;
    let answer = Message::OutcomeResponse {
        query,
        vm: vm(50),
        arrival,
    };
    assert_eq!(lead.receives(3, request), [sends(3, answer)]);
    assert_eq!(arriving(&mut lead), [refuse]);
}

/// Where nobody asks before a VM arrives, one that is expected may be on its way.
#[test]
fn an_expected_vm_is_not_said_to_be_absent_by_a_server_that_is_not_asked() {
    let mark = first_mark();
    let asked = |asks_admission: bool, waits: Duration| {
        let mut lead = Lead::with(|config| config.asks_admission = asks_admission);
        assert_eq!(reserve(&mut lead, 50, mark), CapacityAnswer::Reserved);
        lead.now = lead.now + waits;
        let (query, vm) = (QueryId::new(9), vm(50));
        let actions = lead.receives(3, Message::OutcomeRequest { query, mark, vm });
        match actions.last() {
            Some(Action::Send {
                message: Message::OutcomeResponse { arrival, .. },
                ..
            }) => *arrival,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(asked(true, Duration::ZERO), Arrival::Absent);
    assert_eq!(asked(false, Duration::ZERO), Arrival::Arriving);
    let expired = Duration::from_secs(900);
    assert_eq!(asked(false, expired), Arrival::Absent);
}

/// A promise is kept for a VM that was seen to come, as long as it does, and in the size that was asked for.
#[test]
fn an_arrival_that_nobody_asked_about_outlives_the_promise() {
    let mark = first_mark();
    let mut lead = Lead::with(|config| config.asks_admission = false);
    assert_eq!(reserve(&mut lead, 50, mark), CapacityAnswer::Reserved);
    let promised: Vec<_> = lead.node.reservations().collect();
    assert!(!lead.node.is_arriving(vm(50)));
    let (vm, memory_mib) = (vm(50), 1);
    lead.acts(Input::StillArriving { vm, memory_mib });
    lead.now = lead.now + Duration::from_secs(900);
    lead.acts(Input::Tick);
    assert!(lead.node.is_arriving(vm));
    assert_eq!(lead.node.reservations().collect::<Vec<_>>(), promised);
    lead.acts(Input::ArrivalFailed { vm });
    assert!(!lead.node.is_arriving(vm));
    assert_eq!(lead.node.reservation_count(), 0);
}

/// What was let in before a crash is on its way still: nobody may be told that it is not there.
#[test]
fn a_vm_that_is_still_arriving_after_a_restart_is_not_absent() {
    let (mark, query, memory_mib) = (first_mark(), QueryId::new(9), 64);
    let still = vm(50);
    let mut lead = Lead::new();
    lead.acts(Input::StillArriving {
        vm: still,
        memory_mib,
    });
    assert_eq!(
        lead.node.reservations().collect::<Vec<_>>(),
        [(still, memory_mib)]
    );
    let request = Message::OutcomeRequest {
        query,
        mark,
        vm: still,
    };
    let arrival = Arrival::Arriving;
    let answer = Message::OutcomeResponse {
        query,
        vm: still,
        arrival,
    };
    assert_eq!(
        lead.receives(3, request),
        [Action::ListHosted, sends(3, answer)]
    );
    let refused = lead.acts(Input::Arriving { vm: still });
    assert_eq!(refused, [Action::Refuse(still)], "once");
    lead.hosted(&[HERE, still], 0);
    assert_eq!(lead.node.reservation_count(), 0);
}
