//! One node, led by hand through what can happen to a token and to a migration (rule R5).

mod common;

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use common::lead::{
    FAR, HERE, Lead, THIRD, ack, first_mark, persist, sends, sends_to_all, token, why_stayed,
};
use common::{config, server, vm};
use s_core_proto::{
    Action, Arrival, CapacityAnswer, Demand, Destination, Durable, Input, Instant, Message, Node,
    OpenMigration, Outcome, QueryId, Report, TimerKind, TokenVerdict, WhySkipped, WhyStayed,
};
use s_core_token::{Mark, PolicyKind};

/// VM 20 on server 2 has the token, and this node keeps the copy.
fn custodian() -> (Lead, Mark) {
    let mut lead = Lead::new();
    let mark = lead.up_to_handing();
    lead.receives(2, ack(mark, TokenVerdict::Accepted));
    assert_eq!(lead.node.holder(), None);
    (lead, mark)
}

fn question(lead: &Lead, mark: Mark) -> Action {
    let highest = lead.node.mark();
    sends(
        2,
        Message::CustodyRequest {
            mark,
            highest,
            vm: FAR,
        },
    )
}

fn reports<'a>(actions: &'a [Action]) -> Vec<&'a Report> {
    let report = |action: &'a Action| match action {
        Action::Report(report) => Some(report),
        _ => None,
    };
    actions.iter().filter_map(report).collect()
}

#[test]
fn a_silent_successor_is_asked_and_then_the_copy_goes_on_in_a_new_epoch() {
    let (mut lead, mark) = custodian();
    let doubt = lead.times_out(TimerKind::Custody);
    assert_eq!(
        reports(&doubt),
        [&Report::InDoubt {
            server: server(2),
            mark
        }]
    );
    assert_eq!(doubt.last(), Some(&question(&lead, mark)));
    for _ in 1..4 {
        assert_eq!(lead.times_out(TimerKind::Custody), [question(&lead, mark)]);
    }
    let minted = mark.new_epoch(server(0)).expect("an epoch");
    let actions = lead.times_out(TimerKind::Custody);
    assert_eq!(actions[0], persist(minted));
    let why = WhySkipped::NoAcknowledgement(server(2));
    let (from, mark) = (server(2), minted);
    assert_eq!(
        reports(&actions),
        [
            &Report::Recovered { from, mark },
            &Report::Skipped { vm: FAR, why }
        ]
    );
    assert_eq!(lead.node.holder(), Some(THIRD), "the one after it is next");
}

#[test]
fn keep_alives_and_answers_end_the_doubt() {
    let (mut lead, mark) = custodian();
    let current = mark.next().expect("a mark");
    let alive = Message::KeepAlive { mark, current };
    for _ in 0..50 {
        lead.now = lead.now + Duration::from_secs(4);
        assert_eq!(lead.acts(Input::Tick), [], "nothing is doubted");
        lead.receives(2, alive.clone());
    }
    assert_eq!(lead.node.mark(), current, "R6");
    lead.times_out(TimerKind::Custody);
    lead.receives(2, alive);
    // Not asked again a moment later, but after a while.
    assert!(lead.node.poll_timeout().expect("custody").0 - lead.now >= Duration::from_secs(5));
    assert_eq!(
        lead.times_out(TimerKind::Custody).last(),
        Some(&question(&lead, mark))
    );
}

#[test]
fn what_a_successor_answers_ends_the_custody() {
    let check = |verdict, recovered: bool| {
        let (mut lead, mark) = custodian();
        lead.receives(3, ack(mark, verdict));
        assert!(
            lead.node
                .poll_timeout()
                .is_some_and(|(_, kind)| kind == TimerKind::Custody)
        );
        lead.receives(2, ack(mark, verdict));
        assert_eq!(lead.node.holder().is_some(), recovered, "{verdict:?}");
        let next = lead.node.poll_timeout().expect("silence at least");
        assert_ne!(next.1, TimerKind::Custody, "{verdict:?}");
    };
    let (_, mark) = custodian();
    check(TokenVerdict::HandedOn, false);
    // It was started again and has forgotten the token, or the visits after it.
    check(TokenVerdict::Stale(mark), true);
    check(TokenVerdict::Stale(mark.next().expect("a mark")), true);
    // Another epoch rules.
    check(
        TokenVerdict::Stale(mark.new_epoch(server(1)).expect("an epoch")),
        false,
    );
}

/// A copy of a token that another epoch has replaced is of no use.
#[test]
fn a_copy_that_was_fenced_is_not_used() {
    let (mut lead, mark) = custodian();
    let higher = mark.new_epoch(server(3)).expect("an epoch");
    lead.receives(
        3,
        Message::Beacon {
            mark: higher,
            round: 0,
        },
    );
    assert_eq!(lead.times_out(TimerKind::Custody), []);
    assert_eq!((lead.node.holder(), lead.node.mark()), (None, higher));
}

