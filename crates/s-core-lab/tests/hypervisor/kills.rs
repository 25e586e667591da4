//! Hypervisors that are killed in the middle of a migration.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Barrier};
use std::thread;

use rustix::process::{Signal, getpid, kill_process};
use s_core_backend::{Hypervisor as _, MigrationOutcome};
use s_core_lab::hypervisor::{Observer, Phase};
use s_core_lab::{HostNumber, LabHypervisor, Layout, VmNumber};

use crate::lab::{self, DEADLINE, FIRST, Lab, SECOND, VM, eventually, settings};
use crate::outcomes::Counting;

/// What a child process is to do: the layout, its host and the phase in which it ends, as JSON.
const ORDER: &str = "S_CORE_LAB_CHILD";

/// Kills its own process in one phase.
#[derive(Debug)]
struct Killer(Phase);

impl Observer for Killer {
    fn phase(&self, _vm: VmNumber, phase: Phase) {
        if phase == self.0 {
            kill_process(getpid(), Signal::KILL).unwrap();
        }
    }
}

/// The other process of the tests below: the hypervisor of the first host migrates the VM, that of the second waits for it.
#[test]
#[ignore = "a process of the tests here, nothing to test by itself"]
fn child() {
    let Ok(order) = std::env::var(ORDER) else {
        return;
    };
    let (layout, host, phase): (Layout, HostNumber, Phase) = serde_json::from_str(&order).unwrap();
    let killer = Arc::new(Killer(phase));
    let hypervisor = lab::start(&layout, host, settings(), killer);
    println!("\nready");
    if host == FIRST {
        hypervisor.migrate(layout.vm_uuid(VM), layout.server(SECOND), DEADLINE);
    } else {
        thread::sleep(DEADLINE);
    }
}

/// Starts the hypervisor of a host in a process of its own, which kills itself in this phase.
fn start(lab: &Lab, host: HostNumber, phase: Phase) -> Child {
    let order = serde_json::to_string(&(&lab.layout, host, phase)).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "kills::child", "--ignored", "--nocapture"]);
    let mut child = command
        .env(ORDER, order)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let ready = stdout
        .lines()
        .any(|line| line.is_ok_and(|line| line == "ready"));
    assert!(ready, "it did not start");
    child
}

/// Waits for a process that kills itself.
fn killed(mut child: Child, about: &str) {
    assert!(
        eventually(|| child.try_wait().unwrap().is_some()),
        "{about}: it lives"
    );
    let status = child.wait().unwrap();
    assert_eq!(status.code(), None, "{about}: {status}");
}

/// Whether the rooms of both hosts are what they should be with the VM at home there.
fn assert_rooms(lab: &Lab, hypervisors: [&LabHypervisor; 2], home: HostNumber, about: &str) {
    let room = |of: &LabHypervisor| of.free_capacity(DEADLINE).unwrap().vm_slots;
    let expected = if home == FIRST { [1, 1] } else { [2, 0] };
    assert!(
        eventually(|| hypervisors.map(room) == expected),
        "{about}: rooms"
    );
    let runs = |of: &LabHypervisor| {
        let domains = of.domains(DEADLINE).unwrap();
        let uuid = lab.layout.vm_uuid(VM);
        domains.iter().any(|domain| domain.uuid == uuid)
    };
    assert_eq!(hypervisors.map(runs), [home == FIRST, home == SECOND]);
    assert!(hypervisors.map(|of| of.arriving(DEADLINE).unwrap().len()) == [0, 0]);
}

/// Brings the VM back if it has gone.
fn back(lab: &Lab, [first, second]: [&LabHypervisor; 2]) {
    if first.free_capacity(DEADLINE).unwrap().vm_slots == 2 {
        assert_eq!(lab.migrate(second, FIRST), MigrationOutcome::Moved);
    }
}

#[test]
fn a_source_that_is_killed_leaves_one_home() {
    let Some(lab) = Lab::new("a_source_that_is_killed_leaves_one_home", 2) else {
        return;
    };
    let second = lab.hypervisor(SECOND);
    for (phase, home) in [
        (Phase::LeavingAdmitted, FIRST),
        (Phase::LeavingCopied, FIRST),
        (Phase::LeavingPaused, FIRST),
        (Phase::LeavingComplete, FIRST),
        (Phase::LeavingGiven, SECOND),
    ] {
        let about = format!("source killed at {phase:?}");
        killed(start(&lab, FIRST, phase), &about);
        let first = lab.hypervisor(FIRST);
        lab.assert_home(home, &about);
        assert_rooms(&lab, [&first, &second], home, &about);
        back(&lab, [&first, &second]);
    }
}

