//! The emulated data centre, step by step and by a clock that the test sets.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may fail like the test"
)]

use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use s_core_backend::emulated::{
    Clock, DataCentre, DataCentreError, EmulatedServer, EmulatedVm, Fault, ManualClock,
    MigrationModel, mac_of, uuid_of,
};
use s_core_backend::{
    Domain, End, FlowSource, FreeCapacity, Gate, Hypervisor, MigrationOutcome, Uuid,
};
use s_core_model::{Rate, ServerId, VmId};

const LEFT: ServerId = ServerId::new(0x0a00_0001);
const RIGHT: ServerId = ServerId::new(0x0a00_0002);
const U: VmId = VmId::new(0x0a00_010b);
const V: VmId = VmId::new(0x0a00_010c);
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn server(id: ServerId) -> EmulatedServer {
    EmulatedServer {
        id,
        vm_slots: 2,
        memory_mib: 1000,
    }
}

fn vm(id: VmId, server: ServerId, memory_mib: u32) -> EmulatedVm {
    EmulatedVm {
        id,
        server,
        memory_mib,
        name: format!("vm-{id}"),
    }
}

fn rate(bytes_per_second: f64) -> Rate {
    Rate::new(bytes_per_second).unwrap()
}

/// U (400 MiB) on the left and V (500 MiB) on the right exchange 1001 bytes per second; a migration takes 2 s + 10 ms per MiB.
fn two_servers(clock: &ManualClock) -> DataCentre {
    DataCentre::builder()
        .clock(clock.clone())
        .migration(MigrationModel {
            fixed: 2 * SECOND,
            per_mib: Duration::from_millis(10),
        })
        .build(
            [server(LEFT), server(RIGHT)],
            [vm(U, LEFT, 400), vm(V, RIGHT, 500)],
            [(U, V, rate(1000.0)), (V, U, rate(1.0))],
        )
        .unwrap()
}

fn free(data_centre: &DataCentre, server: ServerId) -> (u32, u32) {
    let hypervisor = data_centre.hypervisor(server).unwrap();
    let FreeCapacity {
        vm_slots,
        memory_mib,
    } = hypervisor.free_capacity(SECOND).unwrap();
    (vm_slots, memory_mib)
}

/// Bytes from U to V and from V to U on this server's switch; no counters, no bytes.
fn counted(data_centre: &DataCentre, server: ServerId) -> Option<(u64, u64)> {
    let poll = data_centre.flows(server).unwrap().poll(SECOND).unwrap();
    let bytes = |src: VmId| {
        let from = |end| end == End::Ipv4(src.addr());
        let mut counters = poll.counters.iter().filter(|counter| from(counter.src));
        counters.next().map(|counter| counter.bytes)
    };
    bytes(U).zip(bytes(V))
}

#[test]
fn a_vm_has_the_same_identity_everywhere() {
    assert_eq!(mac_of(U).to_string(), "02:00:0a:00:01:0b");
    assert_eq!(
        uuid_of(U).to_string(),
        "532d434f-5245-8000-8000-00000a00010b"
    );
    let data_centre = two_servers(&ManualClock::new());
    let domains = |server| {
        let hypervisor = data_centre.hypervisor(server).unwrap();
        hypervisor.domains(SECOND).unwrap()
    };
    let [domain] = domains(LEFT).try_into().unwrap();
    assert_eq!(
        (domain.uuid, &domain.macs[..]),
        (uuid_of(U), &[mac_of(U)][..])
    );
    assert_eq!(
        (domain.name.as_str(), domain.memory_mib),
        ("vm-10.0.1.11", 400)
    );
    let left = data_centre.hypervisor(LEFT).unwrap();
    assert_eq!(
        left.migrate(uuid_of(U), RIGHT, MINUTE),
        MigrationOutcome::Moved
    );
    assert!(domains(LEFT).is_empty());
    assert!(domains(RIGHT).contains(&domain));
}

