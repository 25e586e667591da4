//! Real guests in the VMs of a laboratory: traffic, its counts at both ends, probes, memory, and a guest as first process.
//!
//! Needs what laboratories need; without, it says so and passes, unless `S_CORE_REQUIRE_OVS=1`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod guest_lab;

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use s_core_lab::traffic::{Mix, PairTraffic, ProbeSettings, Probes};
use s_core_model::Rate;
use s_core_xen_guest::{Counters, Dirtying, payload};

use guest_lab::{GuestLab, PROGRAM, children, end, wait_for};

fn sleep(seconds: f64) {
    thread::sleep(Duration::from_secs_f64(seconds));
}

/// Three guests; the fourth VM is outside.
#[test]
fn guests_send_by_their_plan_and_both_ends_agree() {
    let test = "guests_send_by_their_plan_and_both_ends_agree";
    let Some(mut lab) = GuestLab::new(test, 'g', 4) else {
        return;
    };
    for n in 1..=3 {
        lab.start(n, &[PROGRAM]);
    }
    let pair =
        |a, b, rate, mix| PairTraffic::new(lab.vm(a), lab.vm(b), Rate::new(rate).unwrap(), mix);
    let mix = "bulk=6,short=2,udp=2".parse().unwrap();
    let first = [pair(1, 2, 800_000.0, mix), pair(2, 3, 200_000.0, Mix::UDP)];
    let second = [pair(3, 1, 400_000.0, Mix::BULK), first[1]];
    let idle = lab.counters(3);
    lab.plan(3, &first);
    sleep(0.5);
    let begin = lab.counters(3);
    sleep(2.0);
    let rated = lab.counters(3);
    let probes = probe(&lab, 1);
    lab.plan(3, &second);
    sleep(1.0);
    lab.plan(3, &[]);
    // What is on its way arrives.
    sleep(0.5);
    let all = lab.counters(3);

    // VM 1 has the first pair alone, both directions together.
    near(carried(&begin[0], &rated[0]), 800_000.0, 0.1);
    assert!(eth0(&idle[0]).0 < 20_000, "{idle:?}");
    let payload = payload(&all);
    let between = |a, b| (lab.vm(a), lab.vm(b));
    let wanted = [(1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2)].map(|(a, b)| between(a, b));
    assert_eq!(payload.keys().copied().collect::<Vec<_>>(), wanted);
    for ((from, to), payload) in &payload {
        assert!(
            payload.sent > 10_000 && payload.sent == payload.received && payload.broken == 0,
            "{from} to {to}: {payload:?}"
        );
    }
    for counters in &all {
        assert_eq!((counters.plan.changes, counters.plan.pairs), (3, 0));
        let sent: u64 = counters.pairs.iter().map(|pair| pair.sent).sum();
        let eth0 = eth0(counters);
        assert!(eth0.0 > sent, "{counters:?}");
    }
    // Those who belong to a pair were told of it, and nobody else.
    assert_eq!(
        rated.iter().map(|one| one.plan.pairs).collect::<Vec<_>>(),
        [1, 2, 1]
    );
    assert!(probes < 0.02, "{probes} of the probes were lost");
}

/// The share of lost probes of VM `n` from outside, under load, every 5 ms.
fn probe(lab: &GuestLab, n: u32) -> f64 {
    let asking = [(lab.endpoint(4), lab.vm(n).addr())];
    let settings = ProbeSettings {
        every: Duration::from_millis(5),
        ..ProbeSettings::from(Instant::now())
    };
    let probes = Probes::start_parts(&[], &asking, settings).unwrap();
    sleep(1.0);
    let series = probes.stop().unwrap().remove(0);
    assert!(series.probes.len() > 100, "{}", series.probes.len());
    series.lost() as f64 / series.probes.len() as f64
}

/// Bytes sent and received by the guest's interface.
fn eth0(counters: &Counters) -> (u64, u64) {
    let eth0 = counters.interfaces.iter().find(|one| one.name == "eth0");
    eth0.map(|one| (one.sent_bytes, one.received_bytes))
        .unwrap()
}

