//! The process of an attacker: `faults strangers ADDRESS SECONDS`. It sends 10,000 datagrams of garbage and opens 1,000
//! connections a second that stay half open, and says at the end how many it made.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

/// What is sent at a time.
const STEP: Duration = Duration::from_millis(10);
const DATAGRAMS: u32 = 100;
const CONNECTIONS: u32 = 10;
/// Connections that are kept; the oldest goes when there are more.
const HELD: usize = 600;

pub(crate) fn run(args: &[String]) {
    let [target, seconds] = args else {
        panic!("strangers ADDRESS SECONDS, not {args:?}");
    };
    let target: SocketAddr = target.parse().unwrap();
    let whole = Duration::from_secs(seconds.parse().unwrap());
    let udp = UdpSocket::bind("0.0.0.0:0").unwrap();
    let mut header = b"SCOR\x01\x01\x00\x00".to_vec();
    header.extend([0; 24]);
    header.extend(u32::MAX.to_be_bytes());
    let garbage = [vec![], vec![0xff; 9], vec![0x5a; 1400], header.clone()];
    let mut held = VecDeque::new();
    let (mut datagrams, mut connections) = (0_u64, 0_u64);
    let began = Instant::now();
    let mut steps = 0;
    while began.elapsed() < whole {
        for (_, datagram) in (0..DATAGRAMS).zip(garbage.iter().cycle()) {
            datagrams += u64::from(udp.send_to(datagram, target).is_ok());
        }
        for number in 0..CONNECTIONS {
            if let Some(socket) = half_open(target, &header[..number as usize]) {
                held.push_back(socket);
                connections += 1;
            }
            if held.len() > HELD {
                held.pop_front();
            }
        }
        steps += 1;
        std::thread::sleep((STEP * steps).saturating_sub(began.elapsed()));
    }
    let seconds = began.elapsed().as_secs_f64();
    let rate = |count: u64| (count as f64 / seconds).round();
    println!("{} {}", rate(datagrams), rate(connections));
}

/// Begins a connection, and sends what there is room for once it is there.
fn half_open(target: SocketAddr, bytes: &[u8]) -> Option<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).ok()?;
    // So that its port can be used again at once.
    socket.set_linger(Some(Duration::ZERO)).ok()?;
    socket.set_nonblocking(true).ok()?;
    // It is under way; nobody waits for it.
    drop(socket.connect(&target.into()));
    drop(socket.send(bytes));
    Some(socket)
}