#[test]
fn counters_run_with_the_clock_and_from_zero_on_a_new_host() {
    let clock = ManualClock::new();
    let data_centre = two_servers(&clock);
    assert_eq!(counted(&data_centre, LEFT), Some((0, 0)));
    clock.advance(2 * SECOND);
    assert_eq!(counted(&data_centre, LEFT), Some((1001, 1001)));
    clock.advance(SECOND);
    assert_eq!(counted(&data_centre, LEFT), Some((1502, 1501)));
    assert_eq!(counted(&data_centre, RIGHT), Some((1502, 1501)));

    // U moves in 6 s, at 9 s. The pair goes on where it was counted all along and ends where it was not.
    let left = data_centre.hypervisor(LEFT).unwrap();
    assert_eq!(
        left.migrate(uuid_of(U), RIGHT, MINUTE),
        MigrationOutcome::Moved
    );
    clock.advance(SECOND);
    assert_eq!(counted(&data_centre, RIGHT), Some((5005, 5005)));
    assert_eq!(counted(&data_centre, LEFT), Some((4505, 4504)));
    // V follows U's old way in 7 s, at 17 s: the left switch has not forgotten the flow and goes on.
    let right = data_centre.hypervisor(RIGHT).unwrap();
    assert_eq!(
        right.migrate(uuid_of(V), LEFT, MINUTE),
        MigrationOutcome::Moved
    );
    clock.advance(SECOND);
    assert_eq!(counted(&data_centre, LEFT), Some((5005, 5005)));
    // U leaves the right in 6 s, at 24 s; 10 s later its switch shows the flow for the last time.
    assert_eq!(
        right.migrate(uuid_of(U), LEFT, MINUTE),
        MigrationOutcome::Moved
    );
    clock.advance(10 * SECOND);
    let last = Some((12_012, 12_012));
    assert_eq!(counted(&data_centre, RIGHT), last);
    assert_eq!(counted(&data_centre, RIGHT), None);
    // Once forgotten, it is counted from 0.
    let left = data_centre.hypervisor(LEFT).unwrap();
    assert_eq!(
        left.migrate(uuid_of(U), RIGHT, MINUTE),
        MigrationOutcome::Moved
    );
    assert_eq!(counted(&data_centre, RIGHT), Some((0, 0)));
}

#[test]
fn flows_name_both_ends() {
    let clock = ManualClock::new();
    let data_centre = two_servers(&clock);
    clock.advance(SECOND);
    let poll = data_centre.flows(LEFT).unwrap().poll(SECOND).unwrap();
    let [there, back] = poll.counters.as_slice() else {
        panic!("two directions: {poll:?}");
    };
    let ends = (End::Ipv4(U.addr()), End::Ipv4(V.addr()));
    assert_eq!((there.src, there.dst), ends);
    assert_eq!((back.dst, back.src), ends);
    assert_eq!(
        (there.src_mac, there.dst_mac),
        (Some(mac_of(U)), Some(mac_of(V)))
    );
    assert_eq!(
        (back.dst_mac, back.src_mac),
        (Some(mac_of(U)), Some(mac_of(V)))
    );
    assert_eq!((there.packets, there.transport), (1, None));
    assert_ne!(there.id, back.id);
    assert_eq!(poll, data_centre.flows(LEFT).unwrap().poll(SECOND).unwrap());

    let other_seed = DataCentre::builder().seed(7);
    let other = other_seed.build(
        [server(LEFT)],
        [vm(U, LEFT, 1), vm(V, LEFT, 1)],
        [(U, V, rate(1.0))],
    );
    let poll = other.unwrap().flows(LEFT).unwrap().poll(SECOND).unwrap();
    assert_ne!(poll.counters[0].id, there.id);
}

#[test]
fn rates_change_and_vms_come_and_go() {
    let clock = ManualClock::new();
    let data_centre = two_servers(&clock);
    clock.advance(SECOND);
    data_centre.set_rate(V, U, rate(10.0)).unwrap();
    assert_eq!(data_centre.rate(U, V), Ok(rate(10.0)));
    clock.advance(SECOND);
    assert_eq!(counted(&data_centre, LEFT), Some((506, 505)));
    data_centre.remove_vm(U).unwrap();
    clock.advance(SECOND);
    assert_eq!(counted(&data_centre, LEFT), Some((506, 505)));
    assert_eq!(data_centre.rate(U, V), Ok(Rate::ZERO));
    assert_eq!(free(&data_centre, LEFT), (2, 1000));
    data_centre.add_vm(vm(U, RIGHT, 500)).unwrap();
    assert_eq!(free(&data_centre, RIGHT), (0, 0));
    assert_eq!(data_centre.placement().len(), 2);
}

