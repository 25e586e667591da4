//! What an agent does about the ends of migrations, and about processors.
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics says where; clippy.toml exempts only test functions"
)]

mod common;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{Bench, PEER, SOON, VM, data_centre};
use s_core_backend::emulated::{DataCentre, EmulatedHypervisor, uuid_of};
use s_core_backend::{
    Domain, FreeCapacity, Gate, Hypervisor, HypervisorError, Leftover, LeftoverKind,
    MigrationOutcome, Uuid,
};
use s_core_model::{CpuMismatch, CpuModel, CpuVendor, GuestKinds, ServerId};
use s_core_proto::{CapacityAnswer, Demand, Message, QueryId, Report};
use s_core_token::Mark;

/// A host with a processor, and with PEER left paused by a migration, until that is removed; asks the gate as `xl` can.
#[derive(Debug)]
struct Host {
    emulated: EmulatedHypervisor,
    left: Mutex<bool>,
    gate: Mutex<Sender<Arc<dyn Gate>>>,
}

fn cpu(features: u32) -> CpuModel {
    CpuModel {
        vendor: CpuVendor::new("GenuineIntel"),
        guests: GuestKinds::PV,
        layout: 1,
        features: [features; CpuModel::WORDS],
    }
}

impl Hypervisor for Host {
    fn domains(&self, deadline: Duration) -> Result<Vec<Domain>, HypervisorError> {
        self.emulated.domains(deadline)
    }

    fn arriving(&self, _: Duration) -> Result<Vec<Domain>, HypervisorError> {
        let left = Domain {
            uuid: uuid_of(PEER),
            name: "peer--incoming".into(),
            macs: Vec::new(),
            address: Some(PEER.addr()),
            memory_mib: 64,
        };
        Ok(self
            .left
            .lock()
            .unwrap()
            .then_some(left)
            .into_iter()
            .collect())
    }

    fn free_capacity(&self, deadline: Duration) -> Result<FreeCapacity, HypervisorError> {
        self.emulated.free_capacity(deadline)
    }

    fn migrate(&self, domain: Uuid, target: ServerId, deadline: Duration) -> MigrationOutcome {
        self.emulated.migrate(domain, target, deadline)
    }

    fn cpu(&self, _: Duration) -> Result<Option<CpuModel>, HypervisorError> {
        Ok(Some(cpu(0b01)))
    }

    fn leftovers(&self, _: Duration) -> Result<Vec<Leftover>, HypervisorError> {
        let left = Leftover {
            uuid: uuid_of(PEER),
            name: "peer--incoming".into(),
            kind: LeftoverKind::Incoming,
        };
        Ok(self
            .left
            .lock()
            .unwrap()
            .then_some(left)
            .into_iter()
            .collect())
    }

    fn remove_leftover(
        &self,
        uuid: Uuid,
        kind: LeftoverKind,
        _: Duration,
    ) -> Result<bool, HypervisorError> {
        assert_eq!((uuid, kind), (uuid_of(PEER), LeftoverKind::Incoming));
        Ok(std::mem::take(&mut *self.left.lock().unwrap()))
    }

    fn guard(&self, gate: Arc<dyn Gate>) -> bool {
        self.gate.lock().unwrap().send(gate).is_ok()
    }
}

/// An agent over a host, that as it was started, and its gate.
fn start(net: u8, state: &std::path::Path, left: bool) -> (Bench, Arc<Host>, Arc<dyn Gate>) {
    let (told, gates): (_, Receiver<Arc<dyn Gate>>) = channel();
    let (made, hosts) = channel();
    let data_centre = data_centre(net, DataCentre::builder());
    let wrap = |emulated| -> Arc<dyn Hypervisor> {
        let host = Arc::new(Host {
            emulated,
            left: Mutex::new(left),
            gate: Mutex::new(told),
        });
        made.send(Arc::clone(&host)).unwrap();
        host
    };
    let bench = Bench::start_in(data_centre, net, state, |_| {}, |flows| flows, wrap);
    (bench, hosts.recv().unwrap(), gates.recv().unwrap())
}

