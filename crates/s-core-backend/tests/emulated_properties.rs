//! The emulated data centre under random migrations, faults and polls: capacity is kept, each VM has one home, and
//! what the switches count is what the VMs have exchanged.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may fail like the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use s_core_backend::emulated::{
    Clock, DataCentre, EmulatedServer, EmulatedVm, Fault, ManualClock, MigrationModel, SystemClock,
    uuid_of,
};
use s_core_backend::{End, FlowSource, Hypervisor};
use s_core_model::{Rate, ServerId, VmId};

const SERVERS: u32 = 4;
const VMS: u32 = 6;
const DEADLINE: Duration = Duration::from_secs(2);

fn server_id(index: u32) -> ServerId {
    ServerId::new(1 + index % SERVERS)
}

fn vm_id(index: u32) -> VmId {
    VmId::new(100 + index % VMS)
}

/// VMs of 100 to 350 MiB, two on each of three servers, of which each has 3 slots and 800 MiB.
fn data_centre(clock: impl Clock + 'static, migration: MigrationModel) -> DataCentre {
    let servers = (0..SERVERS).map(|index| EmulatedServer {
        id: server_id(index),
        vm_slots: 3,
        memory_mib: 800,
    });
    let vms = (0..VMS).map(|index| EmulatedVm {
        id: vm_id(index),
        server: server_id(index / 2),
        memory_mib: 100 + 50 * index,
        name: String::new(),
    });
    let builder = DataCentre::builder().clock(clock).migration(migration);
    builder.build(servers, vms, []).unwrap()
}

/// Bytes by server and pair.
type Bytes = BTreeMap<(ServerId, [VmId; 2]), f64>;

/// Adds up what counters gain from poll to poll, as plainly as can be.
#[derive(Default)]
struct Tracker {
    last: BTreeMap<(ServerId, u64), u64>,
    bytes: Bytes,
}

impl Tracker {
    fn poll(&mut self, data_centre: &DataCentre, server: ServerId) {
        let poll = data_centre.flows(server).unwrap().poll(DEADLINE).unwrap();
        let mut shown = BTreeMap::new();
        for counter in poll.counters {
            let ends = [counter.src, counter.dst].map(|end| match end {
                End::Ipv4(addr) => VmId::from(addr),
                End::Ipv6(_) | End::Mac(_) => panic!("not an end of an emulated flow: {end}"),
            });
            let pair = [ends[0].min(ends[1]), ends[0].max(ends[1])];
            let key = (server, counter.id);
            let before = self.last.get(&key).copied().unwrap_or(0);
            assert!(counter.bytes >= before, "a counter fell");
            *self.bytes.entry((server, pair)).or_default() += (counter.bytes - before) as f64;
            assert_eq!(
                shown.insert(key, counter.bytes),
                None,
                "an id stands for two flows"
            );
        }
        self.last.retain(|(of, _), _| *of != server);
        self.last.extend(shown);
    }

    fn poll_all(&mut self, data_centre: &DataCentre) {
        (0..SERVERS).for_each(|index| self.poll(data_centre, server_id(index)));
    }
}

/// What the VMs exchanged, as plainly as can be: rate × time on every server that has an end of the pair.
struct Expected {
    homes: BTreeMap<VmId, ServerId>,
    rates: BTreeMap<[VmId; 2], f64>,
    bytes: Bytes,
    now: Duration,
}

impl Expected {
    fn new(homes: BTreeMap<VmId, ServerId>, now: Duration) -> Self {
        Self {
            homes,
            rates: BTreeMap::new(),
            bytes: Bytes::new(),
            now,
        }
    }

    /// Counts up to `now`; what changes then is for the caller to change.
    fn pass(&mut self, now: Duration) {
        let span = (now - self.now).as_secs_f64();
        for (pair, rate) in &self.rates {
            for server in BTreeSet::from(pair.map(|vm| self.homes[&vm])) {
                *self.bytes.entry((server, *pair)).or_default() += rate * span;
            }
        }
        self.now = now;
    }

    /// Compares to what was counted; each change of a home or rate may round once for each pair.
    fn check(&self, counted: &Bytes, changes: usize) {
        let keys: BTreeSet<_> = self.bytes.keys().chain(counted.keys()).collect();
        for key in keys {
            let [expected, counted] =
                [&self.bytes, counted].map(|bytes| bytes.get(key).copied().unwrap_or(0.0));
            let slack = changes as f64 + 2.0;
            assert!(
                (expected - counted).abs() <= slack,
                "{key:?}: {expected} and {counted}"
            );
        }
    }
}

