//! The genetic algorithm of 5.1.2: near the optimum where that is known, within capacity, the same on any number of threads.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Mutex;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use s_core_model::{
    Allocation, Capacity, CostModel, Level, Levels, LinkWeights, Placement, Rate, ServerId,
    ServerIndex, TrafficMatrix, VmId, VmIndex,
};
use s_core_sim::reference::Genetic;
use s_core_sim::snapshot::Snapshot;
use s_core_sim::{
    DataCentre, InitialPlacement, Instance, Proposal, Strategy, StrategyError, Watch,
};
use s_core_topology::LocationTable;

fn generated(vms: u32, seed: u64) -> Snapshot {
    let data_centre = DataCentre {
        vms,
        seed,
        ..tiny()
    };
    data_centre.generate().unwrap()
}

fn run(snapshot: &Snapshot, genetic: Genetic, watch: &dyn Watch) -> Proposal {
    let model = snapshot.cost_model();
    let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation()).unwrap();
    let proposal = genetic.run(&instance, watch).unwrap();
    assert!(proposal.cost <= instance.cost());
    proposal
}

fn small(seed: u64) -> Genetic {
    Genetic {
        population: 30,
        seed,
        threads: 1,
    }
}

/// The least cost of all placements in 4 racks of 4 slots. Racks are opened in order, as renaming changes nothing that
/// the first VMs do not fix.
fn least_cost(snapshot: &Snapshot) -> f64 {
    let model = snapshot.cost_model();
    let vms = snapshot.traffic().vm_count();
    let mut best = f64::INFINITY;
    let mut racks = vec![0u32; vms];
    fn place(vm: usize, racks: &mut [u32], visit: &mut dyn FnMut(&[u32])) {
        if vm == racks.len() {
            return visit(racks);
        }
        for rack in 0..4 {
            if racks[..vm].iter().filter(|at| **at == rack).count() < 4 {
                racks[vm] = rack;
                place(vm + 1, racks, visit);
            }
        }
    }
    let pairs: Vec<_> = snapshot.traffic().pairs().collect();
    place(1, &mut racks, &mut |racks| {
        let server = |vm: VmIndex| ServerIndex::new(racks[vm.usize()] * 2);
        let cost = |&(a, b, rate)| model.pair_cost(rate, server(a), server(b));
        best = best.min(2.0 * pairs.iter().map(cost).sum::<f64>());
    });
    best
}

#[test]
fn tiny_data_centres_reach_the_optimum() {
    let (mut near, mut reached) = (0, 0);
    for seed in 0..20 {
        let snapshot = generated(9, seed);
        let genetic = Genetic {
            population: 300,
            ..small(seed)
        };
        let (least, found) = (least_cost(&snapshot), run(&snapshot, genetic, &()).cost);
        let before = snapshot
            .cost_model()
            .total_cost(snapshot.allocation(), snapshot.traffic());
        assert!(
            found >= least - 1e-9 * before,
            "seed {seed}: {found} < {least}"
        );
        near += u32::from(found <= least + 1e-3 * before);
        reached += u32::from(found <= least + 1e-9 * before);
    }
    println!(
        "genetic: the optimum of {reached} and within 0.1 % of {near} of 20 tiny data centres"
    );
    assert!(near >= 18 && reached >= 10, "{near} and {reached} of 20");
}

#[test]
fn any_number_of_threads_comes_to_the_same_placement() {
    let snapshot = DataCentre {
        vms: 200,
        topology: "tree:2,3,2x2".parse().unwrap(),
        vm_slots: 10,
        link_weights: vec![1.0, 3.0, 20.0],
        ..tiny()
    };
    let snapshot = snapshot.generate().unwrap();
    let with = |threads| {
        run(
            &snapshot,
            Genetic {
                threads,
                ..small(4)
            },
            &(),
        )
    };
    let one = with(1);
    assert!(one.complete && one.migrations.is_empty() && one.moved > 0);
    for threads in [0, 2, 3, 7] {
        let other = with(threads);
        assert_eq!(one.allocation, other.allocation, "{threads} threads");
        assert_eq!(one.cost.to_bits(), other.cost.to_bits());
    }
    assert_ne!(one.allocation, run(&snapshot, small(5), &()).allocation);
}

fn tiny() -> DataCentre {
    DataCentre {
        topology: "tree:2,2x2".parse().unwrap(),
        vm_slots: 2,
        vms: 9,
        link_weights: vec![1.0, 5.0],
        ..DataCentre::thesis(InitialPlacement::Random, 3)
    }
}

