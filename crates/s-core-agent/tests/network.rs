//! One agent, spoken to from outside.
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics says where; clippy.toml exempts only test functions"
)]

mod common;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use common::{Bench, PEER, SOON, VM, where_is};
use s_core_agent::{Addressing, AgentConfig, AgentError, Event};
use s_core_backend::{FlowSource, FlowSourceError, Poll};
use s_core_proto::{Arrival, Message, QueryId, Report, TokenVerdict};
use s_core_token::{Limits, Mark, PolicyKind, Token, TokenView};

#[test]
fn frames_of_known_servers_are_answered_over_both_protocols() {
    let state = tempfile::tempdir().unwrap();
    let bench = Bench::start(1, state.path());
    let mut codec = bench.codec(bench.other_id);
    let found = |query| Message::LocationResponse {
        query: QueryId::new(query),
        vm: VM,
        server: Some(Ipv4Addr::new(127, 78, 1, 1).into()),
    };
    bench
        .other
        .send_to(&codec.seal(None, &where_is(VM, 1)), bench.target)
        .unwrap();
    assert_eq!(bench.answer(), found(1));

    // Two frames in three pieces on one connection.
    let mut stream = bench.connect();
    let mut bytes = codec.seal(None, &where_is(VM, 2)).to_vec();
    bytes.extend(codec.seal(None, &where_is(VM, 3)));
    for piece in bytes.chunks(bytes.len() / 3 + 1) {
        stream.write_all(piece).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!([bench.answer(), bench.answer()], [found(2), found(3)]);

    bench.stop();
}

#[test]
fn slow_and_silent_connections_are_closed() {
    let state = tempfile::tempdir().unwrap();
    let bench = Bench::start(2, state.path());
    let frame = bench.codec(bench.other_id).seal(None, &where_is(VM, 1));
    let closed_after = |pause: Option<Duration>| {
        let mut stream = TcpStream::connect(bench.target).unwrap();
        let began = Instant::now();
        let Some(pause) = pause else {
            stream.set_read_timeout(Some(SOON)).unwrap();
            let end = stream.read(&mut [0]);
            assert!(
                matches!(end, Ok(0)) || end.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset)
            );
            return began.elapsed();
        };
        stream.set_read_timeout(Some(pause)).unwrap();
        for byte in frame.iter() {
            drop(stream.write_all(&[*byte]));
            match stream.read(&mut [0]) {
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Ok(_) | Err(_) => return began.elapsed(),
            }
        }
        panic!("the frame was read in spite of its slowness");
    };
    let silent = closed_after(None);
    assert!(
        silent >= Duration::from_millis(290) && silent < Duration::from_secs(3),
        "{silent:?}"
    );
    let slow = closed_after(Some(Duration::from_millis(50)));
    assert!(
        slow >= Duration::from_millis(590) && slow < Duration::from_secs(3),
        "{slow:?}"
    );
    assert_eq!(bench.refused("too slow"), 2);
    bench.stop();
}

#[test]
fn nothing_is_done_under_a_mark_that_cannot_be_stored() {
    let state = tempfile::tempdir().unwrap();
    let bench = Bench::start(3, state.path());
    // A directory where the mark is first written to: no file can be made there.
    std::fs::create_dir(state.path().join("mark.new")).unwrap();
    let policy = PolicyKind::RoundRobin.build();
    let mark = Mark::default().new_epoch(bench.other_id).unwrap();
    let token = Token::new(&[VM, PEER], &*policy, mark, Limits::default()).unwrap();
    let message = Message::Token(token.encode().into());
    let mut codec = bench.codec(bench.other_id);
    bench.deliver(&codec.seal(None, &message));
    let seen = bench.wait_for(|event| matches!(event, Event::MarkNotStored { .. }));
    assert_eq!(seen.len(), 1, "{seen:?}");
    // Not acknowledged; what needs no mark goes on.
    bench
        .other
        .send_to(&codec.seal(None, &where_is(VM, 1)), bench.target)
        .unwrap();
    assert!(matches!(bench.answer(), Message::LocationResponse { .. }));

    std::fs::remove_dir(state.path().join("mark.new")).unwrap();
    bench.deliver(&codec.seal(None, &message));
    let mut acknowledged = bench.answer();
    // It may ask for its peer, or for whom it gives the token to, in between.
    while matches!(acknowledged, Message::LocationRequest { .. }) {
        acknowledged = bench.answer();
    }
    let verdict = TokenVerdict::Accepted;
    assert!(
        matches!(acknowledged, Message::TokenAck { verdict: said, .. } if said == verdict),
        "{acknowledged:?}"
    );
    assert!(
        std::fs::read_to_string(state.path().join("mark"))
            .unwrap()
            .starts_with("s-core-mark 2 ")
    );
    bench.stop();
}

#[test]
fn a_restart_knows_the_token_again() {
    let state = tempfile::tempdir().unwrap();
    let bench = Bench::start(4, state.path());
    let policy = PolicyKind::RoundRobin.build();
    let mark = Mark::default().new_epoch(bench.other_id).unwrap();
    let token = Token::new(&[VM, PEER], &*policy, mark, Limits::default()).unwrap();
    let frame = bench
        .codec(bench.other_id)
        .seal(None, &Message::Token(token.encode().into()));
    bench.deliver(&frame);
    bench.wait_for(|event| matches!(event, Event::Node(Report::Holding { .. })));
    let seen = bench.agent.status().unwrap().mark;
    assert!(seen >= mark);
    bench.stop();

    let bench = Bench::start(4, state.path());
    assert!(bench.agent.status().unwrap().mark >= seen);
    bench.deliver(&frame);
    let Message::TokenAck { verdict, .. } = bench.answer() else {
        panic!("no acknowledgement");
    };
    assert!(matches!(verdict, TokenVerdict::Stale(_)), "{verdict:?}");
    bench.stop();
}

