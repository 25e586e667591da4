//! The exact reference against brute force, and what it refuses.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod tiny;

use s_core_model::{CostModel, Level, Levels, LinkWeights, ServerId, ServerIndex};
use s_core_sim::reference::{Exact, Multilevel};
use s_core_sim::snapshot::Snapshot;
use s_core_sim::{Instance, Proposal, Strategy, StrategyError, Watch};
use s_core_topology::LocationTable;

fn run(snapshot: &Snapshot, watch: &dyn Watch) -> Result<Proposal, StrategyError> {
    let model = snapshot.cost_model();
    let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation()).unwrap();
    Exact.run(&instance, watch)
}

/// The least cost of all placements that fit, one by one.
fn brute_force(snapshot: &Snapshot) -> f64 {
    let model = snapshot.cost_model();
    let allocation = snapshot.allocation();
    let servers = allocation.server_count() as u32;
    let mut hosts = vec![ServerIndex::new(0); allocation.vm_count()];
    let mut least = f64::INFINITY;
    loop {
        if let Ok(other) = allocation.rearranged(&hosts) {
            least = least.min(model.total_cost(&other, snapshot.traffic()));
        }
        // The next combination, as one counts.
        let Some(digit) = hosts.iter().position(|host| host.get() + 1 < servers) else {
            return least;
        };
        hosts[..digit].fill(ServerIndex::new(0));
        hosts[digit] = ServerIndex::new(hosts[digit].get() + 1);
    }
}

#[test]
fn is_what_brute_force_finds() {
    let mut improved = 0;
    for seed in 0..400 {
        let snapshot = tiny::random(seed, 5, 6);
        let wanted = brute_force(&snapshot);
        let found = run(&snapshot, &()).unwrap();
        let recomputed = (snapshot.cost_model()).total_cost(&found.allocation, snapshot.traffic());
        assert!(found.complete, "seed {seed}");
        assert!(
            (found.cost - wanted).abs() <= 1e-9 * wanted,
            "seed {seed}: {} {wanted}",
            found.cost
        );
        assert!(
            (found.cost - recomputed).abs() <= 1e-9 * wanted,
            "seed {seed}"
        );
        improved += u32::from(found.moved > 0);
    }
    assert!(
        improved > 100,
        "only {improved} of the data centres were of any interest"
    );
}

#[test]
fn equal_groups_do_not_multiply_the_work() {
    // 12 VMs in pairs over 8 racks of 4 servers: 32^12 placements.
    let locations: Vec<String> = (0..8)
        .map(|r| format!("a{}/s{}/r{r}", r / 4, r / 2))
        .collect();
    let servers: Vec<_> = (0..32)
        .map(|s| (locations[s / 4].as_str(), 2, 4096))
        .collect();
    let vms: Vec<_> = (0..12).map(|vm| (vm * 2 % 31, 1024)).collect();
    let pairs: Vec<_> = (0..6).map(|pair| (pair, pair + 6, 100.0)).collect();
    let found = run(&tiny::snapshot(&servers, &vms, &pairs), &()).unwrap();
    assert_eq!(found.cost, 0.0);
}

struct Stopped;

impl Watch for Stopped {
    fn progress(&self, _: f64, _: f64) {}

    fn is_stopped(&self) -> bool {
        true
    }
}

#[test]
fn stops_with_what_it_has() {
    let snapshot = tiny::snapshot(
        &[("a/s/r", 1, 1024), ("a/s/q", 2, 2048)],
        &[(0, 1024), (1, 1024)],
        &[(0, 1, 5.0)],
    );
    let found = run(&snapshot, &Stopped).unwrap();
    assert!(!found.complete);
    assert_eq!((found.moved, found.cost), (0, 10.0));
    assert_eq!(run(&snapshot, &()).unwrap().cost, 0.0);
}

#[test]
fn refuses_what_is_too_large() {
    let vms = [(0, 1); 13];
    let many_vms = tiny::snapshot(&[("a/s/r", 13, 100)], &vms, &[]);
    let many_servers = tiny::snapshot(&[("a/s/r", 1, 100); 65], &[], &[]);
    for (snapshot, message) in [
        (
            many_vms,
            "the number of VMs 13 is more than the 12 that exact can do; take the multilevel reference",
        ),
        (
            many_servers,
            "the number of servers 65 is more than the 64 that exact can do; take the multilevel reference",
        ),
    ] {
        assert_eq!(run(&snapshot, &()).unwrap_err().to_string(), message);
    }
}

/// Servers in a row: no hierarchy.
#[derive(Debug)]
struct Row(LocationTable);

impl Levels for Row {
    fn server_count(&self) -> usize {
        self.0.server_count()
    }
    fn max_level(&self) -> Level {
        Level::new(2)
    }
    fn level(&self, a: ServerIndex, b: ServerIndex) -> Level {
        Level::new(a.get().abs_diff(b.get()).min(2) as u8)
    }
    fn index_of(&self, server: ServerId) -> Option<ServerIndex> {
        self.0.index_of(server)
    }
    fn server_at(&self, index: ServerIndex) -> ServerId {
        self.0.server_at(index)
    }
}

#[test]
fn needs_groups() {
    let servers = [("a/s/r", 1, 1024), ("a/s/q", 1, 1024), ("a/s/p", 1, 1024)];
    let snapshot = tiny::snapshot(&servers, &[(0, 1), (2, 1)], &[(0, 1, 1.0)]);
    let weights = LinkWeights::new([1.0, 2.0]).unwrap();
    let model = CostModel::new(weights, Row(snapshot.locations().clone())).unwrap();
    let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation()).unwrap();
    let no_groups = |strategy: &dyn Strategy<Row>| strategy.run(&instance, &()).unwrap_err();
    assert_eq!(
        no_groups(&Exact),
        StrategyError::NoGroups { strategy: "exact" }
    );
    let multilevel = Multilevel::default();
    let wanted = StrategyError::NoGroups {
        strategy: "multilevel",
    };
    assert_eq!(no_groups(&multilevel), wanted);
}

#[test]
fn takes_as_much_as_it_says_it_does() {
    // Everybody talks to everybody, which leaves the bound little to say.
    let servers =
        ["a/s/r", "a/s/q", "a/t/r", "b/s/r", "b/s/q", "b/t/r"].map(|rack| (rack, 2, 9999));
    let vms: Vec<_> = (0..12).map(|vm| (vm / 2, 1024)).collect();
    let rate = |a: u32, b: u32| f64::from((a * 7919 + b * 104_729) % 1000 + 1);
    let pairs: Vec<_> = (0..12)
        .flat_map(|a| (0..a).map(move |b| (a, b, rate(a, b))))
        .collect();
    let snapshot = tiny::snapshot(&servers, &vms, &pairs);
    let found = run(&snapshot, &()).unwrap();
    assert!(found.complete);
    println!("{:?}", found.cpu_time);
}
