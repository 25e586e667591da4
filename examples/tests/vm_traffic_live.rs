//! `vm-traffic` on a real Open vSwitch in network namespaces, with real TCP and UDP.
//!
//! Needs root and Open vSwitch; without, it says so and passes, unless `S_CORE_REQUIRE_OVS=1`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../crates/s-core-backend/tests/ovs_lab/mod.rs"]
mod ovs_lab;
mod program;

use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ovs_lab::traffic::{tcp_stream, udp_bursts, udp_ping_pong, within_one_per_cent};
use ovs_lab::{Lab, address};
use program::program;
use s_core_backend::ovs::IP_PAIR_RULE;
use serde_json::Value;

/// Watches the switch until it has written its reports, then tells the JSON object of each.
struct Watcher(Child);

impl Watcher {
    fn start(lab: &Lab, form: &[&str]) -> Self {
        let child = program("vm-traffic")
            .arg("--socket")
            .arg(lab.run_dir())
            .arg("--ovsdb")
            .arg(lab.ovsdb())
            .args(form)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Let it take its baseline.
        thread::sleep(Duration::from_millis(500));
        Self(child)
    }

    fn output(self) -> String {
        let output = self.0.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    }
}

fn bytes(reports: &[Value], a: u8, b: u8) -> u64 {
    let (a, b) = (address(a).to_string(), address(b).to_string());
    let pairs = reports.iter().flat_map(|r| r["pairs"].as_array().unwrap());
    let of_pair = pairs.filter(|p| p["vm_a"] == *a && p["vm_b"] == *b);
    of_pair.map(|p| p["bytes"].as_u64().unwrap()).sum()
}

#[test]
fn every_pair_is_within_one_per_cent_of_what_was_sent() {
    let Some(lab) = Lab::new("vm-traffic", 4) else {
        return;
    };
    lab.add_rule(IP_PAIR_RULE);
    let fourth_before = lab.frames(4);
    let watcher = Watcher::start(&lab, &["--interval", "3", "--count", "3", "--json"]);
    let (mut bursts, mut ping_pong) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| bursts = udp_bursts(&lab, 1, 2, 1, 3000, Duration::ZERO));
        scope.spawn(|| ping_pong = udp_ping_pong(&lab, 2, 3, 1500));
        scope.spawn(|| tcp_stream(&lab, 3, 4, 300));
    });
    let stream = lab.frames(4) - fourth_before;
    let output = watcher.output();
    let reports: Vec<Value> = output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(reports.len(), 3);
    for (a, b, sent) in [(1, 2, bursts), (2, 3, ping_pong), (3, 4, stream)] {
        let found = bytes(&reports, a, b);
        assert!(
            within_one_per_cent(found, sent),
            "{a} and {b}: {found} of {sent} in {output}"
        );
    }
    for pair in reports.iter().flat_map(|r| r["pairs"].as_array().unwrap()) {
        let number = |key: &str| pair[key].as_f64().unwrap();
        let seconds = number("bytes") / number("bytes_per_second");
        assert!((2.9..4.5).contains(&seconds), "{pair}");
    }
}

#[test]
fn the_table_names_interfaces_and_the_csv_is_one_report() {
    let Some(lab) = Lab::new("vm-traffic's table", 2) else {
        return;
    };
    lab.add_rule(IP_PAIR_RULE);
    let table = Watcher::start(&lab, &["--interval", "2", "--count", "1"]);
    let csv = Watcher::start(&lab, &["--interval", "2", "--csv"]);
    udp_ping_pong(&lab, 1, 2, 200);
    let (table, csv) = (table.output(), csv.output());
    assert!(
        table.contains("10.9.0.1 (vif1.0)") && table.contains("10.9.0.2 (vif2.0)"),
        "{table}"
    );
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("vm_a,vm_b,bytes_per_second"));
    assert!(
        lines.next().unwrap().starts_with("10.9.0.1,10.9.0.2,"),
        "{csv}"
    );
    assert_eq!(lines.next(), None);
}

#[test]
fn what_is_set_on_the_switch_goes_again_also_after_a_signal() {
    let Some(lab) = Lab::new("vm-traffic's settings", 2) else {
        return;
    };
    let state = |lab: &Lab| lab.rules() + &lab.vsctl("--columns=targets list NetFlow");
    let before = state(&lab);
    for (option, mark) in [
        ("--ip-pair-rule", "0x4950504149520001"),
        ("--netflow", "127.0.0.1"),
    ] {
        let watcher = Watcher::start(&lab, &[option, "br0", "--json", "--interval", "60"]);
        let deadline = Instant::now() + Duration::from_secs(20);
        while !state(&lab).contains(mark) {
            assert!(Instant::now() < deadline, "{option}: {}", state(&lab));
            thread::sleep(Duration::from_millis(100));
        }
        let pid = rustix::process::Pid::from_child(&watcher.0);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert_eq!(watcher.output(), "");
        assert_eq!(state(&lab), before, "{option}");
    }
}
