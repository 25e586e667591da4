//! A tenant who floods a VM that does not answer, to be moved beside it or to have it moved.
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics says where; clippy.toml exempts only test functions"
)]

mod common;

use std::time::{Duration, Instant};

use common::{Bench, PEER, SOON, VM};
use s_core_agent::Event;
use s_core_backend::{End, FlowSource, FlowSourceError, Poll};
use s_core_proto::{Message, Report, WhyStayed};
use s_core_token::Mark;

/// Shows what the peer sends, as if the agent's VM never answered.
#[derive(Debug)]
struct OneWay(Box<dyn FlowSource>);

impl FlowSource for OneWay {
    fn poll(&mut self, deadline: Duration) -> Result<Poll, FlowSourceError> {
        let mut poll = self.0.poll(deadline)?;
        poll.counters
            .retain(|counter| counter.src != End::Ipv4(VM.addr()));
        Ok(poll)
    }
}

/// An agent of which the victim is, once its rates are known and the token is with the victim.
fn victim(net: u8, answered_only: bool, answers: bool) -> (Bench, tempfile::TempDir) {
    let state = tempfile::tempdir().unwrap();
    let bench = Bench::start_with(
        net,
        state.path(),
        |config| config.flows.answered_only = answered_only,
        |flows| {
            if answers {
                flows
            } else {
                Box::new(OneWay(flows))
            }
        },
    );
    let began = Instant::now();
    while !bench.agent.status().unwrap().measured {
        assert!(began.elapsed() < SOON);
        std::thread::sleep(Duration::from_millis(5));
    }
    bench.deliver(&bench.token(Mark::default().new_epoch(bench.other_id).unwrap()));
    (bench, state)
}

/// Says where the flooder is, and waits until its server is asked for room.
fn is_to_be_moved(bench: &Bench) {
    loop {
        match bench.answer() {
            Message::LocationRequest { query, vm, .. } if vm == PEER => {
                let server = Some(bench.other_id);
                bench.tell(&Message::LocationResponse { query, vm, server });
            }
            Message::CapacityRequest { demands, .. } => {
                assert_eq!(demands[0].vm, VM);
                return;
            }
            _ => {}
        }
    }
}

#[test]
fn a_flooder_moves_a_victim_that_does_not_answer_unless_only_answers_count() {
    let (bench, _state) = victim(22, false, false);
    is_to_be_moved(&bench);

    let (bench, _state) = victim(23, true, false);
    let seen = bench.wait_for(|event| matches!(event, Event::Node(Report::Stayed { .. })));
    let why = WhyStayed::NoTraffic;
    assert_eq!(
        seen.last(),
        Some(&Event::Node(Report::Stayed { vm: VM, why }))
    );

    // Traffic both ways is what it was.
    let (bench, _state) = victim(24, true, true);
    is_to_be_moved(&bench);
}