/// Notes what it is told, and stops when it has been told enough, or asked often enough.
#[derive(Default)]
struct Onlooker {
    told: Mutex<Vec<(f64, f64)>>,
    asked: Mutex<usize>,
    stop_after: Option<usize>,
}

impl Watch for Onlooker {
    fn progress(&self, done: f64, cost: f64) {
        self.told.lock().unwrap().push((done, cost));
    }

    fn is_stopped(&self) -> bool {
        let mut asked = self.asked.lock().unwrap();
        *asked += 1;
        self.stop_after.is_some_and(|limit| *asked > limit)
    }
}

#[test]
fn the_best_never_worsens_and_progress_never_falls() {
    let watch = Onlooker::default();
    let snapshot = generated(14, 3);
    let proposal = run(&snapshot, small(1), &watch);
    let told = watch.told.into_inner().unwrap();
    assert!(told.len() > 10);
    assert!(
        told.windows(2)
            .all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 >= pair[1].1),
        "{told:?}"
    );
    assert!(told.iter().all(|(done, _)| (0.0..=1.0).contains(done)));
    let (done, cost) = told[told.len() - 1];
    assert!(done == 1.0 && (cost - proposal.cost).abs() <= 1e-9 * cost);
}

/// Stopped at any time it gives the best so far: what it began with if nothing was made yet.
#[test]
fn it_stops_with_the_best_so_far() {
    let snapshot = generated(14, 5);
    let stopped = |stop_after| {
        let watch = Onlooker {
            stop_after: Some(stop_after),
            ..Onlooker::default()
        };
        run(&snapshot, small(1), &watch)
    };
    let at_once = stopped(0);
    assert_eq!(
        (&at_once.allocation, at_once.complete, at_once.moved),
        (snapshot.allocation(), false, 0)
    );
    let costs = [0, 10, 29, 60, 100, 1000].map(|limit| stopped(limit).cost);
    assert!(costs.windows(2).all(|pair| pair[0] >= pair[1]), "{costs:?}");
    assert!(costs[5] < costs[0]);
}

/// At thesis settings and size, a stop takes effect within a second, even in a test build.
#[test]
fn a_stop_takes_effect_within_a_second() {
    struct Deadline(Instant, Mutex<Option<Instant>>);
    impl Watch for Deadline {
        fn progress(&self, _: f64, _: f64) {}
        fn is_stopped(&self) -> bool {
            let stopped = Instant::now() >= self.0;
            if stopped {
                self.1.lock().unwrap().get_or_insert_with(Instant::now);
            }
            stopped
        }
    }
    let snapshot = DataCentre::thesis(InitialPlacement::Random, 1)
        .generate()
        .unwrap();
    let watch = Deadline(
        Instant::now() + Duration::from_millis(1500),
        Mutex::new(None),
    );
    let proposal = run(&snapshot, Genetic::default(), &watch);
    let noticed = watch.1.into_inner().unwrap().unwrap();
    assert!(!proposal.complete);
    assert!(
        noticed.elapsed() < Duration::from_secs(1),
        "{:?}",
        noticed.elapsed()
    );
}

