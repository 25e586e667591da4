//! Whoever is not a server of the cluster, or repeats one: counted, not answered, and nothing changes.
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics says where; clippy.toml exempts only test functions"
)]

mod common;

use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use bytes::Bytes;
use common::{Bench, PEER, SOON, VM, connect, where_is};
use s_core_agent::AgentStatus;
use s_core_model::VmId;
use s_core_proto::wire::{Cluster, Codec, Key, KeyId, Keyring};
use s_core_proto::{CapacityAnswer, Demand, Message, QueryId};
use s_core_token::Mark;

/// A VM on the agent's network that is no server.
const TENANT: u8 = 9;

/// Asks for room for the peer: whoever believes it raises its mark, reserves and answers.
fn room(bench: &Bench, epoch: u32, query: u64) -> Message {
    let mark = (0..epoch).fold(Mark::default(), |mark, _| {
        mark.new_epoch(bench.other_id).unwrap()
    });
    let demands = vec![Demand {
        vm: PEER,
        memory_mib: 64,
    }];
    let query = QueryId::new(query);
    Message::CapacityRequest {
        query,
        mark,
        demands,
        cpu: None,
    }
}

fn sealed_with(key: Key, cluster: Cluster, bench: &Bench, message: &Message) -> Bytes {
    let keyring = Keyring::new(key, []).unwrap();
    Codec::new(cluster, bench.other_id, keyring, 1 << 20)
        .with_counter(1 << 40)
        .seal(None, message)
}

/// What a stranger must not change: all of a status but the counts.
fn unchanging(bench: &Bench) -> AgentStatus {
    let mut status = bench.agent.status().unwrap();
    status.refused.clear();
    status.flows = Default::default();
    status.switch = Default::default();
    status.measured = true;
    status
}

fn send(from: Ipv4Addr, target: SocketAddr, frame: &[u8], stream: bool) {
    if stream {
        connect(from, target).write_all(frame).unwrap();
    } else {
        let socket = UdpSocket::bind((from, 0)).unwrap();
        socket.send_to(frame, target).unwrap();
    }
}

/// Sends `frame` both ways and waits until the agent has refused it for this reason.
fn refused(bench: &Bench, from: Ipv4Addr, frame: &[u8], reason: &str) {
    for stream in [false, true] {
        let (before, count) = (unchanging(bench), bench.refused(reason));
        send(from, bench.target, frame, stream);
        let began = std::time::Instant::now();
        while bench.refused(reason) == count {
            let refused = bench.agent.status().unwrap().refused;
            assert!(began.elapsed() < SOON, "{reason} {stream}: {refused:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(unchanging(bench), before, "{reason}");
    }
}

/// The next thing that the agent says is the answer to this question.
fn has_said_nothing(bench: &Bench, query: u64) {
    bench.tell(&where_is(VM, query));
    let server = Some(bench.target.ip().to_string().parse().unwrap());
    let answer = Message::LocationResponse {
        query: QueryId::new(query),
        vm: VM,
        server,
    };
    assert_eq!(bench.answer(), answer);
}

#[test]
fn strangers_are_counted_not_answered_and_change_nothing() {
    let state = tempfile::tempdir().unwrap();
    let bench = Bench::start(20, state.path());
    let request = room(&bench, 1, 1);
    let other = bench.other_id.addr();
    let tenant = Ipv4Addr::new(127, 78, 20, TENANT);
    let listening = UdpSocket::bind((tenant, bench.target.port())).unwrap();
    let lab = s_core_agent::lab_key();

    // A VM that speaks to the agent's port: without the key, with noise, with a server's frame that it has caught.
    let guessed = Key::new(KeyId(0), [1; 32]);
    let forged = sealed_with(guessed, Cluster(0), &bench, &request);
    refused(&bench, tenant, &forged, "wrong tag");
    refused(&bench, other, &forged, "wrong tag");
    let strange = Key::new(KeyId(7), [1; 32]);
    let strange = sealed_with(strange, Cluster(0), &bench, &request);
    refused(&bench, tenant, &strange, "unknown key");
    refused(&bench, tenant, &[0x5a; 300], "not a frame");
    let caught = bench.codec(bench.other_id).seal(None, &request);
    refused(&bench, tenant, &caught, "not sent by its sender");
    // A machine that has the key and is no server.
    let stranger = bench.codec(tenant.into()).seal(None, &request);
    refused(
        &bench,
        tenant,
        &stranger,
        "sender not in the location table",
    );
    // Another data centre's server with the same key and address.
    let elsewhere = sealed_with(lab, Cluster(9), &bench, &request);
    refused(&bench, other, &elsewhere, "other cluster");
    // A frame for another server.
    let receiver = Some(tenant.into());
    let misled = bench.codec(bench.other_id).seal(receiver, &request);
    refused(&bench, other, &misled, "not for this server");

    has_said_nothing(&bench, 2);
    listening.set_nonblocking(true).unwrap();
    let heard = listening.recv_from(&mut [0; 100]).map_err(|e| e.kind());
    assert_eq!(heard, Err(ErrorKind::WouldBlock));
    bench.stop();
}

/// A request for room that was answered and taken back reserves nothing when it comes again.
#[test]
fn a_replayed_frame_is_refused_whichever_way_it_comes() {
    let state = tempfile::tempdir().unwrap();
    let bench = Bench::start(21, state.path());
    let other = bench.other_id.addr();
    for (stream, epoch) in [(false, 1), (true, 2)] {
        let request = room(&bench, epoch, 1);
        let Message::CapacityRequest { query, mark, .. } = request else {
            unreachable!("a request for room");
        };
        let frame = bench.codec(bench.other_id).seal(None, &request);
        send(other, bench.target, &frame, stream);
        let answer = CapacityAnswer::Reserved;
        assert_eq!(
            bench.answer(),
            Message::CapacityResponse {
                query,
                answer,
                cpu: None
            }
        );
        bench.tell(&Message::Release { mark, vm: PEER });
        has_said_nothing(&bench, 2);
        assert_eq!(bench.agent.status().unwrap().reservations, 0);
        refused(&bench, other, &frame, "replayed");
        has_said_nothing(&bench, 3);
    }
    // So does a token, and what is too old to be known.
    let token = bench.token(Mark::default());
    bench.deliver(&token);
    assert!(matches!(bench.answer(), Message::TokenAck { .. }));
    refused(&bench, other, &token, "replayed");
    let keyring = Keyring::new(s_core_agent::lab_key(), []).unwrap();
    let mut ahead = Codec::new(Cluster(0), bench.other_id, keyring, 1 << 20).with_counter(1 << 40);
    let ask = |query| where_is(VmId::new(1), query);
    send(other, bench.target, &ahead.seal(None, &ask(4)), false);
    let late = bench.codec(bench.other_id).seal(None, &ask(5));
    refused(&bench, other, &late, "replayed");
    bench.stop();
}
