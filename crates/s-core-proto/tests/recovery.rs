//! One node, led by hand through what can happen to a token: who keeps it, asks for it, and makes another (rule R5).

mod common;

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use common::lead::{
    FAR, HERE, Lead, THIRD, ack, first_mark, persist, reports, sends, sends_to_all, token,
};
use common::{config, server};
use s_core_proto::{
    Action, Input, Instant, Message, Node, Report, TimerKind, TokenVerdict, WhySkipped,
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

#[test]
fn silence_leads_to_a_claim_and_a_claim_to_a_token() {
    let mut lead = Lead::claimant();
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
        let mut lead = Lead::claimant();
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
    let mut lead = Lead::claimant();
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
