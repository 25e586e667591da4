//! The unixctl and OVSDB clients against servers that behave, misbehave and stall.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use s_core_backend::ovs::OvsFlowSource;
use s_core_backend::ovs::ovsdb::{Interface, Ovsdb};
use s_core_backend::ovs::unixctl::Unixctl;
use s_core_backend::{FlowSource, FlowSourceError};

const SOON: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);

/// A socket in a directory of its own, and a thread that serves one connection on it.
struct Server {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl Server {
    fn new(serve: impl FnOnce(UnixStream) + Send + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ctl");
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || serve(listener.accept().unwrap().0));
        Self { _dir: dir, path }
    }

    /// Reads one request, answers with these pieces and keeps the connection open.
    fn answering(pieces: Vec<Vec<u8>>) -> Self {
        Self::new(move |mut stream| {
            let _ = read_object(&mut stream);
            for piece in pieces {
                let _ = stream.write_all(&piece);
            }
            let _ = stream.read(&mut [0]);
        })
    }
}

/// Reads until what came is a whole JSON value.
fn read_object(stream: &mut UnixStream) -> serde_json::Value {
    let mut bytes = Vec::new();
    let mut byte = [0];
    loop {
        assert_eq!(stream.read(&mut byte).unwrap(), 1);
        bytes.push(byte[0]);
        if let Ok(value) = serde_json::from_slice(&bytes) {
            return value;
        }
    }
}

fn call(server: &Server, deadline: Duration) -> Result<String, FlowSourceError> {
    Unixctl::new(&server.path).with_reply_limit(1 << 20).call(
        "dpctl/dump-flows",
        &["netdev@ovs-netdev"],
        deadline,
    )
}