#[test]
fn a_holder_tells_its_predecessor_that_the_token_is_here() {
    let mut lead = Lead::new();
    let mark = first_mark();
    lead.up_to_migrating();
    let alive = sends(
        3,
        Message::KeepAlive {
            mark,
            current: mark,
        },
    );
    let mut told = 0;
    for _ in 0..10 {
        lead.now = lead.now + Duration::from_secs(1);
        told += lead
            .acts(Input::Tick)
            .iter()
            .filter(|action| **action == alive)
            .count();
    }
    assert_eq!(told, 10, "also while its holder migrates");
    let request = Message::CustodyRequest {
        mark,
        highest: mark,
        vm: HERE,
    };
    assert_eq!(lead.receives(3, request), [alive]);
}

#[test]
fn whoever_has_lost_the_token_says_so() {
    let mark = first_mark();
    let config = Arc::new(config(server(0), 4, PolicyKind::RoundRobin));
    let node = Node::new(config, mark.into()).expect("server 0 is known");
    let mut lead = Lead {
        node,
        now: Instant::ORIGIN,
        last_query: 0,
    };
    lead.hosted(&[HERE], 2);
    let request = Message::CustodyRequest {
        mark,
        highest: mark,
        vm: HERE,
    };
    assert_eq!(
        lead.receives(3, request),
        [sends(3, ack(mark, TokenVerdict::Stale(mark)))]
    );
}

fn claimant() -> Lead {
    Lead::with(|config| config.timing.silence = Duration::from_secs(45))
}

#[test]
fn silence_leads_to_a_claim_and_a_claim_to_a_token() {
    let mut lead = claimant();
    let claim = sends_to_all(Message::Claim {
        mark: Mark::default(),
        round: 0,
    });
    let actions = lead.times_out(TimerKind::Silence);
    assert_eq!(lead.now, Instant::after_origin(Duration::from_secs(45)));
    let mark = Mark::default();
    assert_eq!(
        actions,
        [Action::Report(Report::Claiming { mark }), claim.clone()]
    );
    for _ in 1..4 {
        assert_eq!(
            lead.times_out(TimerKind::Silence)[..],
            *slice::from_ref(&claim)
        );
    }
    // It minds the marks that it hears of meanwhile.
    let seen = first_mark();
    lead.receives(
        1,
        Message::Yield {
            mark: seen,
            vm: None,
        },
    );
    let minted = seen.new_epoch(server(0)).expect("an epoch");
    let actions = lead.times_out(TimerKind::Silence);
    assert_eq!(actions[0], persist(minted));
    assert_eq!(lead.node.holder(), Some(HERE));
}

#[test]
fn what_parks_a_claim() {
    let higher = first_mark();
    let check = |from: u32, message: Message, parked: bool| {
        let mut lead = claimant();
        lead.times_out(TimerKind::Silence);
        lead.receives(from, message.clone());
        let (at, _) = lead.node.poll_timeout().expect("silence");
        assert_eq!(
            at - lead.now >= Duration::from_secs(45),
            parked,
            "{message:?}"
        );
    };
    let round = 0;
    check(
        2,
        Message::Beacon {
            mark: higher,
            round,
        },
        true,
    );
    check(
        2,
        Message::Claim {
            mark: higher,
            round,
        },
        true,
    );
    // Of equals, the higher address goes first.
    check(
        2,
        Message::Claim {
            mark: Mark::default(),
            round,
        },
        true,
    );
    check(
        2,
        Message::Yield {
            mark: higher,
            vm: None,
        },
        false,
    );
}

#[test]
fn a_better_claim_is_answered_by_the_claim() {
    let mut lead = claimant();
    let mark = first_mark();
    lead.receives(1, Message::Yield { mark, vm: None });
    lead.times_out(TimerKind::Silence);
    let theirs = Message::Claim {
        mark: Mark::default(),
        round: 7,
    };
    let ours = Message::Claim { mark, round: 0 };
    assert_eq!(lead.receives(3, theirs), [sends(3, ours)]);
}

