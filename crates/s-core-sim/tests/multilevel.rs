//! The multilevel reference: how good, always feasible, the same each time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod tiny;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use s_core_sim::reference::{Exact, Multilevel};
use s_core_sim::snapshot::Snapshot;
use s_core_sim::{DataCentre, InitialPlacement, Instance, Proposal, Strategy, Watch};

fn run_watched(snapshot: &Snapshot, strategy: &Multilevel, watch: &dyn Watch) -> Proposal {
    let model = snapshot.cost_model();
    let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation()).unwrap();
    let found = strategy.run(&instance, watch).unwrap();
    let recomputed = model.total_cost(&found.allocation, snapshot.traffic());
    assert!((found.cost - recomputed).abs() <= 1e-9 * recomputed);
    assert!(
        found.cost <= instance.cost(),
        "{} {}",
        found.cost,
        instance.cost()
    );
    let before = snapshot.allocation();
    let is_moved = |vm: &_| found.allocation.host(*vm) != before.host(*vm);
    assert_eq!(found.moved, before.vms().filter(is_moved).count());
    found
}

fn run(snapshot: &Snapshot) -> Proposal {
    run_watched(snapshot, &Multilevel::default(), &())
}

fn exact(snapshot: &Snapshot) -> Proposal {
    let model = snapshot.cost_model();
    let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation()).unwrap();
    Exact.run(&instance, &()).unwrap()
}

/// A data centre after 5.1 with so many VMs on 16 racks of 4 servers with 8 slots each: at most 512.
fn data_centre(vms: u32, placement: InitialPlacement, seed: u64) -> Snapshot {
    DataCentre {
        topology: "tree:2,2,4x4".parse().unwrap(),
        vm_slots: 8,
        vms,
        ..DataCentre::thesis(placement, seed)
    }
    .generate()
    .unwrap()
}

#[test]
fn is_mostly_the_optimum() {
    let seeds = 300;
    let (mut optimal, mut of_any_interest) = (0, 0);
    for seed in 0..seeds {
        let snapshot = tiny::random(seed, 8, 9);
        let (best, found) = (exact(&snapshot), run(&snapshot));
        let is_optimal = found.cost <= best.cost * (1.0 + 1e-9);
        assert!(
            found.cost >= best.cost * (1.0 - 1e-9),
            "seed {seed}: below the optimum"
        );
        optimal += u32::from(is_optimal);
        of_any_interest += u32::from(best.moved > 0);
    }
    // The others are racks so full of VMs of different memory that several have to move at once.
    println!("multilevel: the optimum of {optimal} of {seeds} tiny data centres");
    assert!(optimal >= seeds as u32 * 9 / 10, "{optimal} of {seeds}");
    assert!(of_any_interest > 100, "{of_any_interest} of {seeds}");
}

#[test]
fn full_servers_of_unequal_vms_are_no_hindrance() {
    // Applications of four VMs, each application of another memory, one VM in each of four racks; and not a byte free.
    let memories = [1024, 2048, 1024, 1024, 2048, 2048, 1024, 2048];
    let all: u64 = memories.iter().map(|memory| u64::from(*memory)).sum();
    let servers: Vec<tiny::Server<'_>> = (["a/s/r", "a/s/q", "a/t/r", "b/s/r"].into_iter())
        .map(|rack| (rack, 8, all))
        .collect();
    let mut vms = Vec::new();
    let mut pairs = Vec::new();
    for (application, memory) in (0..).zip(memories) {
        vms.extend((0..4).map(|server| (server, memory)));
        let first = 4 * application;
        pairs.extend((0..4).flat_map(|a| (0..a).map(move |b| (first + a, first + b, 100.0))));
    }
    let snapshot = tiny::snapshot(&servers, &vms, &pairs);
    let before = snapshot
        .cost_model()
        .total_cost(snapshot.allocation(), snapshot.traffic());
    let after = run(&snapshot).cost;
    assert!(after < 0.5 * before, "{before} {after}");
}

#[test]
fn any_data_centre_has_a_proposal_that_fits() {
    for seed in 1000..1400 {
        // What does not fit is an error of `Proposal::new`, and a cost above that of the beginning one of `run`.
        run(&tiny::random(seed, 30, 80));
    }
}

#[test]
fn odd_data_centres() {
    let gib = 1024;
    let full = [(0, gib), (0, gib), (1, gib), (1, gib)];
    let crossed = [(0, 2, 1e6), (1, 3, 1e6), (0, 1, 1.0)];
    // Servers, VMs, pairs, and the cost in the end.
    type Row<'a> = (
        &'a str,
        &'a [tiny::Server<'a>],
        &'a [tiny::Vm],
        &'a [tiny::Pair],
        f64,
    );
    let rows: [Row<'_>; 8] = [
        ("no VM", &[("a/s/r", 1, gib)], &[], &[], 0.0),
        (
            "one VM",
            &[("a/s/r", 1, gib), ("a/s/q", 1, gib)],
            &[(0, 1024)],
            &[],
            0.0,
        ),
        (
            "one rack",
            &[("a/s/r", 2, 2 * gib); 2],
            &[(0, 1024), (1, 1024)],
            &[(0, 1, 5.0)],
            0.0,
        ),
        (
            "no traffic",
            &[("a/s/r", 2, 2 * gib), ("b/s/r", 2, 2 * gib)],
            &[(0, 1024), (1, 1024)],
            &[],
            0.0,
        ),
        (
            "every slot taken",
            &[("a/s/r", 2, 2 * gib), ("b/s/r", 2, 2 * gib)],
            &full.map(|(server, memory)| (server, memory as u32)),
            &crossed,
            2.0 * 24.0,
        ),
        (
            "memory is what there is too little of",
            &[("a/s/r", 9, 2 * gib), ("b/s/r", 9, 2 * gib)],
            &full.map(|(server, memory)| (server, memory as u32)),
            &crossed,
            2.0 * 24.0,
        ),
        (
            "a flat data centre",
            &[("r1", 1, gib), ("r2", 2, 2 * gib), ("r3", 1, gib)],
            &[(0, 1024), (1, 1024), (2, 1024)],
            &[(0, 1, 5.0), (0, 2, 50.0)],
            2.0 * 5.0,
        ),
        (
            "a server without memory, and VMs without",
            &[("a/s/r", 4, 0), ("b/s/r", 1, gib)],
            &[(0, 0), (0, 0), (1, 0)],
            &[(0, 2, 7.0)],
            0.0,
        ),
    ];
    for (name, servers, vms, pairs, cost) in rows {
        let found = run(&tiny::snapshot(servers, vms, pairs));
        assert!(
            (found.cost - cost).abs() < 1e-6,
            "{name}: {} {cost}",
            found.cost
        );
        assert!(found.complete, "{name}");
    }
}