#[test]
fn the_request_is_what_the_daemon_expects() {
    let server = Server::new(|mut stream| {
        let request = read_object(&mut stream);
        let expected = r#"{"id":0,"method":"dpctl/dump-flows","params":["netdev@ovs-netdev"]}"#;
        let good = request == serde_json::from_str::<serde_json::Value>(expected).unwrap();
        let answer = format!(r#"{{"id":0,"result":"{good}\n","error":null}}"#);
        stream.write_all(answer.as_bytes()).unwrap();
    });
    assert_eq!(call(&server, LONG).unwrap(), "true\n");
}

#[test]
fn answers_of_every_kind() {
    let long = format!(
        r#"{{"id":0,"result":"{}","error":null}}"#,
        "x".repeat(2 << 20)
    );
    let rows: [(&str, &str); 10] = [
        (
            r#"{"id":0,"error":"ovs-vswitchd: datapath not found (Invalid argument)\n"}"#,
            "(dpctl/dump-flows) refused: ovs-vswitchd: datapath not found (Invalid argument)",
        ),
        (r#"{"id":0,"result":null,"error":"no"}"#, "refused: no"),
        (
            r#"{"id":1,"result":"","error":null}"#,
            "it answers call 1 and not 0",
        ),
        (r#"{"id":0}"#, "it has no result and no error"),
        (r#"{"id":0,"result":7,"error":null}"#, "invalid type"),
        (r#"{"id":0,"error":[{},{}]}"#, "invalid type"),
        (
            r#"{"id":0,"result":"]"#,
            "gave no complete answer within 200ms",
        ),
        ("HTTP/1.1 400 Bad Request\r\n", "it is not a JSON object"),
        (r#"{"id":0,]}"#, "key must be a string"),
        (
            &long,
            "it is longer than 1048576 bytes; ask for less, or raise this limit with with_reply_limit",
        ),
    ];
    for (answer, expected) in rows {
        let server = Server::answering(vec![answer.as_bytes().to_vec()]);
        let deadline = if expected.contains("200ms") {
            SOON
        } else {
            LONG
        };
        let message = call(&server, deadline).unwrap_err().to_string();
        let answer = &answer[..answer.len().min(80)];
        assert!(message.contains(expected), "{answer}: {message}");
        assert!(
            message.contains(&server.path.display().to_string()),
            "{message}"
        );
    }
}

#[test]
fn an_answer_may_come_in_any_pieces() {
    let answer = br#"{"id":0,"result":"a \"}\" \\ \u00e9 b","error":null}"#;
    for size in [1, 2, 3, 7, 1000] {
        let server = Server::answering(answer.chunks(size).map(<[u8]>::to_vec).collect());
        assert_eq!(call(&server, LONG).unwrap(), "a \"}\" \\ é b");
    }
}

#[test]
fn a_connection_closed_early_is_an_error() {
    let server = Server::new(|mut stream| {
        let _ = read_object(&mut stream);
        let _ = stream.write_all(br#"{"id":0"#);
    });
    let message = call(&server, LONG).unwrap_err().to_string();
    assert!(message.contains("it ends after 7 bytes"), "{message}");
}

#[test]
fn the_deadline_holds_for_the_whole_and_not_for_each_byte() {
    let server = Server::new(|mut stream| {
        let _ = read_object(&mut stream);
        while stream.write_all(b"{").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let start = Instant::now();
    let error = call(&server, SOON).unwrap_err();
    assert!(
        matches!(error, FlowSourceError::DeadlineExceeded { .. }),
        "{error}"
    );
    assert!(start.elapsed() < SOON * 10);
}

#[test]
fn a_server_that_does_not_accept_costs_no_more_than_the_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ctl");
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    rustix::net::bind(&socket, &rustix::net::SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let _in_queue = UnixStream::connect(&path).unwrap();
    let start = Instant::now();
    let error = Unixctl::new(&path).call("version", &[], SOON).unwrap_err();
    assert!(
        matches!(error, FlowSourceError::DeadlineExceeded { .. }),
        "{error}"
    );
    assert!(start.elapsed() < SOON * 10);
}

#[test]
fn a_socket_that_is_not_there_is_named() {
    for path in [
        "/nonexistent/ovs-vswitchd.ctl".to_owned(),
        format!("/{}", "x".repeat(200)),
    ] {
        let error = Unixctl::new(&path).call("version", &[], LONG).unwrap_err();
        assert!(
            matches!(error, FlowSourceError::Unreachable { .. }),
            "{error}"
        );
        assert!(error.to_string().contains(&path), "{error}");
    }
}

#[test]
fn a_poll_reads_the_dump() {
    let dump = include_str!("data/ovs/ip-pair-rule.txt");
    let answer = serde_json::json!({ "id": 0, "result": dump, "error": null }).to_string();
    let server = Server::answering(vec![answer.into_bytes()]);
    let mut source = OvsFlowSource::new(&server.path, 7).with_datapath("netdev@ovs-netdev");
    let poll = source.poll(LONG).unwrap();
    assert_eq!(poll.counters.len(), 6);
    assert_eq!(source.stations().len(), 3);
    assert_eq!(source.line_errors(), []);

    let server = Server::answering(vec![br#"{"id":0,"result":"what?","error":null}"#.to_vec()]);
    let error = OvsFlowSource::new(&server.path, 7).poll(LONG).unwrap_err();
    assert!(
        matches!(error, FlowSourceError::Malformed { .. }),
        "{error}"
    );
}

/// Two stations: the first shows its address, and sends to the second.
const MAC_PAIR: &str = "eth(src=02:00:00:00:00:01,dst=ff:ff:ff:ff:ff:ff),arp(sip=10.9.0.1,op=1), packets:0, bytes:0, used:never, actions:2\n\
    eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02), packets:1, bytes:98, used:0.100s, actions:2\n";

/// Serves one answer on each connection, each after `delay`, and counts them.
fn serve(path: &Path, delay: Duration, result: &serde_json::Value) -> Arc<AtomicUsize> {
    let answer = serde_json::json!({ "id": 0, "result": result, "error": null }).to_string();
    let listener = UnixListener::bind(path).unwrap();
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = read_object(&mut stream);
            thread::sleep(delay);
            count.fetch_add(1, Ordering::Relaxed);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    served
}

#[test]
fn a_directory_stands_for_the_daemon_that_runs_from_it_now() {
    let dir = tempfile::tempdir().unwrap();
    let vswitchd = Unixctl::new(dir.path());
    let call = || vswitchd.call("version", &[], LONG);
    let pid_file = dir.path().join("ovs-vswitchd.pid");
    let error = call().unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot reach {}: ", pid_file.display())),
        "{error}"
    );
    for pid in ["", "12a\n", "../../x", "-1"] {
        fs::write(&pid_file, pid).unwrap();
        let error = call().unwrap_err();
        assert!(
            matches!(error, FlowSourceError::Malformed { .. }),
            "{error}"
        );
    }
    for pid in [1234, 77] {
        let name = format!("ovs-vswitchd.{pid}.ctl");
        serve(
            &dir.path().join(name),
            Duration::ZERO,
            &serde_json::json!(pid.to_string()),
        );
        fs::write(&pid_file, format!("{pid}\n")).unwrap();
        assert_eq!(call().unwrap(), pid.to_string());
    }
}

#[test]
fn configured_and_learnt_addresses_make_pairs_of_mac_addresses_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ctl");
    serve(&path, Duration::ZERO, &serde_json::json!(MAC_PAIR));
    let second = "02:00:00:00:00:02".parse().unwrap();
    let mut source = OvsFlowSource::new(&path, 7).with_addresses([(second, [10, 9, 0, 2].into())]);
    let flow = source.poll(LONG).unwrap().counters[0];
    assert_eq!(format!("{} {}", flow.src, flow.dst), "10.9.0.1 10.9.0.2");
    assert_eq!(flow.dst_mac, Some(second));
}

#[test]
fn a_database_that_does_not_answer_costs_no_poll_and_no_more_than_the_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let [switch, database] = ["ctl", "db"].map(|name| dir.path().join(name));
    serve(&switch, 3 * SOON, &serde_json::json!(MAC_PAIR));
    let mut source = OvsFlowSource::new(&switch, 7).with_ovsdb(&database);
    // It is not there; then it is, and stalls.
    assert_eq!(source.poll(LONG).unwrap().counters.len(), 1);
    serve(&database, LONG, &serde_json::json!([]));
    let mut source = OvsFlowSource::new(&switch, 7).with_ovsdb(&database);
    let start = Instant::now();
    let deadline = 5 * SOON;
    assert_eq!(source.poll(deadline).unwrap().counters.len(), 1);
    let took = start.elapsed();
    // Two deadlines one after the other would show.
    assert!(took < deadline + 2 * SOON, "{took:?}");
}

#[test]
fn the_database_is_asked_now_and_then_for_vms_interfaces() {
    let dir = tempfile::tempdir().unwrap();
    let [switch, database] = ["ctl", "db"].map(|name| dir.path().join(name));
    // A VM that answers for two addresses; only the database tells that it is one.
    let both = "eth(src=00:16:3e:00:01:0b,dst=02:00:00:00:00:02),arp(sip=10.9.0.7,op=1), packets:0, bytes:0, used:never, actions:2\n\
        eth(src=00:16:3e:00:01:0b,dst=02:00:00:00:00:02),arp(sip=10.9.0.8,op=1), packets:0, bytes:0, used:never, actions:2\n";
    serve(&switch, Duration::ZERO, &serde_json::json!(both));
    let rows: serde_json::Value = serde_json::from_str(INTERFACES).unwrap();
    let served = serve(&database, Duration::ZERO, &rows);
    let mut source = OvsFlowSource::new(&switch, 7).with_ovsdb(&database);
    for _ in 0..16 {
        source.poll(LONG).unwrap();
    }
    assert_eq!(served.load(Ordering::Relaxed), 2);
    let vm = "00:16:3e:00:01:0b".parse().unwrap();
    assert_eq!(source.stations().address(vm), Some([10, 9, 0, 7].into()));
}

const INTERFACES: &str = r#"[
  {"rows":[
    {"_uuid":["uuid","i1"],"name":"vif4.0","ofport":5,"external_ids":["map",[["attached-mac","00:16:3e:00:01:0b"],["xen-vm-name","vm1--incoming"],["xen-vm-uuid","dee2aba0-dc6d-4283-bd54-ab54af8916e5"]]]},
    {"_uuid":["uuid","i2"],"name":"vif1.0","ofport":["set",[]],"external_ids":["map",[["attached-mac","02\\:00\\:0a\\:00\\:01\\:01"]]]},
    {"_uuid":["uuid","i3"],"name":"vif2.0","ofport":-1,"external_ids":["map",[["attached-mac","\"02:00:0a:00:01:02\""],["xen-vm-uuid","abc"]]]},
    {"_uuid":["uuid","i4"],"name":"eth0","ofport":1,"external_ids":["map",[["attached-mac","none"]]]}]},
  {"rows":[
    {"_uuid":["uuid","p1"],"interfaces":["uuid","i1"]},
    {"_uuid":["uuid","p2"],"interfaces":["set",[["uuid","i2"],["uuid","i3"]]]},
    {"_uuid":["uuid","p3"],"interfaces":["uuid","i4"]}]},
  {"rows":[
    {"name":"br0","ports":["set",[["uuid","p1"],["uuid","p2"]]]},
    {"name":"br1","ports":["set",[]]}]}]"#;

#[test]
fn interfaces_of_the_database() {
    let server = Server::new(|mut stream| {
        let request = read_object(&mut stream);
        assert_eq!(request["method"], "transact");
        assert_eq!(request["params"][0], "Open_vSwitch");
        // The server asks whether we live, and tells news that nobody asked for, before it answers.
        stream
            .write_all(br#"{"id":"echo","method":"echo","params":["hi"]}"#)
            .unwrap();
        let echo = read_object(&mut stream);
        let expected = serde_json::json!({"id": "echo", "result": ["hi"], "error": null});
        let results = if echo == expected { INTERFACES } else { "[]" };
        let answer = format!(
            r#"{{"id":null,"method":"update","params":[]}}{{"id":0,"result":{results},"error":null}}"#
        );
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let interfaces = Ovsdb::new(&server.path).interfaces(LONG).unwrap();
    let interface =
        |name: &str, ofport, mac: Option<&str>, uuid: Option<&str>, bridge: Option<&str>| {
            Interface {
                name: name.to_owned(),
                ofport,
                attached_mac: mac.map(|mac| mac.parse().unwrap()),
                vm_uuid: uuid.map(|uuid| uuid.parse().unwrap()),
                bridge: bridge.map(str::to_owned),
            }
        };
    let uuid = Some("dee2aba0-dc6d-4283-bd54-ab54af8916e5");
    let expected = [
        interface("eth0", Some(1), None, None, None),
        interface("vif1.0", None, Some("02:00:0a:00:01:01"), None, Some("br0")),
        interface("vif2.0", None, Some("02:00:0a:00:01:02"), None, Some("br0")),
        interface(
            "vif4.0",
            Some(5),
            Some("00:16:3e:00:01:0b"),
            uuid,
            Some("br0"),
        ),
    ];
    assert_eq!(interfaces, expected);
}

#[test]
fn a_database_that_refuses_or_talks_nonsense() {
    // Every interface of a bridge gets a copy of its name.
    let long_name = format!(
        r#"{{"id":0,"result":[{{"rows":[]}},{{"rows":[]}},{{"rows":[{{"name":"{}","ports":["set",[]]}}]}}]}}"#,
        "b".repeat(256)
    );
    let rows = [
        (
            r#"{"id":0,"result":[{"syntax":"[\"nosuch\"]","details":"nosuch is not a valid column name","error":"syntax error"}],"error":null}"#,
            "(transact) refused: syntax error: nosuch is not a valid column name",
        ),
        (
            r#"{"id":0,"result":[{"rows":[]},null,null,{"error":"timed out","details":"x"}],"error":null}"#,
            "refused: timed out: x",
        ),
        (
            r#"{"id":0,"result":null,"error":"unknown database"}"#,
            "refused: \"unknown database\"",
        ),
        (r#"{"id":0,"error":null}"#, "it has no result"),
        (
            r#"{"id":0,"result":[],"error":null}"#,
            "0 results for 3 operations",
        ),
        (
            r#"{"id":0,"result":[{},{},{}],"error":null}"#,
            "a row lacks rows",
        ),
        (
            r#"{"id":0,"result":[{"rows":[{"name":"x"}]},{"rows":[]},{"rows":[]}],"error":null}"#,
            "a row lacks _uuid",
        ),
        (&long_name, "a row lacks a name of at most 255 bytes"),
    ];
    for (answer, expected) in rows {
        let server = Server::answering(vec![answer.as_bytes().to_vec()]);
        let message = Ovsdb::new(&server.path)
            .interfaces(LONG)
            .unwrap_err()
            .to_string();
        assert!(message.contains(expected), "{answer}: {message}");
    }
}
