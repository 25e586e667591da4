//! The target's agent decides which VMs may arrive (rule R3).
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics says where; clippy.toml exempts only test functions"
)]

mod common;

use std::net::Ipv4Addr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::{Bench, PEER, SOON, VM, data_centre, where_is};
use s_core_backend::emulated::{
    Clock, DataCentre, EmulatedHypervisor, Fault, SystemClock, uuid_of,
};
use s_core_backend::{
    Domain, FreeCapacity, Gate, Hypervisor, HypervisorError, MigrationOutcome, Uuid,
};
use s_core_model::{ServerId, VmId};
use s_core_proto::{Arrival, CapacityAnswer, Demand, Message, QueryId};
use s_core_token::Mark;

fn ask_for_room(bench: &Bench, mark: Mark, vm: VmId, memory_mib: u32) -> CapacityAnswer {
    bench.tell(&Message::CapacityRequest {
        query: QueryId::new(1),
        mark,
        demands: vec![Demand { vm, memory_mib }],
        cpu: None,
    });
    loop {
        if let Message::CapacityResponse { answer, .. } = bench.answer() {
            return answer;
        }
    }
}

/// What the agent says of PEER; nothing, if it answers a later question instead.
fn ask_how_it_ended(bench: &Bench, mark: Mark) -> Option<Arrival> {
    let (query, vm) = (QueryId::new(2), PEER);
    bench.tell(&Message::OutcomeRequest { query, mark, vm });
    bench.tell(&where_is(VM, 3));
    let mut said = None;
    loop {
        match bench.answer() {
            Message::OutcomeResponse { arrival, .. } => said = Some(arrival),
            Message::LocationResponse { .. } => return said,
            _ => {}
        }
    }
}

#[test]
fn a_vm_arrives_only_where_room_is_reserved_for_it() {
    let state = tempfile::tempdir().unwrap();
    let bench = Bench::start(9, state.path());
    let here = Ipv4Addr::new(127, 78, 9, 1).into();
    let there = bench.data_centre.hypervisor(bench.other_id).unwrap();
    let migrate = || there.migrate(uuid_of(PEER), here, SOON);
    let refused = "not begun: 127.78.9.1 does not admit it".to_owned();
    let refused = MigrationOutcome::StayedHere(refused);
    let reserved = || bench.agent.status().unwrap().reservations;
    let mut mark = Mark::default();
    let mut reserve = || {
        mark = mark.new_epoch(bench.other_id).unwrap();
        assert_eq!(
            ask_for_room(&bench, mark, PEER, 64),
            CapacityAnswer::Reserved
        );
    };
    assert_eq!(migrate(), refused);
    reserve();
    assert_eq!(reserved(), 1);
    bench.data_centre.inject(PEER, Fault::FailMidway).unwrap();
    assert!(matches!(migrate(), MigrationOutcome::StayedHere(_)));
    assert_eq!(reserved(), 0, "it was given back");
    assert_eq!(migrate(), refused, "one promise, one arrival");
    reserve();
    assert_eq!(migrate(), MigrationOutcome::Moved);
    while reserved() > 0 {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(bench.agent.status().unwrap().vms.len(), 2);
    bench.stop();
}

/// A migration says when it begins, and ends when it may; in vain, the test fails and does not hang.
#[derive(Clone, Debug)]
struct Halting {
    clock: SystemClock,
    begins: Sender<()>,
    may_end: Arc<Mutex<Receiver<()>>>,
}

impl Clock for Halting {
    fn now(&self) -> Duration {
        self.clock.now()
    }

    fn sleep(&self, _: Duration) {
        self.begins.send(()).unwrap();
        let _ = self.may_end.lock().unwrap().recv_timeout(SOON);
    }
}

/// Does not tell which VM an arriving domain is, as `xl` while it builds one.
#[derive(Debug)]
struct Taciturn(EmulatedHypervisor);

impl Hypervisor for Taciturn {
    fn domains(&self, deadline: Duration) -> Result<Vec<Domain>, HypervisorError> {
        self.0.domains(deadline)
    }

    fn arriving(&self, deadline: Duration) -> Result<Vec<Domain>, HypervisorError> {
        let mut coming = self.0.arriving(deadline)?;
        for domain in &mut coming {
            (domain.address, domain.macs) = (None, Vec::new());
        }
        Ok(coming)
    }

    fn free_capacity(&self, deadline: Duration) -> Result<FreeCapacity, HypervisorError> {
        self.0.free_capacity(deadline)
    }

    fn migrate(&self, domain: Uuid, target: ServerId, deadline: Duration) -> MigrationOutcome {
        self.0.migrate(domain, target, deadline)
    }

    fn guard(&self, gate: Arc<dyn Gate>) -> bool {
        self.0.guard(gate)
    }
}

/// The target's agent is started again while a VM is arriving that the one before it let in.
#[test]
fn an_agent_that_starts_again_knows_who_is_arriving() {
    let check = |net: u8, named: bool, fault: Option<Fault>, meanwhile, ending| {
        let state = tempfile::tempdir().unwrap();
        let (begins, begun) = channel();
        let (end, may_end) = channel();
        let halting = Halting {
            clock: SystemClock::new(),
            begins,
            may_end: Arc::new(Mutex::new(may_end)),
        };
        let data_centre = data_centre(net, DataCentre::builder().clock(halting));
        let start = || {
            let wrap = |emulated| -> Arc<dyn Hypervisor> {
                match named {
                    true => Arc::new(emulated),
                    false => Arc::new(Taciturn(emulated)),
                }
            };
            let data_centre = data_centre.clone();
            Bench::start_in(data_centre, net, state.path(), |_| {}, |flows| flows, wrap)
        };
        let bench = start();
        let mark = Mark::default().new_epoch(bench.other_id).unwrap();
        assert_eq!(
            ask_for_room(&bench, mark, PEER, 64),
            CapacityAnswer::Reserved
        );
        if let Some(fault) = fault {
            data_centre.inject(PEER, fault).unwrap();
        }
        let there = data_centre.hypervisor(bench.other_id).unwrap();
        let here = Ipv4Addr::new(127, 78, net, 1).into();
        let bench = thread::scope(|scope| {
            scope.spawn(|| there.migrate(uuid_of(PEER), here, SOON));
            begun.recv_timeout(SOON).unwrap();
            bench.stop();
            let bench = start();
            assert_eq!(ask_how_it_ended(&bench, mark), meanwhile);
            let reserved = bench.agent.status().unwrap().reservations;
            assert_eq!(reserved, usize::from(named));
            // All that its VM and the one that comes leave is 3968 MiB.
            let next = mark.new_epoch(bench.other_id).unwrap();
            let full = ask_for_room(&bench, next, VmId::new(0x0a01_0003), 3969);
            assert!(matches!(full, CapacityAnswer::Full(_)), "{full:?}");
            end.send(()).unwrap();
            bench
        });
        let began = Instant::now();
        let said = loop {
            let said = ask_how_it_ended(&bench, mark);
            if said != meanwhile || began.elapsed() > SOON {
                break said;
            }
            thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(said, Some(ending), "{named} {fault:?}");
        assert_eq!(bench.agent.status().unwrap().reservations, 0);
        bench.stop();
    };
    let arriving = Some(Arrival::Arriving);
    check(10, true, None, arriving, Arrival::Hosted);
    check(11, true, Some(Fault::FailMidway), arriving, Arrival::Absent);
    check(12, false, None, None, Arrival::Hosted);
    check(13, false, Some(Fault::FailMidway), None, Arrival::Absent);
}
