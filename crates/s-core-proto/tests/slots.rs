//! One node, led by hand: who gets a slot of the token and who loses it, and how an agent leaves.

mod common;

use std::time::Duration;

use common::lead::{
    FAR, HERE, Lead, THIRD, ack, first_mark, persist, reports, sends, token, why_stayed,
};
use common::{server, vm};
use s_core_proto::{
    Action, Destination, Input, Instant, Message, QueryId, Report, TimerKind, TokenVerdict,
    WhyStayed,
};
use s_core_token::Mark;

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
    let mut lead = Lead::claimant();
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