#[test]
fn a_claim_is_answered_by_whoever_knows_the_token() {
    let mark = first_mark();
    let claim = Message::Claim { mark, round: 0 };
    let mut holder = Lead::new();
    holder.receives(3, Message::Token(token(HERE, mark)));
    let beacon = Message::Beacon { mark, round: 0 };
    assert_eq!(holder.receives(1, claim.clone()), [sends(1, beacon)]);

    // A mark that is on its way is not told: the receiver would take the token for a stale one.
    let mut handing = Lead::new();
    let sent = handing.up_to_handing();
    assert!(sent > mark);
    let beacon = Message::Beacon { mark, round: 0 };
    assert_eq!(handing.receives(1, claim.clone()), [sends(1, beacon)]);

    let (mut custodian, kept) = custodian();
    let beacon = Message::Beacon {
        mark: kept,
        round: 0,
    };
    assert_eq!(custodian.receives(1, claim.clone()), [sends(1, beacon)]);

    let mut bystander = Lead::new();
    let seen = mark.next().expect("a mark");
    bystander.receives(
        1,
        Message::Yield {
            mark: seen,
            vm: None,
        },
    );
    // And so that the new token comes here, if the claimant knows of none but VMs that are gone.
    let knows = |vm| [sends(1, Message::Yield { mark: seen, vm })];
    assert_eq!(bystander.receives(1, claim), knows(Some(HERE)));
    bystander.hosted(&[], 4);
    let higher = Message::Claim {
        mark: seen,
        round: 0,
    };
    assert_eq!(bystander.receives(1, higher), []);
}

#[test]
fn a_beacon_of_an_older_epoch_is_fenced() {
    let mut lead = Lead::new();
    let mark = first_mark();
    let newer = mark.new_epoch(server(1)).expect("an epoch");
    lead.receives(
        1,
        Message::Yield {
            mark: newer,
            vm: None,
        },
    );
    let beacon = Message::Beacon { mark, round: 3 };
    assert_eq!(
        lead.receives(2, beacon),
        [sends(
            2,
            Message::Yield {
                mark: newer,
                vm: None
            }
        )]
    );
    // And so its holder drops the token, keeping what it needs to make another.
    let mut holder = Lead::new();
    holder.receives(3, Message::Token(token(HERE, mark)));
    let actions = holder.feed(Input::Received {
        sender: server(1),
        message: Message::Yield {
            mark: newer,
            vm: None,
        },
    });
    assert_eq!(reports(&actions), [&Report::Superseded { mark, by: newer }]);
}

#[test]
fn a_server_that_the_token_passes_by_asks_for_a_slot() {
    let mut lead = Lead::new();
    let mark = first_mark();
    let beacon = |round| Message::Beacon { mark, round };
    assert_eq!(lead.receives(2, beacon(5)), [persist(mark)]);
    assert_eq!(lead.receives(2, beacon(6)), []);
    assert_eq!(
        lead.receives(2, beacon(7)),
        [sends(2, Message::Join { vm: HERE })]
    );
    // It came by: nothing more to ask for.
    let next = mark.next().expect("a mark");
    lead.receives(3, Message::Token(token(HERE, next)));
    lead.receives(2, beacon(0));
    assert_eq!(lead.receives(2, beacon(1)), []);
}

#[test]
fn a_newcomer_gets_a_slot() {
    let newcomer = vm(40);
    let mut lead = Lead::new();
    lead.receives(3, Message::Token(token(HERE, first_mark())));
    lead.receives(1, Message::Join { vm: newcomer });
    lead.measured(&[]);
    let answer = Message::LocationResponse {
        query: QueryId::new(lead.last_query),
        vm: FAR,
        server: Some(server(2)),
    };
    let actions = lead.receives(2, answer);
    let Some(Action::Send {
        message: Message::Token(bytes),
        ..
    }) = actions.last()
    else {
        panic!("{actions:?}");
    };
    let view = s_core_token::TokenView::new_checked(&bytes[..], Default::default());
    let slots: Vec<_> = view.expect("proper").slots().map(|slot| slot.id).collect();
    assert_eq!(slots, [HERE, FAR, THIRD, newcomer]);
}

#[test]
fn a_vm_that_nobody_hosts_loses_its_slot() {
    let mut lead = Lead::new();
    lead.receives(3, Message::Token(token(HERE, first_mark())));
    lead.measured(&[]);
    for _ in 0..8 {
        lead.times_out(TimerKind::Location);
    }
    // Both others are gone; the next round has one visit.
    assert_eq!(lead.node.holder(), Some(HERE));
    let actions = lead.measured(&[(FAR, 100.0)]);
    assert_eq!(why_stayed(&actions), WhyStayed::NoTraffic);
}