/// Two racks under each of two switches, and a single one: servers and VMs of any size.
fn uneven(memory: &[u32], room: &[(u32, u64)], pairs: &[(u32, u32, u32)]) -> Option<Proposal> {
    const LOCATIONS: [&str; 6] = ["a/1", "a/1", "a/2", "b/1", "b/2", "c/1"];
    let servers = || (0..).map(ServerId::new).zip(room);
    let levels = LocationTable::new(
        (0..)
            .map(ServerId::new)
            .zip(LOCATIONS.into_iter().take(room.len())),
    )
    .unwrap();
    let mut free: Vec<_> = room.to_vec();
    let mut placements = Vec::new();
    for (vm, memory_mib) in (0..).zip(memory) {
        let server = free
            .iter()
            .rposition(|(slots, mib)| *slots > 0 && *mib >= u64::from(*memory_mib))?;
        free[server].0 -= 1;
        free[server].1 -= u64::from(*memory_mib);
        placements.push(Placement {
            vm: VmId::new(vm),
            server: ServerId::new(server as u32),
            memory_mib: *memory_mib,
        });
    }
    let capacity = |&(vm_slots, memory_mib)| Capacity {
        vm_slots,
        memory_mib,
    };
    let allocation = Allocation::new(
        servers().map(|(server, room)| (server, capacity(room))),
        placements,
    )
    .unwrap();
    let count = memory.len() as u32;
    let pairs = pairs
        .iter()
        .filter(|_| count > 0)
        .map(|(a, b, rate)| (a % count, b % count, *rate))
        .filter(|(a, b, _)| a != b);
    let pairs = pairs.map(|(a, b, rate)| {
        (
            VmIndex::new(a),
            VmIndex::new(b),
            Rate::new(f64::from(rate)).unwrap(),
        )
    });
    let traffic = TrafficMatrix::from_pairs(memory.len(), pairs).unwrap();
    let model = CostModel::new(LinkWeights::new([1.0, 4.0]).unwrap(), levels).unwrap();
    let instance = Instance::new(&model, &traffic, &allocation).unwrap();
    let proposal = small(7).run(&instance, &()).unwrap();
    assert!(proposal.cost <= instance.cost());
    let recomputed = model.total_cost(&proposal.allocation, &traffic);
    assert_eq!(proposal.cost.to_bits(), recomputed.to_bits());
    Some(proposal)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// `rearranged` refuses a placement beyond a server's room, so a proposal at all is a feasible one.
    #[test]
    fn uneven_servers_and_vms_are_placed(
        memory in prop::collection::vec(1u32..9, 0..16),
        room in prop::collection::vec((0u32..6, 0u64..24), 1..=6),
        pairs in prop::collection::vec((0u32..16, 0u32..16, 1u32..1000), 0..40),
    ) {
        uneven(&memory, &room, &pairs);
    }
}

#[test]
fn odd_data_centres() {
    let three = [(0, 1, 5), (1, 2, 7)];
    for (memory, room, cost) in [
        (&[][..], &[(1, 8)][..], 0.0),
        (&[4], &[(1, 8)], 0.0),
        (&[4, 4, 4], &[(3, 12)], 0.0),                 // one rack
        (&[4, 4, 4], &[(1, 4), (1, 4), (1, 4)], 10.0), // no room at all: only swaps
        (&[4, 4, 4], &[(1, 4), (2, 4), (2, 8)], 10.0), // memory binds
    ] {
        let proposal = uneven(memory, room, if memory.len() == 3 { &three } else { &[] });
        assert_eq!(proposal.unwrap().cost, cost, "{memory:?} {room:?}");
    }
}

#[test]
fn what_it_cannot_do_is_an_error() {
    let snapshot = generated(9, 1);
    let model = snapshot.cost_model();
    let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation()).unwrap();
    for (genetic, message) in [
        (
            Genetic {
                population: 0,
                ..small(1)
            },
            "genetic: the population is 0; take at least 1",
        ),
        (
            Genetic {
                threads: 1025,
                ..small(1)
            },
            "genetic: the number of threads is 1025; take at most 1024, or 0 for one per core",
        ),
        (
            Genetic {
                population: 1 << 30,
                ..small(1)
            },
            "the number of VMs times the population 9663676416 is more than the 268435456 that genetic can do; \
             take a smaller population or the multilevel reference",
        ),
    ] {
        assert_eq!(
            genetic.run(&instance, &()).unwrap_err().to_string(),
            message
        );
    }
}

/// Every server is one hop from every other, in no groups.
struct Mesh;

impl Levels for Mesh {
    fn server_count(&self) -> usize {
        2
    }
    fn max_level(&self) -> Level {
        Level::new(1)
    }
    fn level(&self, a: ServerIndex, b: ServerIndex) -> Level {
        Level::new(u8::from(a != b))
    }
    fn index_of(&self, server: ServerId) -> Option<ServerIndex> {
        Some(ServerIndex::new(server.get()))
    }
    fn server_at(&self, index: ServerIndex) -> ServerId {
        ServerId::new(index.get())
    }
}

#[test]
fn a_topology_without_groups_is_an_error() {
    let model = CostModel::new(LinkWeights::new([1.0]).unwrap(), Mesh).unwrap();
    let room = Capacity {
        vm_slots: 1,
        memory_mib: 1,
    };
    let allocation = Allocation::new([0, 1].map(|x| (ServerId::new(x), room)), []).unwrap();
    let traffic = TrafficMatrix::from_pairs(0, []).unwrap();
    let instance = Instance::new(&model, &traffic, &allocation).unwrap();
    let error = small(1).run(&instance, &()).unwrap_err();
    assert_eq!(
        error,
        StrategyError::NoGroups {
            strategy: "genetic"
        }
    );
}