#[test]
fn faults() {
    let check = |fault: Option<Fault>,
                 deadline: u64,
                 took: u64,
                 moved: bool,
                 expected: MigrationOutcome| {
        let clock = ManualClock::new();
        let data_centre = two_servers(&clock);
        if let Some(fault) = fault {
            data_centre.inject(U, fault).unwrap();
        }
        let left = data_centre.hypervisor(LEFT).unwrap();
        let outcome = left.migrate(uuid_of(U), RIGHT, Duration::from_secs(deadline));
        assert_eq!(outcome, expected, "{fault:?}");
        let home = if moved { RIGHT } else { LEFT };
        assert_eq!(data_centre.placement()[&U], home, "{fault:?}");
        let (left_room, right_room) = if moved {
            ((2, 1000), (0, 100))
        } else {
            ((1, 600), (1, 500))
        };
        assert_eq!(free(&data_centre, LEFT), left_room, "{fault:?}");
        assert_eq!(free(&data_centre, RIGHT), right_room, "{fault:?}");
        let [record] = data_centre.migrations().try_into().unwrap();
        assert_eq!(record.ended - record.started, Duration::from_secs(took));
        assert_eq!((record.moved, record.outcome), (moved, expected));
    };
    let stayed = |why: &str| MigrationOutcome::StayedHere(why.to_owned());
    let unknown = |why: &str| MigrationOutcome::Unknown(format!("injected fault: {why}"));
    check(None, 60, 6, true, MigrationOutcome::Moved);
    check(None, 6, 6, true, MigrationOutcome::Moved);
    check(None, 5, 5, false, stayed("6s of copying do not fit in 5s"));
    check(
        Some(Fault::Refuse),
        60,
        0,
        false,
        stayed("not begun: injected fault: 10.0.0.2 refused"),
    );
    check(
        Some(Fault::FailMidway),
        60,
        3,
        false,
        stayed("injected fault: the copy failed"),
    );
    for moved in [false, true] {
        let lost = unknown("the last handshake was lost");
        check(Some(Fault::LoseHandshake { moved }), 60, 6, moved, lost);
    }
    check(
        Some(Fault::Hang),
        60,
        60,
        false,
        unknown("no end within 60s"),
    );
}