#[test]
fn a_target_that_is_killed_leaves_one_home() {
    let Some(lab) = Lab::new("a_target_that_is_killed_leaves_one_home", 2) else {
        return;
    };
    let first = lab.hypervisor(FIRST);
    for (phase, home) in [
        (Phase::ArrivingAdmitted, FIRST),
        (Phase::ArrivingCopied, FIRST),
        (Phase::ArrivingComplete, FIRST),
        (Phase::ArrivingGiven, SECOND),
        (Phase::ArrivingAttached, SECOND),
    ] {
        let about = format!("target killed at {phase:?}");
        let child = start(&lab, SECOND, phase);
        let outcome = lab.migrate(&first, SECOND);
        killed(child, &about);
        let stayed = matches!(outcome, MigrationOutcome::StayedHere(_));
        let unknown = matches!(outcome, MigrationOutcome::Unknown(_));
        assert_eq!(
            [stayed, unknown],
            [home == FIRST, home == SECOND],
            "{about}: {outcome:?}"
        );
        let second = lab.hypervisor(SECOND);
        lab.assert_home(home, &about);
        assert_rooms(&lab, [&first, &second], home, &about);
        back(&lab, [&first, &second]);
    }
}

/// A source that dies when the target has all may have given the VM in its last moment: room is kept for it.
#[test]
fn a_vm_that_comes_without_a_word_is_expected() {
    let Some(lab) = Lab::new("a_vm_that_comes_without_a_word_is_expected", 2) else {
        return;
    };
    let gate = Arc::new(Counting::default());
    let second = lab.patient(SECOND, Arc::new(()));
    second.guard(gate.clone());
    let about = "source killed before it told";
    killed(start(&lab, FIRST, Phase::LeavingComplete), about);
    assert_eq!(second.arriving(DEADLINE).unwrap().len(), 1);
    assert_eq!(second.free_capacity(DEADLINE).unwrap().vm_slots, 0);
    lab.give(VM, FIRST, SECOND);
    lab.assert_home(SECOND, about);
    assert!(eventually(|| second.arriving(DEADLINE).unwrap().is_empty()));
    let counts = [&gate.asked, &gate.failed];
    let counts = counts.map(|count| count.load(Ordering::Relaxed));
    assert_eq!(counts, [1, 0]);
}

/// Waits in one phase until told to go on.
#[derive(Debug)]
struct Waits(Phase, Barrier);

impl Observer for Waits {
    fn phase(&self, _vm: VmNumber, phase: Phase) {
        if phase == self.0 {
            self.1.wait();
            self.1.wait();
        }
    }
}

/// The target is killed when the source knows that it has all and has not given the VM yet, and starts again before it does.
#[test]
fn a_target_that_starts_again_gets_what_it_was_given() {
    let Some(lab) = Lab::new("a_target_that_starts_again_gets_what_it_was_given", 2) else {
        return;
    };
    let waits = Arc::new(Waits(Phase::LeavingComplete, Barrier::new(2)));
    let first = Arc::new(lab.patient(FIRST, waits.clone()));
    // A phase that a target never comes to.
    let mut target = start(&lab, SECOND, Phase::LeavingGiven);
    let migrating = {
        let (first, layout) = (first.clone(), lab.layout.clone());
        thread::spawn(move || first.migrate(layout.vm_uuid(VM), layout.server(SECOND), DEADLINE))
    };
    waits.1.wait();
    target.kill().unwrap();
    target.wait().unwrap();
    let second = lab.hypervisor(SECOND);
    assert_rooms(&lab, [&first, &second], FIRST, "not given yet");
    waits.1.wait();
    let outcome = migrating.join().unwrap();
    assert!(
        matches!(outcome, MigrationOutcome::Unknown(_)),
        "{outcome:?}"
    );
    lab.assert_home(SECOND, "given to one that started again");
    assert_rooms(&lab, [&first, &second], SECOND, "started again");
}