fn check_capacity(data_centre: &DataCentre, server: ServerId) {
    let hypervisor = data_centre.hypervisor(server).unwrap();
    // A VM that arrives or leaves between the questions changes the sums by itself; try again then.
    for _ in 0..100 {
        let before = data_centre.migrations().len();
        let (hosted, free) = (
            hypervisor.domains(DEADLINE).unwrap(),
            hypervisor.free_capacity(DEADLINE).unwrap(),
        );
        if data_centre.migrations().len() == before {
            let memory: u32 = hosted.iter().map(|domain| domain.memory_mib).sum();
            assert!(hosted.len() as u32 + free.vm_slots <= 3);
            assert!(memory + free.memory_mib <= 800);
            return;
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Advance(u32),
    Poll(u32),
    SetRate(u32, u32, u32),
    Migrate(u32, u32, Option<Fault>),
}

fn fault() -> impl Strategy<Value = Option<Fault>> {
    prop_oneof![
        4 => Just(None),
        1 => Just(Some(Fault::Refuse)),
        1 => Just(Some(Fault::FailMidway)),
        1 => any::<bool>().prop_map(|moved| Some(Fault::LoseHandshake { moved })),
        1 => Just(Some(Fault::Hang)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_u32..8_000).prop_map(Step::Advance),
        (0..SERVERS).prop_map(Step::Poll),
        (0..VMS, 1..VMS, 0_u32..1_000_000).prop_map(|(a, by, rate)| Step::SetRate(a, a + by, rate)),
        (0..VMS, 0..SERVERS, fault()).prop_map(|(vm, to, fault)| Step::Migrate(vm, to, fault)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn nothing_is_lost_in_any_order(steps in prop::collection::vec(step(), 0..60)) {
        let clock = ManualClock::new();
        let model = MigrationModel {
            fixed: Duration::from_millis(500),
            per_mib: Duration::from_millis(5),
        };
        let data_centre = data_centre(clock.clone(), model);
        let mut expected = Expected::new(data_centre.placement(), Duration::ZERO);
        let mut tracker = Tracker::default();
        for step in &steps {
            match *step {
                Step::Advance(millis) => clock.advance(Duration::from_millis(millis.into())),
                Step::Poll(index) => tracker.poll(&data_centre, server_id(index)),
                Step::SetRate(a, b, rate) => {
                    let rate = f64::from(rate) / 10.0;
                    let [a, b] = [vm_id(a), vm_id(b)];
                    data_centre.set_rate(a, b, Rate::new(rate).unwrap()).unwrap();
                    expected.pass(clock.now());
                    expected.rates.insert([a.min(b), a.max(b)], rate);
                }
                Step::Migrate(index, to, fault) => {
                    let vm = vm_id(index);
                    if let Some(fault) = fault {
                        data_centre.inject(vm, fault).unwrap();
                    }
                    let hypervisor = data_centre.hypervisor(expected.homes[&vm]).unwrap();
                    hypervisor.migrate(uuid_of(vm), server_id(to), DEADLINE);
                    expected.pass(clock.now());
                    expected.homes = data_centre.placement();
                }
            }
            (0..SERVERS).for_each(|index| check_capacity(&data_centre, server_id(index)));
        }
        tracker.poll_all(&data_centre);
        expected.pass(clock.now());
        expected.check(&tracker.bytes, steps.len());
    }
}

/// Migrates VMs to and fro; some of the migrations meet a fault.
fn wander(data_centre: &DataCentre, thread: u32) {
    let mut random = thread;
    let mut below = |limit: u32| {
        // Knuth's linear congruential generator; its high bits are the random ones.
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 16) % limit
    };
    for _ in 0..80 {
        // Threads share VMs: two may try to move the same one at once.
        let vm = vm_id(below(VMS));
        let fault = match below(10) {
            0 => Some(Fault::FailMidway),
            1 => Some(Fault::LoseHandshake { moved: true }),
            2 => Some(Fault::LoseHandshake { moved: false }),
            _ => None,
        };
        if let Some(fault) = fault {
            data_centre.inject(vm, fault).unwrap();
        }
        let home = data_centre.placement()[&vm];
        let hypervisor = data_centre.hypervisor(home).unwrap();
        hypervisor.migrate(uuid_of(vm), server_id(below(SERVERS)), DEADLINE);
    }
}

/// Runs `wander` in three threads, and polls and checks all the time meanwhile.
fn wander_and_watch(data_centre: &DataCentre, tracker: &mut Tracker) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let movers: Vec<_> = (0..3)
            .map(|index| scope.spawn(move || wander(data_centre, index)))
            .collect();
        let watcher = scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                tracker.poll_all(data_centre);
                (0..SERVERS).for_each(|index| check_capacity(data_centre, server_id(index)));
                thread::sleep(Duration::from_micros(500));
            }
        });
        let ends: Vec<_> = movers.into_iter().map(|mover| mover.join()).collect();
        over.store(true, Ordering::SeqCst);
        watcher.join().unwrap();
        ends.into_iter().for_each(|end| end.unwrap());
    });
}

#[test]
fn threads_that_migrate_at_once_share_capacity_and_lose_nothing() {
    let clock = SystemClock::new();
    let model = MigrationModel {
        fixed: Duration::from_micros(200),
        per_mib: Duration::from_micros(5),
    };
    let data_centre = data_centre(clock, model);
    let rate = 1e7;
    let pairs: Vec<_> = (0..VMS)
        .map(|index| [vm_id(index), vm_id(index + 1)])
        .map(|[a, b]| [a.min(b), a.max(b)])
        .collect();
    // Sets all rates; how long that takes is how much the beginning or end is blurred.
    let set_rates = |rate| {
        let from = clock.now();
        for [a, b] in &pairs {
            let rate = Rate::new(rate).unwrap();
            data_centre.set_rate(*a, *b, rate).unwrap();
        }
        (from, clock.now() - from)
    };
    let mut expected = Expected::new(data_centre.placement(), Duration::ZERO);
    let mut tracker = Tracker::default();

    let (started, start_blur) = set_rates(rate);
    wander_and_watch(&data_centre, &mut tracker);
    let (stopped, stop_blur) = set_rates(0.0);
    tracker.poll_all(&data_centre);

    expected.pass(started);
    expected.rates = pairs.iter().map(|pair| (*pair, rate)).collect();
    let log = data_centre.migrations();
    for record in &log {
        let home = expected.homes[&record.vm];
        assert_eq!(home, record.source, "a VM left from where it was not");
        expected.pass(record.ended);
        if record.moved {
            expected.homes.insert(record.vm, record.target);
        }
    }
    expected.pass(stopped);
    assert_eq!(expected.homes, data_centre.placement());
    let moved = log.iter().filter(|record| record.moved).count();
    assert!(moved > 20, "only {moved} moved");
    let blurred = (start_blur + stop_blur).as_secs_f64() * rate;
    expected.check(&tracker.bytes, log.len() + blurred.ceil() as usize);
}
