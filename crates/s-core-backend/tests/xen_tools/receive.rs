//! The gate before `xl migrate-receive`, with a program that stands in for it.

use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use s_core_backend::xl::{Xl, receive};
use s_core_backend::{Domain, Gate, Hypervisor as _};
use s_core_model::{ServerId, VmId};

use crate::AMPLE;
use crate::xl_support::FakeXl;

const FRIEND: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
const VM: VmId = VmId::new(7);

/// Lets one VM in from FRIEND, and says when that has ended.
#[derive(Debug)]
struct Expecting(Mutex<Sender<VmId>>);

impl Gate for Expecting {
    fn admit(&self, _: &Domain, _: Duration) -> bool {
        panic!("the domain is not known")
    }

    fn failed(&self, _: &Domain) {
        panic!("the domain is not known")
    }

    fn admit_from(&self, source: ServerId, _: Duration) -> Option<VmId> {
        (source == FRIEND.into()).then_some(VM)
    }

    fn ended(&self, vm: VmId) {
        self.0.lock().unwrap().send(vm).unwrap();
    }
}

/// Not a test: what the tests run in a process of its own, whose standard input and output are the stream.
#[test]
#[ignore = "the other tests run it"]
fn runs_the_receiver() {
    let Ok(socket) = std::env::var("RECEIVE_SOCKET") else {
        return;
    };
    let from = std::env::var("RECEIVE_FROM").unwrap().parse().unwrap();
    let program = std::env::var("RECEIVE_PROGRAM").unwrap();
    match receive(Path::new(&socket), from, Path::new(&program)) {
        Ok(ended) => assert!(ended.success(), "{ended}"),
        Err(error) => panic!("{error}"),
    }
}

fn start(fake: &FakeXl, from: Ipv4Addr) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "receive::runs_the_receiver",
            "--ignored",
            "--nocapture",
        ])
        .env("RECEIVE_SOCKET", fake.path("receive.sock"))
        .env("RECEIVE_FROM", from.to_string())
        .env("RECEIVE_PROGRAM", fake.path("xl"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn guarded() -> (FakeXl, Receiver<VmId>) {
    let fake = FakeXl::new();
    // It reads the stream to its end, as the real one does, and leaves a process that watches the domain, without the stream.
    let watch = format!(
        "sleep 90 </dev/null >/dev/null 2>&1 & echo $! >{}",
        fake.path("watcher").display()
    );
    fake.script(
        "migrate-receive",
        &format!("{watch}\necho ready; read -r word || true"),
    );
    let mut config = fake.config();
    config.receive_socket = Some(fake.path("receive.sock"));
    let (ended, ends) = channel();
    let gate = Arc::new(Expecting(Mutex::new(ended)));
    let xl = Xl::new(config).unwrap();
    assert!(xl.guard(gate.clone()));
    // Once more, as after a kill: the old socket is replaced.
    assert!(xl.guard(gate));
    (fake, ends)
}

/// Ends the process that watches the domain.
fn end_watcher(fake: &FakeXl) {
    let process = std::fs::read_to_string(fake.path("watcher")).unwrap();
    let process = Pid::from_raw(process.trim().parse().unwrap()).unwrap();
    kill_process(process, Signal::TERM).unwrap();
}

/// What it says from then on is to be kept open, or it could not say it.
fn until_ready(child: &mut Child) -> BufReader<ChildStdout> {
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.ends_with("ready\n") {
        line.clear();
        assert!(stdout.read_line(&mut line).unwrap() > 0, "it ended");
    }
    stdout
}

/// What a process says that must fail.
fn refused(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn whoever_is_expected_is_received_and_the_agent_knows_until_when() {
    let (fake, ends) = guarded();
    let mut child = start(&fake, FRIEND);
    let _output = until_ready(&mut child);
    assert!(ends.try_recv().is_err(), "the stream goes on");
    drop(child.stdin.take());
    assert_eq!(ends.recv_timeout(AMPLE), Ok(VM));
    assert!(child.wait().unwrap().success());
    end_watcher(&fake);
    assert_eq!(fake.calls(), ["migrate-receive"]);
    // However it ends.
    let mut child = start(&fake, FRIEND);
    let _output = until_ready(&mut child);
    child.kill().unwrap();
    assert_eq!(ends.recv_timeout(AMPLE), Ok(VM));
    child.wait().unwrap();
    end_watcher(&fake);
}

#[test]
fn nobody_else_is() {
    let (fake, ends) = guarded();
    let stderr = refused(start(&fake, STRANGER));
    assert!(
        stderr.contains("a migration from 10.0.0.9 is not let in: no room"),
        "{stderr}"
    );
    assert!(ends.try_recv().is_err());
    // Without an agent.
    std::fs::remove_file(fake.path("receive.sock")).unwrap();
    let stderr = refused(start(&fake, FRIEND));
    assert!(
        stderr.contains("cannot be asked, so nobody is let in"),
        "{stderr}"
    );
    assert!(!fake.path("calls").exists());
}

#[test]
fn a_hypervisor_without_a_socket_asks_nobody() {
    let fake = FakeXl::new();
    let gate = Arc::new(Expecting(Mutex::new(channel().0)));
    assert!(!fake.driver().guard(gate));
}
