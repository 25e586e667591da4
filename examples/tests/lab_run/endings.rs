//! How `lab run` ends otherwise than by a settled cost, and what it leaves then.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use s_core_lab::{HostNumber, Layout, Shape, namespace};

use crate::program::{program, succeed};
use crate::support::{TakenDown, is_possible, layout};

/// How long anything may take here.
const LIMIT: Duration = Duration::from_secs(60);

/// A `lab run`, started as users do.
struct Run {
    process: Child,
    output: BufReader<ChildStdout>,
    said: String,
}

impl Run {
    /// Starts it and waits until the agents have a token.
    fn start(layout: &Layout, arguments: &[&str]) -> Self {
        let mut run = program("lab");
        run.args(["run", "--name", layout.name().as_str(), "--rest", "2"]);
        run.args(["--seconds", "240", "--total-mbit", "8"])
            .args(arguments);
        let mut process = run
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let mut this = Self {
            process,
            output,
            said: String::new(),
        };
        this.until("a token was made");
        this
    }

    /// Reads on until it says this. The run itself bounds the time.
    fn until(&mut self, words: &str) {
        loop {
            let from = self.said.len();
            let read = self.output.read_line(&mut self.said).unwrap();
            assert!(read > 0, "it does not say {words:?}: {}", self.said);
            if self.said[from..].contains(words) {
                return;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        send(i32::try_from(self.process.id()).unwrap(), signal);
    }

    /// Reads the rest; its exit code, what it has said, and its errors.
    fn end(mut self) -> (Option<i32>, String, String) {
        while self.output.read_line(&mut self.said).unwrap() > 0 {}
        let output = self.process.wait_with_output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), self.said, errors)
    }
}

fn send(process: i32, signal: Signal) {
    kill_process(Pid::from_raw(process).unwrap(), signal).unwrap();
}

/// The agents that run: of this host, or of all.
fn agents(layout: &Layout, host: Option<HostNumber>) -> Vec<i32> {
    let wanted = format!("\0agent\0--name\0{}\0", layout.name());
    let host = host.map(|host| format!("\0{}\0", host.0));
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        let is_meant = host.as_ref().is_none_or(|host| line.contains(host));
        if let (true, Ok(id)) = (
            line.contains(&wanted) && is_meant,
            entry.file_name().to_str().unwrap().parse(),
        ) {
            found.push(id);
        }
    }
    found
}

fn in_network(namespace: &str, words: &[&str]) -> String {
    let (program, arguments) = words.split_first().unwrap();
    let mut command = namespace::command(namespace, program);
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{words:?} in {namespace}");
    String::from_utf8(output.stdout).unwrap()
}

/// What of this run is left: tables of nft in all networks but that host's, and segments that are not parted.
fn left(layout: &Layout, but: Option<HostNumber>) -> String {
    let mut left = in_network(&layout.fabric_namespace(), &["nft", "list", "tables"]);
    for host in layout.hosts().filter(|host| Some(*host) != but) {
        left += &in_network(&layout.host_namespace(host), &["nft", "list", "tables"]);
    }
    for vm in layout.vms().map(|vm| layout.vm_namespace(vm)) {
        left += &in_network(&vm, &["nft", "list", "tables"]);
        let link = in_network(&vm, &["ip", "-d", "link", "show", "dev", "eth0"]);
        if link.contains("gso_max_segs 1 ") {
            left += &link;
        }
    }
    left
}

fn await_none(what: &str, mut left: impl FnMut() -> bool) {
    let by = Instant::now() + LIMIT;
    while left() {
        assert!(Instant::now() < by, "{what}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn small(suffix: char) -> (Layout, TakenDown) {
    let shape = Shape {
        vms_per_host: 2,
        vm_slots: 4,
        ..Shape::default()
    };
    let layout = layout(suffix, shape);
    let down = TakenDown::up(&layout);
    (layout, down)
}

/// An agent is killed: the others go on. Then the run is ended by a signal: it tells and writes what there is.
#[test]
#[ignore = "takes a minute"]
fn a_run_goes_on_without_an_agent_until_a_signal() {
    if !is_possible("a_run_goes_on_without_an_agent_until_a_signal") {
        return;
    }
    let (layout, _down) = small('e');
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut run = Run::start(&layout, &["--out", out.to_str().unwrap()]);
    let name = layout.name().as_str();
    for second in ["run", "traffic"] {
        let refused = program("lab")
            .args([second, "--name", name])
            .output()
            .unwrap();
        let errors = String::from_utf8(refused.stderr).unwrap();
        let says = format!(
            "a run is on in laboratory {name} (process {})",
            run.process.id()
        );
        assert!(errors.contains(&says), "{errors}");
        assert_eq!(refused.status.code(), Some(1));
    }
    let dead = HostNumber(2);
    let [agent] = agents(&layout, Some(dead))[..] else {
        panic!("one agent of host 2");
    };
    send(agent, Signal::KILL);
    run.until("the agent of host 2 has ended by itself: signal: 9 (SIGKILL)");
    // Whoever has the token by now, it goes round again.
    run.until("round ");
    run.until("round ");
    run.signal(Signal::INT);
    let (code, said, errors) = run.end();
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{said}");
    for says in [
        "ending: the agents finish what they have begun",
        "ended before the cost had settled: cost ",
        "fault: the agent of host 2 ended after ",
    ] {
        assert!(said.contains(says), "{said}");
    }
    assert_eq!(said.matches("has ended by itself").count(), 1, "{said}");
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.contains("The agent of host 2 ended by itself after"));
    assert!(out.join("summary.json").exists() && out.join("snapshot").exists());
    assert_eq!(agents(&layout, None), [0; 0]);
    assert_eq!(left(&layout, Some(dead)), "");
}

/// A second signal ends the run at once; the agents notice, and the next process mends what it has left. Without any agent
/// there is no run.
#[test]
#[ignore = "takes a minute"]
fn what_an_interrupted_run_leaves_is_mended() {
    if !is_possible("what_an_interrupted_run_leaves_is_mended") {
        return;
    }
    let (layout, _down) = small('i');
    let mut run = Run::start(&layout, &[]);
    // One that stands still, so that the end takes long.
    let [frozen] = agents(&layout, Some(HostNumber(3)))[..] else {
        panic!("one agent of host 3");
    };
    send(frozen, Signal::STOP);
    run.signal(Signal::INT);
    run.until("ending: ");
    thread::sleep(Duration::from_millis(700));
    let began = Instant::now();
    run.signal(Signal::INT);
    let (code, said, _) = run.end();
    assert_eq!(code, Some(130), "{said}");
    assert!(began.elapsed() < Duration::from_secs(2));
    send(frozen, Signal::CONT);
    await_none("agents are left", || !agents(&layout, None).is_empty());
    let counters = left(&layout, None);
    assert!(counters.contains("score_control") && counters.contains("score_truth"));
    assert!(!counters.contains(" s_core\n"), "{counters}");

    let run = Run::start(&layout, &[]);
    for agent in agents(&layout, None) {
        send(agent, Signal::KILL);
    }
    let (code, said, errors) = run.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        errors.contains("all agents have ended, that of host "),
        "{errors}"
    );
    // Rules of killed agents are there until agents or the laboratory end.
    let counters = left(&layout, None);
    assert!(!counters.contains("score_"), "{counters}");
    assert!(!counters.contains("gso_max_segs 1 "), "{counters}");
    let traffic = [
        "traffic",
        "--seconds",
        "1",
        "--name",
        layout.name().as_str(),
    ];
    succeed(program("lab").args(traffic).output().unwrap());
}
