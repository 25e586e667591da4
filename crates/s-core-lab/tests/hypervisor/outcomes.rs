//! Migrations that do not succeed, and who may come in.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use s_core_backend::{Domain, Gate, Hypervisor as _, MigrationOutcome, Uuid};
use s_core_lab::hypervisor::{Faults, Observer, Phase};
use s_core_lab::{HostNumber, LabHypervisor, VmNumber, namespace};

use crate::lab::{DEADLINE, FIRST, Lab, SECOND, VM, eventually};

/// Admits or not, and counts.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    closed: AtomicBool,
    pub(crate) asked: AtomicU32,
    pub(crate) failed: AtomicU32,
}

impl Gate for Counting {
    fn admit(&self, domain: &Domain, _deadline: Duration) -> bool {
        assert_eq!((domain.name.as_str(), domain.macs.len()), ("vm1", 1));
        self.asked.fetch_add(1, Ordering::Relaxed);
        !self.closed.load(Ordering::Relaxed)
    }

    fn failed(&self, _domain: &Domain) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

fn free(hypervisor: &LabHypervisor) -> u32 {
    hypervisor.free_capacity(DEADLINE).unwrap().vm_slots
}

fn runs_at(hypervisor: &LabHypervisor) -> Vec<String> {
    let domains = hypervisor.domains(DEADLINE).unwrap();
    domains.into_iter().map(|domain| domain.name).collect()
}

/// Whatever keeps a VM from moving, it runs on where it was, and the room at the target is free again.
#[test]
fn a_vm_that_does_not_move_stays() {
    let Some(lab) = Lab::new("a_vm_that_does_not_move_stays", 4) else {
        return;
    };
    let [first, second] = [FIRST, SECOND].map(|host| lab.hypervisor(host));
    let gate = Arc::new(Counting::default());
    assert!(second.guard(gate.clone()));
    let none = Faults::default;
    let check = |at_source: Faults, at_target: Faults, says: &str| {
        first.set_faults(at_source);
        second.set_faults(at_target);
        let outcome = lab.migrate_within(&first, SECOND, Duration::from_secs(4));
        let MigrationOutcome::StayedHere(why) = &outcome else {
            panic!("{outcome:?}, not {says:?}");
        };
        assert!(why.contains(says), "{why:?}, not {says:?}");
        lab.assert_home(FIRST, says);
        assert!(eventually(|| free(&second) == 1), "{says}");
        assert_eq!(free(&first), 1);
        assert_eq!(runs_at(&first), ["vm1", "vm2"]);
        assert_eq!(runs_at(&second), ["vm3", "vm4"]);
        assert_eq!(second.arriving(DEADLINE).unwrap(), []);
        let Counting { asked, failed, .. } = &*gate;
        [asked, failed].map(|count| count.load(Ordering::Relaxed))
    };
    let (refuse, full) = (true, true);
    let asked = check(none(), Faults { refuse, ..none() }, "h2: it refuses");
    assert_eq!(asked, [0, 0]);
    let asked = check(none(), Faults { full, ..none() }, "h2: it is full");
    assert_eq!(asked, [0, 0]);
    let cut_after = Some(1 << 20);
    let cut = Faults {
        cut_after,
        ..none()
    };
    let asked = check(none(), cut, "copying its memory to h2");
    assert_eq!(asked, [1, 1]);
    // 4 MiB at 1 MB a second are not through within 4 s: it gives up in time.
    let bytes_per_second = Some(1_000_000);
    let late = || Faults {
        bytes_per_second,
        ..none()
    };
    let asked = check(late(), none(), "too late to copy");
    assert_eq!(asked, [2, 2]);
    gate.closed.store(true, Ordering::Relaxed);
    let asked = check(none(), none(), "h2: its gate does not admit the VM");
    assert_eq!(asked, [3, 2]);
    gate.closed.store(false, Ordering::Relaxed);

    let to = |uuid, address: &str| first.migrate(uuid, address.parse().unwrap(), DEADLINE);
    let stays = |outcome: MigrationOutcome, says: &str| {
        assert_eq!(outcome, MigrationOutcome::StayedHere(says.into()));
    };
    let uuid = lab.layout.vm_uuid(VM);
    stays(to(uuid, "10.77.0.1"), "not begun: it is here already");
    let no_host = "not begun: no host of this laboratory has address 10.77.0.3";
    stays(to(uuid, "10.77.0.3"), no_host);
    let uuid = lab.layout.vm_uuid(VmNumber(3));
    stays(to(uuid, "10.77.0.2"), "not begun: vm3 is not here");
    let outcome = to(Uuid::new([0; 16]), "10.77.0.2");
    let no_vm = "not begun: no VM of this laboratory has UUID 00000000-0000-0000-0000-000000000000";
    stays(outcome, no_vm);

    // A target that ends, and one that has ended.
    first.set_faults(late());
    let outcome = thread::scope(|scope| {
        let migrating = scope.spawn(|| lab.migrate(&first, SECOND));
        assert!(eventually(|| second.arriving(DEADLINE).unwrap().len() == 1));
        drop(second);
        migrating.join().unwrap()
    });
    assert!(
        matches!(outcome, MigrationOutcome::StayedHere(_)),
        "{outcome:?}"
    );
    assert_eq!(gate.failed.load(Ordering::Relaxed), 3);
    let outcome = lab.migrate(&first, SECOND);
    let says = "cannot connect to 10.77.0.2:8002: Connection refused";
    assert!(matches!(&outcome, MigrationOutcome::StayedHere(why) if why.starts_with(says)));
    lab.assert_home(FIRST, says);
}

/// A VM that was let in arrives when its target waits for it before it ends.
#[test]
fn an_arrival_is_waited_for() {
    let Some(lab) = Lab::new("an_arrival_is_waited_for", 4) else {
        return;
    };
    let [first, second] = [FIRST, SECOND].map(|host| lab.hypervisor(host));
    first.set_faults(Faults {
        bytes_per_second: Some(4 << 20),
        ..Faults::default()
    });
    let outcome = thread::scope(|scope| {
        let migrating = scope.spawn(|| lab.migrate(&first, SECOND));
        assert!(eventually(|| second.arriving(DEADLINE).unwrap().len() == 1));
        second.await_arrivals(Duration::from_millis(10));
        assert_eq!(second.arriving(DEADLINE).unwrap().len(), 1);
        second.await_arrivals(Duration::from_secs(30));
        drop(second);
        migrating.join().unwrap()
    });
    assert_eq!(outcome, MigrationOutcome::Moved);
    lab.assert_home(SECOND, "waited for");
}

/// Two VMs at once, and room for one.
#[test]
fn the_last_slot_is_given_once() {
    let Some(lab) = Lab::new("the_last_slot_is_given_once", 4) else {
        return;
    };
    let [first, second] = [FIRST, SECOND].map(|host| lab.hypervisor(host));
    let (first, together) = (Arc::new(first), Arc::new(Barrier::new(2)));
    let vms = [1, 2].map(VmNumber);
    let threads = vms.map(|vm| {
        let (first, together) = (first.clone(), together.clone());
        let (uuid, target) = (lab.layout.vm_uuid(vm), lab.layout.server(SECOND));
        thread::spawn(move || {
            together.wait();
            first.migrate(uuid, target, DEADLINE)
        })
    });
    let mut outcomes = threads.map(|thread| thread.join().unwrap());
    outcomes.sort_by_key(|outcome| *outcome == MigrationOutcome::Moved);
    let full = MigrationOutcome::StayedHere("h2: it is full".into());
    assert_eq!(outcomes, [full, MigrationOutcome::Moved]);
    assert_eq!([free(&first), free(&second)], [2, 0]);
    assert_eq!([runs_at(&first).len(), runs_at(&second).len()], [1, 3]);
}

/// Takes longer than a step in one phase.
#[derive(Debug)]
struct Slow(Phase);

impl Observer for Slow {
    fn phase(&self, _vm: VmNumber, phase: Phase) {
        if phase == self.0 {
            thread::sleep(Duration::from_millis(1500));
        }
    }
}

/// A target that confirms too late has the VM all the same; a source that is late does not give it.
#[test]
fn without_a_confirmation_the_end_is_unknown() {
    let Some(lab) = Lab::new("without_a_confirmation_the_end_is_unknown", 4) else {
        return;
    };
    let second = lab.observed(SECOND, Arc::new(Slow(Phase::ArrivingGiven)));
    let first = lab.observed(FIRST, Arc::new(Slow(Phase::LeavingComplete)));
    let outcome = lab.migrate(&first, SECOND);
    let says = "too late to hand it over: the target may have given it up";
    assert_eq!(outcome, MigrationOutcome::StayedHere(says.into()));
    lab.assert_home(FIRST, says);
    drop(first);
    assert!(eventually(|| free(&second) == 1));

    let first = lab.hypervisor(FIRST);
    let outcome = lab.migrate(&first, SECOND);
    let says = "h2 has its interface and did not confirm that it runs: not in time";
    assert_eq!(outcome, MigrationOutcome::Unknown(says.into()));
    assert_eq!(runs_at(&first), ["vm2"]);
    assert_eq!(second.arriving(DEADLINE).unwrap().len(), 1);
    assert_eq!([free(&first), free(&second)], [2, 0]);
    lab.assert_home(SECOND, "confirmed too late");
    assert_eq!(second.arriving(DEADLINE).unwrap(), []);
    assert_eq!(runs_at(&second), ["vm1", "vm3", "vm4"]);
}

/// Stops a host's switch in one phase.
#[derive(Debug)]
struct Stops(Arc<Lab>, Phase, HostNumber);

impl Observer for Stops {
    fn phase(&self, _vm: VmNumber, phase: Phase) {
        if phase == self.1 {
            self.0.signal_switch(self.2, Signal::STOP);
        }
    }
}

/// A switch that hangs delays, and loses nothing.
#[test]
fn a_switch_that_hangs_gets_its_port_later() {
    let Some(lab) = Lab::new("a_switch_that_hangs_gets_its_port_later", 4) else {
        return;
    };
    let lab = Arc::new(lab);
    let check = |phase: Phase, host: HostNumber, stays: Option<&str>| {
        let stops = Arc::new(Stops(lab.clone(), phase, host));
        let [first, second] = [FIRST, SECOND].map(|host| lab.observed(host, stops.clone()));
        let outcome = lab.migrate(&first, SECOND);
        lab.signal_switch(host, Signal::CONT);
        let home = match (&outcome, stays) {
            (MigrationOutcome::StayedHere(why), Some(says)) if why.contains(says) => FIRST,
            (MigrationOutcome::Unknown(_), None) => SECOND,
            _ => panic!("{phase:?}: {outcome:?}"),
        };
        let about = format!("hung at {phase:?}");
        lab.assert_home(home, &about);
        let expected = if home == FIRST { [1, 1] } else { [2, 0] };
        assert!(
            eventually(|| [free(&first), free(&second)] == expected),
            "{about}"
        );
    };
    check(Phase::LeavingCopied, FIRST, Some("not in time"));
    check(
        Phase::LeavingPaused,
        FIRST,
        Some("it is not connected again yet"),
    );
    check(Phase::ArrivingComplete, SECOND, Some("not in time"));
    check(Phase::ArrivingGiven, SECOND, None);
}

/// Nobody is heard who is no other host, and nothing is taken in that is no offer.
#[test]
fn strangers_are_not_heard() {
    let Some(lab) = Lab::new("strangers_are_not_heard", 4) else {
        return;
    };
    let second = lab.hypervisor(SECOND);
    let door = (lab.layout.fabric_address(SECOND), 8002);
    let answer = |namespace: String, says: Vec<u8>| {
        let talk = move || {
            let mut stream = TcpStream::connect(door).unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            stream.write_all(&says).unwrap();
            let mut heard = Vec::new();
            // A connection that is cut while something is unread is reset.
            stream.read_to_end(&mut heard).ok();
            heard
        };
        let thread = namespace::spawn_in(&namespace, talk).unwrap();
        thread.join().unwrap().unwrap()
    };
    let mut offer = b"S-CORE \x01\0\0\0\x01".to_vec();
    offer.extend(lab.layout.vm_uuid(VM).octets());
    offer.extend(lab.layout.mac(VM).octets());
    offer.extend(4_u32.to_be_bytes());
    let host = || lab.layout.host_namespace(FIRST);
    let vm = lab.layout.vm_namespace(VmNumber(2));
    assert_eq!(answer(vm, offer.clone()), Vec::<u8>::new());
    // A memory that is not the VM's, a VM that is there, no VM at all, no offer: it is not this one.
    let check = |at: usize, octet: u8| {
        let mut other = offer.clone();
        other[at] ^= octet;
        assert_eq!(answer(host(), other), [5], "octet {at}");
    };
    for (at, octet) in [(37, 1), (34, 0xff), (0, 1), (11, 2), (12, 1), (33, 1)] {
        check(at, octet);
    }
    assert_eq!(free(&second), 1);
    // Admitted, and then a page that the memory does not have.
    offer.extend([1, 0, 0, 0, 0, 0, 0, 4, 0]);
    offer.extend([0; 4096]);
    assert_eq!(answer(host(), offer), [1, 7]);
    assert!(eventually(|| free(&second) == 1));
    assert_eq!(second.arriving(DEADLINE).unwrap(), []);
}