/// Bytes per second, both directions together, that the guest's interface carried.
fn carried(from: &Counters, to: &Counters) -> f64 {
    let bytes = |one: &Counters| eth0(one).0 + eth0(one).1;
    (bytes(to) - bytes(from)) as f64 * 1e9 / (to.nanoseconds - from.nanoseconds) as f64
}

fn near(found: f64, wanted: f64, tolerance: f64) {
    let off = (found / wanted - 1.0).abs();
    assert!(off <= tolerance, "{found}, not {wanted}");
}

#[test]
fn an_ordinary_process_writes_memory_and_ends() {
    let Some(mut lab) = GuestLab::new("an_ordinary_process_writes_memory_and_ends", 'm', 2) else {
        return;
    };
    let pid = lab.start(1, &[PROGRAM]);
    let resident = || status_kib(pid, "RssAnon:");
    let before = resident();
    let dirtying = Dirtying {
        mb_per_second: 20.0,
        working_set_mib: 16,
    };
    lab.ask(1, move |client| client.dirty(Some(dirtying)))
        .unwrap();
    let first = lab.counters(1).remove(0);
    sleep(1.0);
    let second = lab.counters(1).remove(0);
    let seconds = (second.nanoseconds - first.nanoseconds) as f64 / 1e9;
    let written = (second.dirty.pages - first.dirty.pages) as f64 * 4096.0 / 1e6 / seconds;
    near(written, 20.0, 0.15);
    assert!(resident() >= before + 16 * 1024);
    let too_much = Dirtying {
        mb_per_second: 1e9,
        ..dirtying
    };
    let refused = lab.ask(1, move |client| client.dirty(Some(too_much)));
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("400 Bad Request: mb_per_second")
    );
    lab.ask(1, |client| client.dirty(None)).unwrap();
    assert!(resident() < before + 4 * 1024);
    assert_eq!(lab.counters(1)[0].dirty.mb_per_second, 0.0);
    let mut guest = lab.guests.pop().unwrap();
    assert!(end(&mut guest, pid, Signal::TERM).success());
}

/// In a PID namespace a process is the first one, and powering off ends it by SIGINT (`reboot(2)`).
#[test]
fn a_first_process_mounts_what_it_needs_and_powers_off() {
    let test = "a_first_process_mounts_what_it_needs_and_powers_off";
    let Some(mut lab) = GuestLab::new(test, 'i', 2) else {
        return;
    };
    let bare = r#"umount -l /proc && exec "$0" "$@""#;
    let words = [
        "unshare",
        "--pid",
        "--mount",
        "--fork",
        "sh",
        "-c",
        bare,
        PROGRAM,
        "no-option",
    ];
    let unshare = lab.start(1, &words);
    // Without /proc there are no counters of interfaces.
    assert!(!lab.counters(1)[0].interfaces.is_empty());
    let guest = children(unshare)[0];
    // An orphan becomes its child, and is collected when it has ended.
    let target = guest.as_raw_nonzero().to_string();
    let mut orphan = Command::new("nsenter");
    orphan.args(["--pid", "--target", &target, "sh", "-c", "sleep 0.5 &"]);
    assert!(orphan.status().unwrap().success());
    assert_eq!(children(guest).len(), 1);
    wait_for("an orphan that was collected", || {
        children(guest).is_empty().then_some(())
    });
    assert_eq!(lab.counters(1)[0].vm, lab.vm(1));
    let status = end(&mut lab.guests.pop().unwrap(), guest, Signal::TERM);
    let by_interrupt = status.signal() == Some(2) || status.code() == Some(128 + 2);
    assert!(by_interrupt, "{status:?}");
}

fn status_kib(pid: Pid, name: &str) -> u64 {
    let path = format!("/proc/{}/status", pid.as_raw_nonzero());
    let status = std::fs::read_to_string(path).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    value
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}
