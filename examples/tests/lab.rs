//! `lab` as its users call it.
//!
//! Needs root and Open vSwitch; without, it says so and passes, unless `S_CORE_REQUIRE_OVS=1`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod program;
#[path = "../../crates/s-core-lab/tests/support/mod.rs"]
mod support;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use program::program;
use rustix::process::{Pid, Signal, kill_process_group};
use s_core_lab::run::RunLock;
use s_core_lab::{LabName, Shape, namespace};
use serde_json::Value;
use support::{TakenDown, is_possible, layout, traces};

fn lab(arguments: &[&str]) -> Output {
    program("lab").args(arguments).output().unwrap()
}

fn check(arguments: &[&str], code: i32, says: &str) -> String {
    let output = lab(arguments);
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {err}");
    let text = if code == 0 { &out } else { &err };
    assert!(text.contains(says), "{arguments:?}: {text}");
    out
}

#[test]
fn wrong_calls_are_refused() {
    for (arguments, says) in [
        (&["up", "--hosts", "0"][..], "hosts: 0 is not 1 to 250"),
        (
            &["up", "--vms", "0"],
            "vms_per_host: 0 leaves nothing to move",
        ),
        (&["up", "--hosts", "300000"], "300000 is not in 0..=65535"),
        (
            &["up", "--fan-out", "8"],
            "fan_out: makes 8 racks for 4 hosts",
        ),
        (
            &["up", "--vms", "9", "--vm-slots", "8"],
            "vm_slots: 8 do not hold 9 VMs",
        ),
        (
            &["down", "--name", "../etc"],
            "is not 1 to 8 lower-case letters and digits",
        ),
        (&[], "Usage: lab"),
    ] {
        check(arguments, 2, says);
    }
}

/// What `run` is told wrongly it says before it makes anything.
#[test]
fn a_wrong_run_makes_no_laboratory() {
    let layout = layout('w', Shape::default());
    for (arguments, code, says) in [
        (&["--total-mbit", "nan"][..], 2, "--total-mbit: "),
        (&["--utilisation", "2"], 2, "utilisation: a number above 0"),
        (&["--hosts", "0"], 2, "hosts: 0 is not 1 to 250"),
        (&["--fault", "9:full"], 2, "--fault: host 9 is not 1 to 4"),
        (&["--fault", "full"], 2, "give HOST:FAULT, like 2:full"),
        (&["--fault", "2:late"], 2, "is none of refuse, full"),
        (&["--fault", "2:cut-after=0"], 2, "wants a number of octets"),
        (
            &["--fault", "2:full", "--fault", "2:refuse"],
            2,
            "--fault: host 2 is given twice; use commas",
        ),
        (&["--matrix", "/nonexistent"], 1, "/nonexistent"),
        (&["--out", "/proc/foo"], 1, "/proc/foo"),
    ] {
        let call = ["run", "--name", layout.name().as_str()];
        let call: Vec<_> = call.iter().chain(arguments).copied().collect();
        check(&call, code, says);
        assert!(!layout.directory().exists(), "{call:?}");
    }
}

#[test]
fn a_laboratory_comes_and_goes() {
    if !is_possible("a_laboratory_comes_and_goes") {
        return;
    }
    let layout = layout('p', Shape::default());
    let lab = TakenDown(layout.name().clone());
    let name = ["--name", lab.0.as_str()];
    let call = |words: &[&'static str], code, says: &str| {
        let words: Vec<_> = words.iter().copied().chain(name).collect();
        check(&words, code, says)
    };
    let absent = format!("there is no laboratory {}", lab.0);
    call(&["status"], 1, &absent);
    let small = [
        "up",
        "--hosts",
        "2",
        "--vms",
        "2",
        "--fan-out",
        "2",
        "--management",
    ];
    call(&small, 0, "2 hosts with 4 VMs is up after ");
    call(&small, 1, "exists already: take it down first");
    let text = call(&["status"], 0, "10.77.1.1 10.77.1.2");
    assert!(
        text.contains("192.168.77.2") && text.contains("s0.2 and s1.1"),
        "{text}"
    );
    let status: Value = serde_json::from_str(&call(&["status", "--json"], 0, "")).unwrap();
    let hosts = status["hosts"].as_array().unwrap();
    assert_eq!(hosts[1]["vms"], Value::from(vec!["10.77.1.3", "10.77.1.4"]));
    assert_eq!(hosts[1]["location"], "s2");
    assert_eq!(hosts[1]["switch"]["state"], "running");
    assert_eq!(status["links"].as_array().unwrap().len(), 2);
    runs_are_refused(&lab.0, call);
    call(
        &["down"],
        0,
        "removed 4 processes, 7 namespaces and its files",
    );
    call(&["down"], 0, "removed nothing, for nothing was there");
    call(&["status"], 1, &absent);
}

/// As a terminal does it: the signal goes to the whole group of processes.
#[test]
fn an_interrupted_up_leaves_nothing() {
    if !is_possible("an_interrupted_up_leaves_nothing") {
        return;
    }
    let layout = layout('i', Shape::default());
    let lab = TakenDown(layout.name().clone());
    let name = lab.0.as_str();
    let namespaces = || namespace::with_prefix(&layout.prefix()).unwrap().len();
    // While namespaces are made, and while switches start.
    for (made, then) in [(5, 0), (145, 0), (145, 300)] {
        let mut up = program("lab");
        up.args(["up", "--name", name, "--hosts", "16", "--vms", "8"]);
        let up = up.process_group(0).stderr(Stdio::piped()).spawn().unwrap();
        let begun = Instant::now();
        while namespaces() < made && begun.elapsed() < Duration::from_secs(20) {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(then));
        kill_process_group(Pid::from_child(&up), Signal::INT).unwrap();
        let output = up.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let wanted = format!("error: interrupted: laboratory {name} was not made\n");
        assert_eq!((output.status.code(), said), (Some(1), wanted));
        assert_eq!(traces(&lab.0), [""; 0], "{made} namespaces and {then} ms");
    }
}

/// A laboratory of two hosts with a management network does not become another by `run`.
fn runs_are_refused(name: &LabName, call: impl Fn(&[&'static str], i32, &str) -> String) {
    let exists = |is: &str| format!("laboratory {name} exists, and there it is {is};");
    call(&["run", "--hosts", "3"], 2, &exists("2"));
    call(&["run", "--fan-out", "2,1"], 2, &exists("2"));
    call(&["run", "--over-subscription", "3"], 2, &exists("2"));
    // What is as it is passes this check.
    let same = ["run", "--hosts", "2", "--management", "--fault", "3:full"];
    call(&same, 2, "--fault: host 3 is not 1 to 2");

    let layout = s_core_lab::load(name).unwrap();
    let lock = RunLock::take(&layout).unwrap();
    let on = format!(
        "a run is on in laboratory {name} (process {})",
        std::process::id()
    );
    call(&["run"], 1, &on);
    call(&["traffic"], 1, &on);
    drop(lock);

    let path = layout.directory().join("layout.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, "hosts").unwrap();
    call(&["run"], 1, "layout.toml: ");
    fs::write(&path, text).unwrap();
}
