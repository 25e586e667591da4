//! A guest on the loopback interface, and clients that do as they please.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use s_core_lab::traffic::{Mix, PairTraffic};
use s_core_model::{Rate, VmId};
use s_core_xen_guest::{ClientError, Guest, GuestClient, MOST_PAIRS};

const PORT: u16 = 8077;

/// A guest, and its address, of this test's own: from the process's id and a number.
fn guest(number: u8) -> (Guest, SocketAddrV4) {
    let [.., high, low] = std::process::id().to_be_bytes();
    let at = SocketAddrV4::new(Ipv4Addr::new(127, 100 + number, high, low.max(1)), PORT);
    (Guest::start(at).unwrap(), at)
}

fn client(at: SocketAddrV4) -> GuestClient {
    GuestClient::new((*at.ip()).into()).with_port(PORT)
}

/// What comes back for these bytes, up to the end.
fn exchange(at: SocketAddrV4, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

#[test]
fn every_request_has_its_answer() {
    let (guest, at) = guest(1);
    let check = |request: &str, wanted: &str| {
        let answer = exchange(at, request.as_bytes());
        let line = answer.lines().next().unwrap_or_default();
        let length = request.len().min(60);
        assert_eq!(line, wanted, "{:?}", &request[..length]);
        answer
            .split_once("\r\n\r\n")
            .map(|(_, body)| body.to_owned())
            .unwrap_or_default()
    };
    let (ok, bad) = ("HTTP/1.0 200 OK", "HTTP/1.0 400 Bad Request");
    let page = check("GET / HTTP/1.0\r\n\r\n", ok);
    assert!(
        page.starts_with(&format!("This is VM {}", at.ip())),
        "{page}"
    );
    check(
        "GET / HTTP/1.1\r\nHost: me\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        ok,
    );
    assert_eq!(
        check("GET /bytes/100000 HTTP/1.0\n\n", ok),
        ".".repeat(100_000)
    );
    assert_eq!(check("GET /bytes/0 HTTP/1.0\n\n", ok), "");
    let put = |path, body: &str| {
        format!(
            "PUT {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    check(&put("/plan", r#"{"pairs": []}"#), ok);
    check(&put("/plan", "{"), bad);
    check(
        &put("/plan", &" ".repeat(70_000)),
        "HTTP/1.0 413 Content Too Large",
    );
    check(&put("/plan", &"[".repeat(60_000)), bad);
    check(&put("/plan", ""), bad);
    check("DELETE /plan HTTP/1.0\r\n\r\n", ok);
    check(
        "DELETE / HTTP/1.0\r\n\r\n",
        "HTTP/1.0 405 Method Not Allowed",
    );
    check("GET /etc/passwd HTTP/1.0\r\n\r\n", "HTTP/1.0 404 Not Found");
    check(
        "POST /plan HTTP/1.0\r\n\r\n",
        "HTTP/1.0 501 Not Implemented",
    );
    let long = format!("GET / HTTP/1.0\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    check(&long, "HTTP/1.0 431 Request Header Fields Too Large");
    check("\r\n\r\n", bad);
    // Who says nothing that is whole is told nothing.
    check("", "");
    check("GET / HTTP/1.0\r\n", "");
    check("PUT /plan HTTP/1.0\r\nContent-Length: 10\r\n\r\n{", "");
    let counters = client(at).counters().unwrap();
    assert_eq!((counters.plan.changes, counters.plan.pairs), (2, 0));
    assert_eq!((counters.http.answered, counters.http.refused), (6, 12));
    assert!(counters.http.sent > 100_000);
    let own = guest.counters();
    assert!(own.nanoseconds > counters.nanoseconds);
    assert_eq!(
        (own.vm, own.plan, own.pairs),
        (counters.vm, counters.plan, counters.pairs)
    );
}

#[test]
fn slow_clients_make_others_wait_no_longer_than_their_deadline() {
    let (_, at) = guest(2);
    let begin = Instant::now();
    let slow: Vec<_> = (0..12)
        .map(|_| {
            let mut stream = TcpStream::connect(at).unwrap();
            stream.write_all(b"GET / HTTP/1.0\r\nX: ").unwrap();
            stream
        })
        .collect();
    let impatient = client(at)
        .with_deadline(Duration::from_millis(200))
        .counters();
    assert!(
        matches!(impatient, Err(ClientError::Io { .. })),
        "{impatient:?}"
    );
    assert!(begin.elapsed() < Duration::from_secs(3));
    let patient = client(at).with_deadline(Duration::from_secs(40));
    patient.counters().unwrap();
    let waited = begin.elapsed();
    assert!(
        waited > Duration::from_secs(4) && waited < Duration::from_secs(30),
        "{waited:?}"
    );
    drop(slow);
}

#[test]
fn who_sends_a_byte_at_a_time_is_sent_away() {
    let (_, at) = guest(4);
    let mut stream = TcpStream::connect(at).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\nX: ").unwrap();
    let begin = Instant::now();
    while stream.write_all(b"x").is_ok() {
        let waited = begin.elapsed();
        assert!(waited < Duration::from_secs(15), "{waited:?}");
        thread::sleep(Duration::from_millis(200));
    }
    assert!(begin.elapsed() > Duration::from_secs(4));
}

#[test]
fn a_client_is_told_what_went_wrong() {
    let (_, at) = guest(3);
    let vm = VmId::from(*at.ip());
    let pair = |n, rate| {
        let peer = VmId::new(n);
        PairTraffic::new(vm, peer, Rate::new(rate).unwrap(), Mix::UDP)
    };
    let others = PairTraffic {
        a: VmId::new(1),
        ..pair(2, 1e18)
    };
    // Pairs of others are not sent to it.
    client(at).plan(&vec![others; 2 * MOST_PAIRS]).unwrap();
    assert_eq!(client(at).counters().unwrap().plan.pairs, 0);
    let most: Vec<_> = (1..=512).map(|n| pair(n, 0.0)).collect();
    client(at).plan(&most).unwrap();
    assert_eq!(client(at).counters().unwrap().plan.pairs, 512);
    let refused = client(at).plan(&[pair(7, 1e18)]).unwrap_err().to_string();
    assert!(
        refused.contains("refused: 400 Bad Request: bytes_per_second of "),
        "{refused}"
    );
    assert_eq!(client(at).counters().unwrap().plan.pairs, 512);
    let nobody = client(at).with_port(PORT + 1).clear_plan().unwrap_err();
    assert!(matches!(nobody, ClientError::Io { .. }), "{nobody}");
    let taken = Guest::start(at).unwrap_err().to_string();
    assert!(taken.starts_with("cannot open UDP "), "{taken}");
}
