//! Strangers on an agent's ports: the token goes round, and nothing grows.
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics says where; clippy.toml exempts only test functions"
)]

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use s_core_agent::embedded::{Embedded, EmbeddedConfig, Scenario};
use s_core_agent::{Event, lab_key};
use s_core_model::VmId;
use s_core_proto::wire::{Cluster, Codec, Keyring};
use s_core_proto::{Message, QueryId, Report};
use socket2::{Domain, Protocol, Socket, Type};

/// Connections that each kind of attacker keeps open.
const HELD: usize = 150;
/// Connections that an agent keeps.
const CONNECTIONS: usize = 64;
/// What an attacker waits between two connections.
const PAUSE: Duration = Duration::from_millis(2);
const MEASURED: Duration = Duration::from_secs(3);

/// The start of a frame that announces a body of this length, under the laboratory key's id.
fn header(body: u32) -> Vec<u8> {
    let mut bytes = b"SCOR\x01\x01\x00\x00".to_vec();
    bytes.extend([0; 24]);
    bytes.extend(body.to_be_bytes());
    bytes
}

fn attack(
    stop: &Arc<AtomicBool>,
    mut step: impl FnMut() + Send + 'static,
) -> thread::JoinHandle<()> {
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        while !stop.load(Ordering::SeqCst) {
            step();
        }
    })
}

fn connect(source: Ipv4Addr, target: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    // So that its port can be used again at once.
    socket.set_linger(Some(Duration::ZERO))?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.connect_timeout(&target.into(), Duration::from_secs(1))?;
    Ok(socket.into())
}

/// Sends this on a new connection from `source` and keeps it open, as one of the last [`HELD`].
fn half_open(
    source: Ipv4Addr,
    target: SocketAddr,
    bytes: Vec<u8>,
) -> impl FnMut() + Send + 'static {
    let mut held = std::collections::VecDeque::new();
    move || {
        if let Ok(mut stream) = connect(source, target) {
            stream
                .set_write_timeout(Some(Duration::from_millis(50)))
                .unwrap();
            // The agent may have closed it already.
            drop(stream.write_all(&bytes));
            held.push_back(stream);
            if held.len() > HELD {
                held.pop_front();
            }
        }
        thread::sleep(PAUSE);
    }
}

/// Datagrams of every kind of garbage, in bursts.
fn garbage(target: SocketAddr) -> impl FnMut() + Send + 'static {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut forged = header(100);
    forged.extend([7; 132]);
    let datagrams = [
        vec![],
        vec![0xff; 9],
        vec![0x5a; 1400],
        vec![0; 60_000],
        header(u32::MAX),
        header(100),
        forged,
    ];
    move || {
        for datagram in &datagrams {
            drop(socket.send_to(datagram, target));
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// How many hops the token makes in a while.
fn hops(embedded: &Embedded) -> u32 {
    while embedded.next_event(Duration::ZERO).is_some() {}
    let end = Instant::now() + MEASURED;
    let mut hops = 0;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match embedded.next_event(left) {
            Some((_, Event::Node(Report::Holding { .. }))) => hops += 1,
            Some(_) => {}
            None => return hops,
        }
    }
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_flood_neither_stops_nor_grows_an_agent() {
    let scenario = Scenario::testbed(4, 2, 1).unwrap();
    let state = tempfile::tempdir().unwrap();
    let mut config = EmbeddedConfig::new(state.path());
    config.window = Duration::from_millis(400);
    let embedded = Embedded::start(&scenario, config).unwrap();
    embedded.mint().unwrap();
    // First the migrations, which would make hops longer.
    thread::sleep(Duration::from_secs(4));
    let before = hops(&embedded);
    let (files, resident) = (open_files(), resident_kib());

    let placement = embedded.data_centre().placement();
    let target = *placement.values().min().unwrap();
    let other = scenario.servers.iter().find(|s| s.id != target).unwrap().id;
    // Sent once by a server, before it last started, and recorded.
    let mut codec = Codec::new(
        Cluster(0),
        other,
        Keyring::new(lab_key(), []).unwrap(),
        1 << 20,
    );
    let replayed = codec.seal(
        None,
        &Message::LocationRequest {
            query: QueryId::new(1),
            vm: VmId::new(77),
            directed: false,
        },
    );
    let server = target;
    let target = SocketAddr::from((server.addr(), embedded.port()));
    let stop = Arc::new(AtomicBool::new(false));
    let mut long = header(1 << 20);
    long.extend(vec![1; 1 << 19]);
    let stranger = Ipv4Addr::LOCALHOST;
    let attackers = [
        attack(&stop, garbage(target)),
        attack(&stop, half_open(stranger, target, vec![])),
        attack(&stop, half_open(stranger, target, header(u32::MAX))),
        attack(&stop, half_open(stranger, target, long)),
        attack(&stop, half_open(other.addr(), target, vec![])),
        attack(&stop, half_open(other.addr(), target, replayed.to_vec())),
    ];
    thread::sleep(Duration::from_secs(1));
    let during = hops(&embedded);
    let (files_now, resident_now) = (open_files(), resident_kib());
    let statuses = embedded.statuses().unwrap().into_iter();
    let mut statuses = statuses.filter(|status| status.server == server);
    let refused = statuses.next().unwrap().refused;
    stop.store(true, Ordering::SeqCst);
    for attacker in attackers {
        attacker.join().unwrap();
    }
    println!("{before} hops before and {during} during the flood; refused {refused:?}");
    println!("files {files} -> {files_now}, resident {resident} -> {resident_now} KiB");
    assert!(before > 20, "{before} hops are too few to compare with");
    // Those who flood take their share of the processors, too.
    assert!(
        4 * during >= before,
        "{before} hops before and {during} during the flood"
    );
    for reason in [
        "replayed",
        "not a frame",
        "too long",
        "wrong tag",
        "too many connections",
    ] {
        assert!(
            refused.get(reason).is_some_and(|n| *n > 0),
            "{reason}: {refused:?}"
        );
    }
    // The attackers' own ends are in this process too.
    assert!(
        files_now <= files + 5 * (HELD + 1) + CONNECTIONS + 4,
        "{files} -> {files_now}"
    );
    assert!(
        resident_now <= resident + 96 * 1024,
        "{resident} -> {resident_now} KiB"
    );
    embedded.stop().unwrap();
}
