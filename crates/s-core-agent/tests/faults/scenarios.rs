//! What goes wrong, and how long the token is away.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::lab::{Lab, SERVERS, SMALL_DISK, Seen, What};
use crate::network::server_id;
use crate::timing::{LONGEST, first, healing, second};

/// How often a fault is tried that came too late: after the token had left.
const TRIES: u32 = 8;
/// Within which a token that lives comes to any server.
const SOON: Duration = Duration::from_secs(20);

/// What was done, how long it took, and how long it may.
pub(crate) type Row = (&'static str, Duration, Duration);

pub(crate) fn all(lab: &mut Lab) -> Vec<Row> {
    println!("{:<68} {:>8} {:>8}", "token back after", "seconds", "bound");
    let mut rows = vec![show(nobody_makes_a_token(lab))];
    let name = "kill -9 of the holder";
    rows.push(show(kill(lab, name, |holder, _| vec![holder])));
    rows.push(show(kill_the_predecessor(lab)));
    let name = "kill -9 of both";
    rows.push(show(kill(lab, name, |holder, before| vec![holder, before])));
    rows.push(show(kill_while_migrating(lab)));
    rows.push(show(stop_and_continue(lab)));
    rows.extend(cut(lab).map(show));
    rows.push(show(full_disk(lab)));
    rows.push(show(strangers(lab)));
    rows
}

fn show(row: Row) -> Row {
    let (what, took, bound) = row;
    let [took, bound] = [took, bound].map(|time| time.as_secs_f64());
    println!("{what:<68} {took:>8.2} {bound:>8.2}");
    row
}

fn nobody_makes_a_token(lab: &mut Lab) -> Row {
    let began = Instant::now();
    let bound = second(0, 0, SERVERS.into());
    let seen = lab.wait("the first token", 2 * bound, |_, seen| is_holding(seen));
    lab.settle();
    (
        "no token at all, and nobody told to make one",
        seen.at - began,
        bound,
    )
}

fn is_holding(seen: &Seen) -> bool {
    matches!(seen.what, What::Holding(..))
}

/// Waits until a token has just come from one server to another, both with a disk that may be lost.
fn arrival(lab: &mut Lab) -> (u8, u8) {
    lab.wait("a hop between servers", SOON, |lab, seen| {
        let (holder, _) = lab.holder;
        let fresh = is_holding(seen) && seen.server == holder && seen.at.elapsed().as_millis() < 20;
        fresh && lab.before != holder && ![holder, lab.before].contains(&SMALL_DISK)
    });
    (lab.holder.0, lab.before)
}

/// How long after `began` the token is acted on in a newer epoch, elsewhere than on these servers; `None` if it
/// goes on in the same: they did not have it any more.
fn back(lab: &mut Lab, lost: &[u8], began: Instant, limit: Duration) -> Option<Duration> {
    let epoch = lab.holder.1.epoch;
    loop {
        let seen = lab.wait("the token", limit, |_, seen| {
            is_holding(seen) && seen.at > began && !lost.contains(&seen.server)
        });
        let What::Holding(_, mark) = seen.what else {
            continue;
        };
        return (mark.epoch > epoch).then(|| seen.at - began);
    }
}

/// Tries a fault until it hits the server that holds the token; `mend` undoes it.
fn strike(
    lab: &mut Lab,
    fault: impl Fn(&mut Lab, u8, u8) -> Vec<u8>,
    mend: impl Fn(&mut Lab, &[u8]),
    bound: impl Fn(u32) -> Duration,
) -> (Duration, Duration) {
    for _ in 0..TRIES {
        let (holder, before) = arrival(lab);
        let began = Instant::now();
        let lost = fault(lab, holder, before);
        let vms = lab.vms_on(&lost);
        let took = back(lab, &lost, began, 2 * bound(vms));
        let bound = bound(vms.max(lab.vms_on(&lost)));
        mend(lab, &lost);
        lab.settle();
        if let Some(took) = took {
            return (took, bound);
        }
    }
    panic!("the token was always gone before the fault");
}

fn kill(lab: &mut Lab, name: &'static str, whom: impl Fn(u8, u8) -> Vec<u8>) -> Row {
    let fault = |lab: &mut Lab, holder, before| {
        let lost = whom(holder, before);
        lost.iter().for_each(|server| lab.kill(*server));
        lost
    };
    let bound = |vms| match whom(1, 2).len() {
        1 => first(vms, 1),
        dead => second(vms, dead.try_into().unwrap(), SERVERS.into()),
    };
    let (took, bound) = strike(lab, fault, |lab, lost| lab.restart(lost), bound);
    (name, took, bound)
}

/// The longest time without a step of the token during this span, and how many steps there were.
fn longest_gap(lab: &mut Lab, span: Duration) -> (Duration, u32) {
    let (end, mut last) = (Instant::now() + span, Instant::now());
    let (mut gap, mut steps) = (Duration::ZERO, 0);
    while let Some(seen) = lab.next(end.saturating_duration_since(Instant::now())) {
        if is_holding(&seen) {
            gap = gap.max(seen.at.saturating_duration_since(last));
            last = seen.at;
            steps += 1;
        }
    }
    (gap.max(last.elapsed()), steps)
}

fn kill_the_predecessor(lab: &mut Lab) -> Row {
    let (_, before) = arrival(lab);
    lab.kill(before);
    let bound = first(lab.vms_on(&[before]), 1);
    let (gap, _) = longest_gap(lab, bound);
    lab.restart(&[before]);
    lab.settle();
    ("kill -9 of the predecessor: longest gap", gap, bound)
}

fn kill_while_migrating(lab: &mut Lab) -> Row {
    let seen = lab.wait("a migration", SOON, |_, seen| {
        seen.what == What::Migrating
            && seen.server != SMALL_DISK
            && seen.at.elapsed().as_millis() < 100
    });
    let (began, lost) = (Instant::now(), [seen.server]);
    lab.kill(seen.server);
    // It may be on its way to another server or back.
    let vms = lab.vms_on(&lost) + 1;
    let bound = first(vms, 1);
    let took = back(lab, &lost, began, 2 * bound).expect("it stays while its VM migrates");
    lab.restart(&lost);
    lab.wait("what became of the migration", SOON, |_, seen| {
        seen.what == What::Outcome && seen.server == lost[0]
    });
    lab.settle();
    ("kill -9 of the holder while its VM migrates", took, bound)
}

fn stop_and_continue(lab: &mut Lab) -> Row {
    let fault = |lab: &mut Lab, holder, _| {
        lab.signal(holder, Signal::STOP);
        vec![holder]
    };
    let mend = |lab: &mut Lab, lost: &[u8]| {
        let since = Instant::now();
        while since.elapsed() < LONGEST {
            lab.next(LONGEST.saturating_sub(since.elapsed()));
        }
        lab.signal(lost[0], Signal::CONT);
    };
    let (took, bound) = strike(lab, fault, mend, |vms| first(vms, 1));
    (
        "SIGSTOP of the holder, SIGCONT after every timeout",
        took,
        bound,
    )
}

fn cut(lab: &mut Lab) -> [Row; 2] {
    let fault = |lab: &mut Lab, holder, _| {
        lab.network.link(holder, false);
        vec![holder]
    };
    let healed = std::cell::Cell::new(Duration::ZERO);
    let mend = |lab: &mut Lab, lost: &[u8]| {
        // Both sides go on.
        let since = Instant::now();
        longest_gap(lab, LONGEST);
        while lab.two_tokens.is_none() && since.elapsed() < SOON {
            lab.next(SOON.saturating_sub(since.elapsed()));
        }
        assert!(lab.two_tokens.is_some(), "the lost token does not go on");
        lab.two_tokens = None;
        let began = Instant::now();
        lab.network.link(lost[0], true);
        let seen = lab.wait("the end of one token", 2 * healing(), |_, seen| {
            seen.what == What::Superseded
        });
        longest_gap(lab, healing());
        let last = lab.two_tokens.map_or(seen.at, |at| at.max(seen.at));
        healed.set(last - began);
    };
    let (took, bound) = strike(lab, fault, mend, |vms| first(vms, 1));
    [
        ("the holder's link cut: back among the others", took, bound),
        ("the link healed: one token left", healed.get(), healing()),
    ]
}

fn full_disk(lab: &mut Lab) -> Row {
    let (mut took, mut bound) = (None, Duration::ZERO);
    while took.is_none() {
        lab.wait("the token on the small disk", SOON, |_, seen| {
            is_holding(seen) && seen.server == SMALL_DISK && seen.at.elapsed().as_millis() < 20
        });
        let (began, lost) = (Instant::now(), [SMALL_DISK]);
        let filler = lab.state_file(SMALL_DISK, "filler");
        // A page for the mark, none to replace it.
        std::fs::write(&filler, [1; 4096]).unwrap();
        // Each of its VMs is found and does not take the token.
        let vms = lab.vms_on(&lost);
        bound = first(vms, vms);
        let next = lab.wait("a mark that cannot be stored", bound, |_, seen| {
            let elsewhere = is_holding(seen) && seen.server != SMALL_DISK && seen.at > began;
            seen.what == What::Unstored || elsewhere
        });
        if next.what == What::Unstored {
            took = back(lab, &lost, began, 2 * bound);
        }
        std::fs::remove_file(&filler).unwrap();
        lab.settle();
    }
    ("the holder's disk full", took.unwrap_or_default(), bound)
}

fn strangers(lab: &mut Lab) -> Row {
    let seconds = std::env::var("S_CORE_FLOOD_SECONDS").unwrap_or("5".into());
    let span = Duration::from_secs(seconds.parse().unwrap());
    let (_, before) = longest_gap(lab, Duration::from_secs(5));
    let resident = resident_kib(lab.pid(1));
    let program = std::env::current_exe().unwrap();
    let target = format!("{}:{}", server_id(1).addr(), s_core_agent::DEFAULT_PORT);
    let mut command = lab.network.command(None, &program);
    command.args(["strangers", &target, &seconds]);
    let flood = command.stdout(Stdio::piped()).spawn().unwrap();
    let (gap, during) = longest_gap(lab, span);
    let resident_now = resident_kib(lab.pid(1));
    let said = flood.wait_with_output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let (datagrams, connections) = said.trim().split_once(' ').unwrap();
    println!(
        "flood of {seconds} s: {datagrams} datagrams and {connections} connections a second; hops a second {:.1} -> {:.1}; \
         resident {resident} -> {resident_now} KiB",
        f64::from(before) / 5.0,
        f64::from(during) / span.as_secs_f64(),
    );
    assert!(resident_now < resident + 64 * 1024);
    thread::sleep(Duration::from_millis(100));
    lab.settle();
    (
        "10,000 datagrams, 1,000 half-open connections a second: longest gap",
        gap,
        first(0, 0),
    )
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse().unwrap()
}