#[test]
fn finds_applications_again_and_moves_few_for_it() {
    // Racks full of VMs that talk to each other only, two of which have changed places.
    let locations: Vec<String> = (0..12)
        .map(|r| format!("a{}/s{}/r{r}", r / 6, r / 3))
        .collect();
    let servers: Vec<_> = (0..24)
        .map(|s| (locations[s / 2].as_str(), 5, 8192))
        .collect();
    let mut vms: Vec<_> = (0..120).map(|vm| (vm / 5, 1024)).collect();
    vms.swap(3, 117);
    let mut pairs = Vec::new();
    for a in 0..120 {
        for b in (a + 1)..120 {
            if a / 10 == b / 10 {
                pairs.push((a, b, 100.0));
            }
        }
    }
    let found = run(&tiny::snapshot(&servers, &vms, &pairs));
    assert_eq!(found.cost, 0.0);
    assert_eq!(found.moved, 2);
}

#[test]
fn vms_that_talk_to_nobody_stay() {
    let servers = [("a/s/r", 4, 8192), ("b/s/r", 4, 8192)];
    let vms = [(0, 1024), (1, 1024), (0, 1024), (1, 1024)];
    let found = run(&tiny::snapshot(&servers, &vms, &[(0, 1, 9.0)]));
    assert_eq!((found.cost, found.moved), (0.0, 1));
}

#[test]
fn the_seed_decides() {
    let snapshot = data_centre(450, InitialPlacement::Random, 5);
    let first = run(&snapshot);
    assert_eq!(first.allocation, run(&snapshot).allocation);
    let other = Multilevel {
        seed: 2,
        ..Multilevel::default()
    };
    let other = run_watched(&snapshot, &other, &());
    assert_ne!(first.allocation, other.allocation);
}

#[test]
fn the_placement_to_begin_with_hardly_matters() {
    for seed in 1..4 {
        let random = data_centre(450, InitialPlacement::Random, seed);
        let local = data_centre(450, InitialPlacement::RackLocal, seed);
        let (from_random, from_local) = (run(&random), run(&local));
        let ratio = from_random.cost / from_local.cost;
        assert!((0.8..1.25).contains(&ratio), "seed {seed}: {ratio}");
    }
}

/// Stops after so many reports, and keeps them.
struct StopAfter {
    reports: AtomicUsize,
    limit: usize,
    seen: Mutex<Vec<(f64, f64)>>,
}

impl StopAfter {
    fn new(limit: usize) -> Self {
        Self {
            reports: AtomicUsize::new(0),
            limit,
            seen: Mutex::default(),
        }
    }
}

impl Watch for StopAfter {
    fn progress(&self, done: f64, cost: f64) {
        self.reports.fetch_add(1, Ordering::Relaxed);
        self.seen.lock().unwrap().push((done, cost));
    }

    fn is_stopped(&self) -> bool {
        self.reports.load(Ordering::Relaxed) >= self.limit
    }
}

#[test]
fn stops_with_the_best_so_far() {
    let snapshot = data_centre(450, InitialPlacement::Random, 5);
    let end = run(&snapshot).cost;
    let mut last = f64::INFINITY;
    for limit in [0, 1, 2, 5, 7] {
        let watch = StopAfter::new(limit);
        let found = run_watched(&snapshot, &Multilevel::default(), &watch);
        assert!(!found.complete, "{limit}");
        assert!(found.cost <= last * 1.000_001, "{limit}");
        last = found.cost;
    }
    assert!(last < 1.5 * end);
    let watch = StopAfter::new(usize::MAX);
    let found = run_watched(&snapshot, &Multilevel::default(), &watch);
    assert!(found.complete);
    let seen = watch.seen.into_inner().unwrap();
    assert!(seen.iter().all(|(done, _)| (0.0..=1.0).contains(done)));
    assert!(seen.is_sorted_by(|a, b| a.0 <= b.0 && a.1 >= b.1));
}

#[test]
fn refuses_no_starts() {
    let snapshot = data_centre(45, InitialPlacement::Random, 5);
    let model = snapshot.cost_model();
    let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation()).unwrap();
    let none = Multilevel {
        starts: 0,
        ..Multilevel::default()
    };
    let error = none.run(&instance, &()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "multilevel: starts is 0; at least 1 is wanted"
    );
}