#[test]
fn a_token_without_changes_rests() {
    let mut lead = Lead::with(|config| config.bounds.quiet_rounds = 1);
    lead.hosted(&[HERE, FAR, THIRD], 0);
    lead.receives(3, Message::Token(token(HERE, first_mark())));
    let visit = |lead: &mut Lead| {
        let vm = lead.node.holder().expect("the token is here");
        lead.acts(Input::Measured { vm, peers: vec![] })
    };
    // All slots are visited at once, and again since the first round was not whole; then it rests.
    let mut visits = 1;
    while !visit(&mut lead).is_empty() {
        visits += 1;
    }
    assert!((3..=6).contains(&visits), "{visits}");
    let next = lead.node.poll_timeout().expect("signs of life at least");
    assert_ne!(next.1, TimerKind::Rest);
    let rest = lead.times_out(TimerKind::Rest);
    assert_eq!(lead.now, Instant::after_origin(Duration::from_secs(10)));
    assert!(
        matches!(rest.last(), Some(Action::Measure(HERE))),
        "{rest:?}"
    );
    // Somebody who wants a slot does not wait for the end of the rest.
    while !visit(&mut lead).is_empty() {}
    let began = lead.now;
    lead.receives(1, Message::Join { vm: vm(40) });
    lead.times_out(TimerKind::Rest);
    assert_eq!(lead.now, began);
}

#[test]
fn an_agent_that_leaves_hands_the_token_on_and_takes_none() {
    let mut lead = Lead::with(|config| config.timing.rest = Duration::from_secs(1));
    lead.hosted(&[HERE, THIRD], 0);
    lead.receives(3, Message::Token(token(HERE, first_mark())));
    lead.measured(&[]);
    let actions = lead.acts(Input::Leave);
    assert!(
        matches!(
            actions[..],
            [Action::Send {
                to: Destination::HostOf(FAR),
                ..
            }]
        ),
        "{actions:?}"
    );
    let next = first_mark().new_epoch(server(3)).expect("an epoch");
    let actions = lead.receives(3, Message::Token(token(HERE, next)));
    assert_eq!(
        actions.last(),
        Some(&sends(3, ack(next, TokenVerdict::NotHosted)))
    );
}

/// Its migration may keep it for minutes yet; its claim must not keep the others from making a token.
#[test]
fn an_agent_that_leaves_claims_no_more() {
    let mut lead = claimant();
    lead.times_out(TimerKind::Silence);
    lead.acts(Input::Leave);
    let (mark, round) = (Mark::default(), 0);
    // Were it claiming still, its own claim would be the answer, since it has seen the higher mark.
    lead.receives(
        2,
        Message::Yield {
            mark: first_mark(),
            vm: None,
        },
    );
    let answer = Message::Yield {
        mark: first_mark(),
        vm: None,
    };
    assert_eq!(
        lead.receives(2, Message::Claim { mark, round }),
        [sends(2, answer)]
    );
}

/// The VMs that a leaving agent passes over were not asked.
#[test]
fn a_round_that_ends_with_a_leaving_agent_is_not_quiet() {
    let mut lead = Lead::with(|config| config.timing.rest = Duration::from_secs(1));
    lead.hosted(&[FAR, THIRD], 0);
    lead.receives(3, Message::Token(token(FAR, first_mark())));
    lead.acts(Input::Measured {
        vm: FAR,
        peers: vec![],
    });
    let actions = lead.feed(Input::Leave);
    let ended = |report: &&&Report| matches!(report, Report::RoundEnded { .. });
    let reports = reports(&actions);
    let Some(Report::RoundEnded { quiet_rounds, .. }) = reports.iter().find(ended) else {
        panic!("{reports:?}");
    };
    assert_eq!(*quiet_rounds, 0);
}

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
    let check = |arrival, listed: bool, known: Option<bool>| {
        let (mut lead, query) = unknown_outcome();
        let message = Message::OutcomeResponse {
            query,
            vm: HERE,
            arrival,
        };
        assert_eq!(lead.receives(2, message), [Action::ListHosted]);
        let here = if listed { &[HERE][..] } else { &[] };
        let actions = lead.hosted(here, 2);
        let wanted = known.map(|moved| Report::OutcomeKnown {
            vm: HERE,
            target,
            moved,
        });
        let said = reports(&actions).first().copied().cloned();
        assert_eq!(said, wanted, "{arrival:?}, listed {listed}");
        if known.is_none() {
            asked_outcome(&lead.times_out(TimerKind::Outcome));
        }
    };
    check(Arrival::Hosted, false, Some(true));
    check(Arrival::Absent, true, Some(false));
    check(Arrival::Absent, false, Some(false));
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

#[test]
fn the_sequence_ends_in_a_new_epoch() {
    let mut last = first_mark();
    last.seq = u64::MAX;
    let mut lead = Lead::new();
    lead.hosted(&[HERE, FAR], 1);
    lead.receives(3, Message::Token(token(HERE, last)));
    let actions = lead.measured(&[]);
    let minted = last.new_epoch(server(0)).expect("an epoch");
    assert!(actions.contains(&persist(minted)), "{actions:?}");
    assert_eq!(actions.last(), Some(&Action::Measure(FAR)));
}
