//! Real UDP and TCP between the VMs of a [`Lab`], and how many bytes of frames it is.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Lab, address};

/// Ethernet, IPv4 and UDP headers.
const UDP_HEADERS: u64 = 14 + 20 + 8;
/// Ethernet, IPv4 and TCP headers, the last with the time stamp option.
const TCP_HEADERS: u64 = 14 + 20 + 32;
/// What a full TCP segment carries at an MTU of 1500.
const SEGMENT: usize = 1500 - 20 - 32;

/// Nothing here takes long; what does has failed.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The packets go in groups with pauses, so that the switch keeps up and drops none.
const PAUSE: Duration = Duration::from_millis(5);

/// How often receivers look whether it is over: flows must not go idle meanwhile.
const LOOK: Duration = Duration::from_millis(10);

/// Sends `bursts` times `count` datagrams one way, with `pause` after each burst; tells the bytes of those that arrived. A
/// group goes when the one before has arrived, or its rest is given up: a busy machine's switch drops what comes faster.
pub(crate) fn udp_bursts(
    lab: &Lab,
    from: u8,
    to: u8,
    bursts: u32,
    count: u32,
    pause: Duration,
) -> u64 {
    const PAYLOAD: usize = 1000;
    const GROUP: u32 = 10;
    /// After this time what has not arrived is lost.
    const PATIENCE: Duration = Duration::from_millis(200);
    let arrived = Arc::new(AtomicU64::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let bound = lab.in_vm(to, move || bind_again((address(to), 7000)));
    let socket = bound.join().unwrap();
    socket.set_read_timeout(Some(LOOK)).unwrap();
    let (count_arrived, ended) = (Arc::clone(&arrived), Arc::clone(&over));
    let receiver = thread::spawn(move || {
        while !ended.load(Ordering::Relaxed) {
            if socket.recv(&mut [0; PAYLOAD]).is_ok() {
                count_arrived.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let so_far = Arc::clone(&arrived);
    let send = move || {
        let socket = UdpSocket::bind((address(from), 0)).unwrap();
        for _ in 0..bursts {
            for first in (0..count).step_by(GROUP as usize) {
                let group = GROUP.min(count - first);
                let wanted = so_far.load(Ordering::Relaxed) + u64::from(group);
                for _ in 0..group {
                    socket.send_to(&[0; PAYLOAD], (address(to), 7000)).unwrap();
                }
                let by = Instant::now() + PATIENCE;
                while so_far.load(Ordering::Relaxed) < wanted && Instant::now() < by {
                    thread::sleep(PAUSE / 5);
                }
            }
            thread::sleep(pause);
        }
    };
    lab.in_vm(from, send).join().unwrap();
    over.store(true, Ordering::Relaxed);
    receiver.join().unwrap();
    arrived.load(Ordering::Relaxed) * (PAYLOAD as u64 + UDP_HEADERS)
}

/// Binds a port that was in use until just now: a program that another test starts at this moment may hold it still.
fn bind_again(at: (Ipv4Addr, u16)) -> UdpSocket {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match UdpSocket::bind(at) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                thread::sleep(PAUSE);
            }
            bound => return bound.unwrap(),
        }
    }
}

/// Sends a datagram back and forth `rounds` times, again if it is lost; tells the bytes of both directions.
pub(crate) fn udp_ping_pong(lab: &Lab, from: u8, to: u8, rounds: u32) -> u64 {
    const PING: usize = 500;
    const PONG: usize = 1200;
    /// How long an answer may take.
    const PATIENCE: Duration = Duration::from_millis(500);
    let bound = |n: u8, timeout| {
        let socket = UdpSocket::bind((address(n), 0)).unwrap();
        socket.set_read_timeout(Some(timeout)).unwrap();
        socket
    };
    let server = lab.in_vm(to, move || bound(to, LOOK)).join().unwrap();
    let port = server.local_addr().unwrap().port();
    let over = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&over);
    let pong = lab.in_vm(to, move || {
        let mut pongs = 0;
        while !over.load(Ordering::Relaxed) {
            if let Ok((_, peer)) = server.recv_from(&mut [0; 2000]) {
                server.send_to(&[0; PONG], peer).unwrap();
                pongs += 1;
            }
        }
        pongs
    });
    let ping = lab.in_vm(from, move || {
        let (client, by) = (bound(from, PATIENCE), Instant::now() + 3 * TIMEOUT);
        let mut pings = 0;
        for n in 0..rounds {
            loop {
                client.send_to(&[0; PING], (address(to), port)).unwrap();
                pings += 1;
                if client.recv_from(&mut [0; 2000]).is_ok() {
                    break;
                }
                assert!(Instant::now() < by, "{pings} datagrams for {n} answers");
            }
            if n % 10 == 9 {
                thread::sleep(PAUSE);
            }
        }
        pings
    });
    let pings = ping.join();
    ended.store(true, Ordering::Relaxed);
    let pongs: u64 = pong.join().unwrap();
    let pings: u64 = pings.unwrap();
    pings * (PING as u64 + UDP_HEADERS) + pongs * (PONG as u64 + UDP_HEADERS)
}

/// Sends a stream one way; tells the bytes of that direction's frames if all segments are full.
pub(crate) fn tcp_stream(lab: &Lab, from: u8, to: u8, chunks: u32) -> u64 {
    const CHUNK: usize = SEGMENT * 44;
    let bind = move || TcpListener::bind((address(to), 0)).unwrap();
    let listener = lab.in_vm(to, bind).join().unwrap();
    let port = listener.local_addr().unwrap().port();
    let received = lab.in_vm(to, move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let (mut total, mut buffer) = (0, vec![0; 1 << 16]);
        loop {
            match stream.read(&mut buffer).unwrap() {
                0 => return total,
                count => total += count,
            }
        }
    });
    let send = move || {
        let mut stream = connect(address(to), port);
        for _ in 0..chunks {
            stream.write_all(&[0; CHUNK]).unwrap();
            thread::sleep(PAUSE);
        }
    };
    lab.in_vm(from, send).join().unwrap();
    let payload = CHUNK * chunks as usize;
    assert_eq!(received.join().unwrap(), payload);
    payload as u64 + u64::from(chunks) * 44 * TCP_HEADERS
}

fn connect(to: Ipv4Addr, port: u16) -> TcpStream {
    let stream = TcpStream::connect_timeout(&(to, port).into(), TIMEOUT).unwrap();
    stream.set_write_timeout(Some(TIMEOUT)).unwrap();
    stream
}

/// Whether `found` is within 1 % of `sent`.
pub(crate) fn within_one_per_cent(found: u64, sent: u64) -> bool {
    found.abs_diff(sent) * 100 <= sent
}