/// Lets in whom it is told to, and writes down who came and who did not.
#[derive(Debug)]
struct Doorman(bool, Mutex<Vec<(&'static str, Uuid)>>);

impl Gate for Doorman {
    fn admit(&self, domain: &Domain, _: Duration) -> bool {
        self.1.lock().unwrap().push(("asked", domain.uuid));
        self.0
    }

    fn failed(&self, domain: &Domain) {
        self.1.lock().unwrap().push(("failed", domain.uuid));
    }
}

#[test]
fn a_gate_is_asked_and_told() {
    let (asked, failed) = (("asked", uuid_of(U)), ("failed", uuid_of(U)));
    let check = |admits: bool, fault: Option<Fault>, moved: bool, expected: &[(&str, Uuid)]| {
        let data_centre = two_servers(&ManualClock::new());
        if let Some(fault) = fault {
            data_centre.inject(U, fault).unwrap();
        }
        let doorman = Arc::new(Doorman(admits, Mutex::default()));
        let [left, right] = [LEFT, RIGHT].map(|at| data_centre.hypervisor(at).unwrap());
        assert!(right.guard(Arc::<Doorman>::clone(&doorman)));
        let outcome = left.migrate(uuid_of(U), RIGHT, MINUTE);
        assert_eq!(data_centre.placement()[&U] == RIGHT, moved, "{outcome:?}");
        assert_eq!(*doorman.1.lock().unwrap(), expected, "{fault:?}");
        if !admits {
            let why = "not begun: 10.0.0.2 does not admit it".to_owned();
            assert_eq!(outcome, MigrationOutcome::StayedHere(why));
            // It does not take room either.
            assert_eq!(free(&data_centre, RIGHT), (1, 500));
        }
    };
    check(true, None, true, &[asked]);
    check(false, None, false, &[asked]);
    for fault in [Fault::Refuse, Fault::FailMidway, Fault::Hang] {
        check(true, Some(fault), false, &[asked, failed]);
    }
    for moved in [false, true] {
        let heard = [asked, failed];
        let heard = &heard[..if moved { 1 } else { 2 }];
        check(true, Some(Fault::LoseHandshake { moved }), moved, heard);
    }
}

/// Who sleeps waits for two calls of the barrier.
#[derive(Clone, Debug)]
struct Halting(ManualClock, Arc<Barrier>);

impl Clock for Halting {
    fn now(&self) -> Duration {
        self.0.now()
    }

    fn sleep(&self, span: Duration) {
        self.1.wait();
        self.1.wait();
        self.0.advance(span);
    }
}

#[test]
fn a_vm_is_arriving_until_its_migration_ends() {
    let check = |fault: Option<Fault>| {
        let halting = Halting(ManualClock::new(), Arc::new(Barrier::new(2)));
        let data_centre = DataCentre::builder()
            .clock(halting.clone())
            .build([server(LEFT), server(RIGHT)], [vm(U, LEFT, 400)], [])
            .unwrap();
        if let Some(fault) = fault {
            data_centre.inject(U, fault).unwrap();
        }
        let [left, right] = [LEFT, RIGHT].map(|at| data_centre.hypervisor(at).unwrap());
        let arriving = || [&left, &right].map(|at| at.arriving(SECOND).unwrap());
        let (nobody, domain) = (Vec::new(), left.domains(SECOND).unwrap());
        assert_eq!(arriving(), [(); 2].map(|()| nobody.clone()));
        thread::scope(|scope| {
            scope.spawn(|| left.migrate(uuid_of(U), RIGHT, MINUTE));
            halting.1.wait();
            assert_eq!(arriving(), [nobody.clone(), domain.clone()]);
            assert_eq!(left.domains(SECOND).unwrap(), domain, "it runs there yet");
            halting.1.wait();
        });
        assert_eq!(arriving(), [(); 2].map(|()| nobody.clone()));
    };
    check(None);
    check(Some(Fault::FailMidway));
    check(Some(Fault::LoseHandshake { moved: true }));
}

#[test]
fn migrations_that_cannot_begin() {
    let data_centre = two_servers(&ManualClock::new());
    let check = |server, uuid: Uuid, target, why: &str| {
        let hypervisor = data_centre.hypervisor(server).unwrap();
        let outcome = hypervisor.migrate(uuid, target, MINUTE);
        assert_eq!(
            outcome,
            MigrationOutcome::StayedHere(format!("not begun: {why}"))
        );
    };
    let stranger = Uuid::new([7; 16]);
    let not_here = |uuid| format!("no domain with UUID {uuid} here");
    check(LEFT, stranger, RIGHT, &not_here(stranger));
    check(RIGHT, uuid_of(U), LEFT, &not_here(uuid_of(U)));
    check(LEFT, uuid_of(U), LEFT, "it is on 10.0.0.1 already");
    check(
        LEFT,
        uuid_of(U),
        ServerId::new(9),
        "there is no server 0.0.0.9",
    );
    data_centre.add_vm(vm(VmId::new(1), RIGHT, 101)).unwrap();
    check(
        LEFT,
        uuid_of(U),
        RIGHT,
        "server 10.0.0.2 has no slot for VM 10.0.1.11: all 2 are taken",
    );
    data_centre.remove_vm(V).unwrap();
    data_centre.remove_vm(VmId::new(1)).unwrap();
    data_centre.add_vm(vm(V, RIGHT, 601)).unwrap();
    check(
        LEFT,
        uuid_of(U),
        RIGHT,
        "server 10.0.0.2 has 399 MiB left, VM 10.0.1.11 needs 400 MiB",
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let build = |servers: &[EmulatedServer], vms: &[EmulatedVm], traffic: &[(VmId, VmId, Rate)]| {
        let (servers, vms, traffic) = (servers.to_vec(), vms.to_vec(), traffic.to_vec());
        DataCentre::builder()
            .build(servers, vms, traffic)
            .map(|_| ())
    };
    let left = [server(LEFT)];
    let u = vm(U, LEFT, 1);
    assert_eq!(
        build(&[left[0], left[0]], &[], &[]),
        Err(DataCentreError::DuplicateServer(LEFT))
    );
    assert_eq!(
        build(&left, &[u.clone(), u.clone()], &[]),
        Err(DataCentreError::DuplicateVm(U))
    );
    assert_eq!(
        build(&left, &[vm(U, RIGHT, 1)], &[]),
        Err(DataCentreError::UnknownServer(RIGHT))
    );
    assert_eq!(
        build(&left, &[vm(U, LEFT, 1001)], &[]),
        Err(DataCentreError::NoMemory {
            server: LEFT,
            vm: U,
            free_mib: 1000,
            needed_mib: 1001,
        })
    );
    let third = VmId::new(3);
    assert_eq!(
        build(&left, &[u.clone(), vm(V, LEFT, 1), vm(third, LEFT, 1)], &[]),
        Err(DataCentreError::NoSlot {
            server: LEFT,
            vm: third,
            vm_slots: 2,
        })
    );
    assert_eq!(
        build(&left, std::slice::from_ref(&u), &[(U, V, Rate::ZERO)]),
        Err(DataCentreError::UnknownVm(V))
    );
    assert_eq!(
        build(&left, &[u], &[(U, U, Rate::ZERO)]),
        Err(DataCentreError::SameVm(U))
    );
    let data_centre = two_servers(&ManualClock::new());
    let nowhere = ServerId::new(9);
    let unknown = DataCentreError::UnknownServer(nowhere);
    assert_eq!(data_centre.hypervisor(nowhere).map(|_| ()), Err(unknown));
    assert_eq!(data_centre.flows(nowhere).map(|_| ()), Err(unknown));
    assert_eq!(
        data_centre.remove_vm(third),
        Err(DataCentreError::UnknownVm(third))
    );
    let injected = data_centre.inject(third, Fault::Hang);
    assert_eq!(injected, Err(DataCentreError::UnknownVm(third)));
}