fn ask_for_room(bench: &Bench, mark: Mark, cpu: Option<CpuModel>) -> CapacityAnswer {
    bench.tell(&Message::CapacityRequest {
        query: QueryId::new(1),
        mark,
        demands: vec![Demand {
            vm: PEER,
            memory_mib: 64,
        }],
        cpu,
    });
    loop {
        if let Message::CapacityResponse { answer, .. } = bench.answer() {
            return answer;
        }
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < SOON, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_vm_is_let_in_by_where_it_comes_from_if_nothing_else_is_known() {
    let state = tempfile::tempdir().unwrap();
    let (bench, _, gate) = start(20, state.path(), false);
    let (other, stranger) = (bench.other_id, ServerId::new(0x7f00_0001));
    let reserved = || bench.agent.status().unwrap().reservations;
    assert_eq!(gate.admit_from(other, SOON), None, "nothing is reserved");
    let mark = Mark::default().new_epoch(other).unwrap();
    assert_eq!(ask_for_room(&bench, mark, None), CapacityAnswer::Reserved);
    assert_eq!(gate.admit_from(stranger, SOON), None);
    assert_eq!(gate.admit_from(other, SOON), Some(PEER));
    assert_eq!(
        gate.admit_from(other, SOON),
        None,
        "one promise, one arrival"
    );
    assert_eq!(reserved(), 1);
    // It has not come.
    gate.ended(PEER);
    until("the room is given back", || reserved() == 0);
    // It has: what runs here keeps its room otherwise.
    let next = mark.new_epoch(other).unwrap();
    assert_eq!(ask_for_room(&bench, next, None), CapacityAnswer::Reserved);
    assert_eq!(gate.admit_from(other, SOON), Some(PEER));
    let there = bench.data_centre.hypervisor(other).unwrap();
    let here = std::net::Ipv4Addr::new(127, 78, 20, 1).into();
    assert_eq!(
        there.migrate(uuid_of(PEER), here, SOON),
        MigrationOutcome::Moved
    );
    gate.ended(PEER);
    until("it runs here", || {
        bench.agent.status().unwrap().vms.len() == 2
    });
    assert_eq!(reserved(), 0);
    bench.stop();
}

#[test]
fn a_vm_of_a_host_with_another_processor_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let (bench, _, _) = start(21, state.path(), false);
    let mark = Mark::default().new_epoch(bench.other_id).unwrap();
    let asks = |features| ask_for_room(&bench, mark, Some(cpu(features)));
    assert_eq!(asks(0b11), CapacityAnswer::Unsuitable);
    let why = bench.events.try_iter().find_map(|event| match event {
        s_core_agent::Event::Node(Report::Unsuitable { why, .. }) => Some(why),
        _ => None,
    });
    assert_eq!(why, Some(CpuMismatch::Features([0b10; CpuModel::WORDS])));
    assert_eq!(asks(0b01), CapacityAnswer::Reserved);
    bench.stop();
}

#[test]
fn what_has_failed_to_come_is_cleared_away_on_its_sources_word() {
    let check = |net, answered_by: fn(&Bench) -> Option<ServerId>, cleared: bool| {
        let state = tempfile::tempdir().unwrap();
        let (bench, host, _gate) = start(net, state.path(), true);
        assert_eq!(bench.agent.status().unwrap().vms.len(), 1);
        let mark = Mark::default().new_epoch(bench.other_id).unwrap();
        bench.tell(&Message::Release { mark, vm: PEER });
        let mut asked = 0;
        while asked < 3 && *host.left.lock().unwrap() {
            if let Message::LocationRequest {
                query,
                vm: PEER,
                directed: true,
            } = bench.answer()
            {
                asked += 1;
                let server = answered_by(&bench);
                let vm = PEER;
                bench.tell(&Message::LocationResponse { query, vm, server });
                if cleared {
                    until("it is removed", || !*host.left.lock().unwrap());
                }
            }
        }
        assert_eq!(*host.left.lock().unwrap(), !cleared);
        assert!(
            asked > 0,
            "{VM} runs here, and the source was asked for {PEER}"
        );
        bench.stop();
    };
    check(22, |bench| Some(bench.other_id), true);
    check(23, |_| None, false);
}
