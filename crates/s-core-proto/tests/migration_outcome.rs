//! One node, led by hand: how it learns where a VM is whose migration nobody saw end.

mod common;

use std::sync::Arc;

use common::lead::{FAR, HERE, Lead, first_mark, reports, token, why_stayed};
use common::{config, server};
use s_core_proto::{
    Action, Arrival, Destination, Durable, Input, Instant, Message, Node, OpenMigration, Outcome,
    QueryId, Report, TimerKind, WhyStayed,
};
use s_core_token::PolicyKind;

fn unknown_outcome() -> (Lead, QueryId) {
    let mut lead = Lead::new();
    lead.up_to_migrating();
    let outcome = Outcome::Unknown;
    lead.feed(Input::MigrationEnded { vm: HERE, outcome });
    let actions = lead.feed(Input::Tick);
    let query = asked_outcome(&actions);
    // The token itself is not what these tests are about.
    let mark = first_mark().new_epoch(server(3)).expect("an epoch");
    lead.receives(3, Message::Yield { mark, vm: None });
    (lead, query)
}

fn asked_outcome(actions: &[Action]) -> QueryId {
    let asked = |action: &Action| match action {
        Action::Send {
            message: Message::OutcomeRequest {
                query, vm: HERE, ..
            },
            to,
        } if *to == Destination::Server(server(2)) => Some(*query),
        _ => None,
    };
    let query = actions.iter().find_map(asked);
    query.unwrap_or_else(|| panic!("the target is not asked in {actions:?}"))
}

/// Nobody guesses: the VM is left alone until both ends have said where it is.
#[test]
fn both_ends_say_how_a_migration_ended() {
    let target = server(2);
    let known = |moved| {
        Some(Report::OutcomeKnown {
            vm: HERE,
            target,
            moved,
        })
    };
    let missing = Some(Report::Missing { vm: HERE, target });
    let check = |arrival, listed: bool, wanted: Option<Report>| {
        let (mut lead, query) = unknown_outcome();
        let message = Message::OutcomeResponse {
            query,
            vm: HERE,
            arrival,
        };
        assert_eq!(lead.receives(2, message), [Action::ListHosted]);
        let here = if listed { &[HERE][..] } else { &[] };
        let actions = lead.hosted(here, 2);
        let said = reports(&actions).first().copied().cloned();
        assert_eq!(said, wanted, "{arrival:?}, listed {listed}");
        if said.is_none() {
            asked_outcome(&lead.times_out(TimerKind::Outcome));
        }
    };
    check(Arrival::Hosted, false, known(true));
    check(Arrival::Absent, true, known(false));
    check(Arrival::Absent, false, missing);
    check(Arrival::Hosted, true, None);
    check(Arrival::Arriving, true, None);
    check(Arrival::Arriving, false, None);
}

#[test]
fn an_answer_from_elsewhere_or_to_an_earlier_question_says_nothing() {
    let (mut lead, query) = unknown_outcome();
    let answer = |query| Message::OutcomeResponse {
        query,
        vm: HERE,
        arrival: Arrival::Absent,
    };
    assert_eq!(lead.receives(1, answer(query)), []);
    lead.times_out(TimerKind::Outcome);
    assert_eq!(lead.receives(2, answer(query)), []);
}

/// A crash during a migration makes its outcome unknown.
#[test]
fn a_migration_outlives_a_crash() {
    let config = Arc::new(config(server(0), 4, PolicyKind::RoundRobin));
    let migration = OpenMigration {
        vm: HERE,
        target: server(2),
        mark: first_mark(),
    };
    let durable = Durable {
        mark: first_mark(),
        migrations: vec![migration],
    };
    // A server that has been taken out of the location table can be asked nothing.
    let gone = OpenMigration {
        vm: FAR,
        target: server(77),
        ..migration
    };
    let found = Durable {
        migrations: vec![migration, gone],
        ..durable
    };
    let node = Node::new(config, found).expect("server 0 is known");
    let mut lead = Lead {
        node,
        now: Instant::ORIGIN,
        last_query: 0,
    };
    asked_outcome(&lead.feed(Input::Tick));
    lead.hosted(&[HERE], 2);
    // What is made durable later still holds it.
    let mark = first_mark().next().expect("a mark");
    let actions = lead.receives(3, Message::Token(token(HERE, mark)));
    assert_eq!(actions[0], Action::Persist(Durable { mark, ..durable }));
    let actions = lead.measured(&[(FAR, 100.0)]);
    let query = common::lead::asked_location(&actions);
    assert_eq!(why_stayed(&lead.far_is_found(query)), WhyStayed::Blocked);
}