#[test]
fn a_restart_asks_what_became_of_a_migration() {
    let state = tempfile::tempdir().unwrap();
    // The mark is 1.0, and VM was on its way to 127.78.8.2 under it.
    let mark = "00000000000000017f4e08020000000000000000";
    let text = format!("s-core-mark 2 {mark}0a0100017f4e0802{mark}");
    let checksum = blake3::hash(text.as_bytes()).to_hex();
    let text = format!("{text} {}\n", &checksum[..16]);
    std::fs::write(state.path().join("mark"), text).unwrap();
    // The first question comes before the bench listens.
    let soon = |config: &mut AgentConfig| config.node.timing.outcome = Duration::from_millis(100);
    let bench = Bench::start_with(8, state.path(), soon, |flows| flows);
    let open = bench.agent.status().unwrap().open_migrations;
    assert_eq!(open, [(VM, bench.other_id)]);
    let question = loop {
        if let Message::OutcomeRequest { query, vm, .. } = bench.answer() {
            break Message::OutcomeResponse {
                query,
                vm,
                arrival: Arrival::Absent,
            };
        }
    };
    bench.tell(&question);
    bench.wait_for(|event| {
        matches!(
            event,
            Event::Node(Report::OutcomeKnown { moved: false, .. })
        )
    });
    assert!(bench.agent.status().unwrap().open_migrations.is_empty());
    bench.stop();
}

#[test]
fn tokens_come_by_stream_and_each_is_answered() {
    let state = tempfile::tempdir().unwrap();
    let bench = Bench::start(5, state.path());
    // The mark of no token: below all that the agent can have seen.
    let stale = || bench.token(Mark::default());
    bench.other.send_to(&stale(), bench.target).unwrap();
    bench.deliver(&[(); 5].map(|()| stale()).concat());
    for _ in 0..5 {
        let answer = bench.answer();
        assert!(matches!(answer, Message::TokenAck { .. }), "{answer:?}");
    }
    assert_eq!(bench.refused("token in a datagram"), 1);
    bench.stop();
}

/// Nothing leads from 127.0.0.0/8 to the VM's address.
#[test]
fn all_servers_are_asked_when_a_vms_address_is_of_no_use() {
    let state = tempfile::tempdir().unwrap();
    let by_vms = |config: &mut AgentConfig| config.addressing = Addressing::Vms;
    let bench = Bench::start_with(11, state.path(), by_vms, |flows| flows);
    let mark = Mark::default().new_epoch(bench.other_id).unwrap();
    bench.deliver(&bench.token(mark));
    let began = Instant::now();
    while !matches!(
        bench.answer(),
        Message::LocationRequest {
            vm: PEER,
            directed: false,
            ..
        }
    ) {
        assert!(began.elapsed() < SOON);
    }
}

#[test]
fn an_agent_that_stops_first_gives_the_token_away() {
    let state = tempfile::tempdir().unwrap();
    let bench = Bench::start(6, state.path());
    let there = SocketAddr::from((bench.other_id.addr(), bench.target.port()));
    let listener = TcpListener::bind(there).unwrap();
    let mark = Mark::default().new_epoch(bench.other_id).unwrap();
    bench.deliver(&bench.token(mark));
    bench.wait_for(|event| matches!(event, Event::Node(Report::Holding { .. })));
    bench.agent.shutdown();
    bench.agent.shutdown();
    while !matches!(bench.answer(), Message::TokenAck { .. }) {}
    // It takes no other one, not even in a newer epoch.
    let newer = mark.new_epoch(bench.other_id).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    bench.deliver(&bench.token(newer));
    // Only now it learns where the next VM is.
    let (query, vm) = loop {
        match bench.answer() {
            Message::LocationRequest { query, vm, .. } if vm == PEER => break (query, vm),
            Message::LocationRequest { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    let server = Some(bench.other_id);
    bench.tell(&Message::LocationResponse { query, vm, server });
    let (mut stream, _) = listener.accept().unwrap();
    let mut frame = Vec::new();
    stream.read_to_end(&mut frame).unwrap();
    let opened = bench.codec(bench.other_id).open(&frame.into()).unwrap();
    let Message::Token(token) = opened.message else {
        panic!("{opened:?}");
    };
    let given = TokenView::new_checked(token, Limits::default()).unwrap();
    assert!(
        !bench.agent.is_finished(),
        "it waits for the acknowledgement"
    );
    bench.tell(&Message::TokenAck {
        mark: given.mark(),
        verdict: TokenVerdict::Accepted,
    });
    bench.wait_for(|event| matches!(event, Event::Node(Report::Passed { .. })));
    bench.agent.join().unwrap();
}

#[test]
fn a_thread_that_panics_ends_the_agent() {
    #[derive(Debug)]
    struct Defective;

    impl FlowSource for Defective {
        fn poll(&mut self, _: Duration) -> Result<Poll, FlowSourceError> {
            panic!("for the test");
        }
    }

    let state = tempfile::tempdir().unwrap();
    let bench = Bench::start_with(7, state.path(), |_| {}, |_| Box::new(Defective));
    let began = Instant::now();
    while !bench.agent.is_finished() {
        assert!(began.elapsed() < SOON);
        std::thread::sleep(Duration::from_millis(5));
    }
    let ended = bench.agent.join();
    assert!(
        matches!(ended, Err(AgentError::Panicked("flows"))),
        "{ended:?}"
    );
}
