//! Time that passes, traffic that changes, and runs as strategies.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Mutex;
use std::time::Duration;

use s_core_model::{MigrationCost, Rate, TrafficMatrix, VmIndex};
use s_core_sim::snapshot::Snapshot;
use s_core_sim::{
    DataCentre, Decision, Hop, InitialPlacement, Instance, Migration, MigrationCostForm, Rules,
    RunLimits, Simulation, SimulationError, Stability, Strategy, Timing, TokenStrategy, Watch,
};
use s_core_token::{PassingPolicy, PolicyKind};

fn snapshot(seed: u64) -> Snapshot {
    let data_centre = DataCentre {
        topology: "tree:2,2,4x20".parse().unwrap(),
        vms: 600,
        link_weights: vec![1.0, 3.0, 20.0],
        ..DataCentre::thesis(InitialPlacement::Random, seed)
    };
    data_centre.generate().unwrap()
}

fn hops(snapshot: &Snapshot, policy: &dyn PassingPolicy, timing: Option<Timing>) -> Vec<Hop> {
    let model = snapshot.cost_model();
    let allocation = snapshot.allocation().clone();
    let rules = Rules::default();
    let mut simulation =
        Simulation::new(&model, snapshot.traffic(), allocation, policy, rules).unwrap();
    if let Some(timing) = timing {
        simulation = simulation.with_timing(timing);
    }
    let mut hops = Vec::new();
    simulation.run_observed(RunLimits::default(), |hop| hops.push(*hop));
    hops
}

/// Time passes by the hop, and no decision depends on it.
#[test]
fn time_changes_nothing_but_the_clock() {
    let snapshot = snapshot(1);
    let timing = Timing {
        hop: Duration::from_millis(1),
        per_peer: Duration::from_secs(1),
        probe: Duration::ZERO,
        migration: Duration::from_secs(1_000_000),
    };
    for kind in PolicyKind::ALL {
        let policy = kind.build();
        let timeless = hops(&snapshot, &*policy, None);
        let timed = hops(&snapshot, &*policy, Some(timing));
        assert_eq!(timeless.len(), timed.len());
        let mut elapsed = Duration::ZERO;
        for (without, with) in timeless.into_iter().zip(timed) {
            assert_eq!(without.elapsed, Duration::ZERO);
            let peers = snapshot.traffic().peers(with.holder).len() as u32;
            elapsed += timing.hop + timing.per_peer * peers;
            if matches!(with.decision, Decision::Migrated(_)) {
                elapsed += timing.migration;
            }
            assert_eq!(with.elapsed, elapsed, "{kind}");
            assert_eq!(with, Hop { elapsed, ..without });
        }
    }
}

/// Who has something to gain asks one server at least; who has not, asks none.
#[test]
fn asking_for_room_takes_time() {
    let snapshot = snapshot(1);
    let probe = Duration::from_secs(1);
    let timing = Timing {
        hop: Duration::ZERO,
        per_peer: Duration::ZERO,
        probe,
        migration: Duration::ZERO,
    };
    let policy = PolicyKind::RoundRobin.build();
    let mut before = Duration::ZERO;
    for hop in hops(&snapshot, &*policy, Some(timing)) {
        let took = hop.elapsed - before;
        before = hop.elapsed;
        let located = u32::from(snapshot.traffic().peers(hop.holder).len() > 0);
        match hop.decision {
            Decision::Stayed(s_core_sim::WhyStayed::NoGain) => assert_eq!(took, probe * located),
            _ => assert!(took >= probe * 2, "{took:?}"),
        }
    }
}

/// The same pairs with other rates.
fn other_rates(traffic: &TrafficMatrix, seed: u32) -> TrafficMatrix {
    let rate = |(a, b, _): (VmIndex, VmIndex, Rate)| {
        let bytes = a
            .get()
            .wrapping_mul(b.get() ^ seed)
            .wrapping_mul(0x9e37_79b9)
            % 100_000;
        (a, b, Rate::new(f64::from(1 + bytes)).unwrap())
    };
    TrafficMatrix::from_pairs(traffic.vm_count(), traffic.pairs().map(rate)).unwrap()
}

/// With new traffic the simulation goes on as one that has never seen the old.
#[test]
fn new_traffic_leaves_nothing_of_the_old() {
    let snapshot = snapshot(2);
    let (model, policy) = (snapshot.cost_model(), PolicyKind::RoundRobin.build());
    let allocation = snapshot.allocation().clone();
    let traffic = snapshot.traffic();
    let new = |traffic, allocation| {
        Simulation::new(&model, traffic, allocation, &*policy, Rules::default()).unwrap()
    };
    let mut simulation = new(traffic, allocation);
    simulation.run_until_settled(RunLimits::default());
    let other = other_rates(traffic, 1);
    // A round-robin token has no memory but its place: one that comes to the first VM again.
    while simulation.token().holder() != 0 {
        simulation.step();
    }
    assert!(simulation.is_settled());
    simulation
        .set_traffic(std::borrow::Cow::Borrowed(&other))
        .unwrap();
    assert!(!simulation.is_settled());
    let mut fresh = new(&other, simulation.allocation().clone());
    assert_eq!(simulation.total_cost(), fresh.total_cost());
    let mut migrations = 0;
    while !fresh.is_settled() {
        assert!(!simulation.is_settled());
        let (a, b) = (simulation.step(), fresh.step());
        assert_eq!((a.holder, a.total_cost), (b.holder, b.total_cost));
        migrations += u64::from(matches!(b.decision, Decision::Migrated(_)));
    }
    assert!(simulation.is_settled() && migrations > 10);

    let fewer = TrafficMatrix::from_pairs(3, []).unwrap();
    let error = simulation
        .set_traffic(std::borrow::Cow::Owned(fewer))
        .unwrap_err();
    assert!(matches!(
        error,
        SimulationError::OtherVms { in_traffic: 3, .. }
    ));
    assert!(simulation.is_settled(), "nothing has changed");
}

#[test]
fn traffic_changes_by_the_clock() {
    let snapshot = snapshot(3);
    let (model, policy) = (snapshot.cost_model(), PolicyKind::Distributed.build());
    let traffic = snapshot.traffic();
    let new = || {
        let allocation = snapshot.allocation().clone();
        Simulation::new(&model, traffic, allocation, &*policy, Rules::default()).unwrap()
    };
    let window = Duration::from_secs(100);
    let mut simulation = new().with_timing(Timing::today());
    let mut later = (1..4).map(|seed| other_rates(traffic, seed));
    let (mut times, mut migrations) = (Vec::new(), 0);
    let observe = |hop: &Hop| {
        times.push(hop.elapsed);
        migrations += u64::from(matches!(hop.decision, Decision::Migrated(_)));
    };
    let run = simulation
        .run_dynamic(window, || later.next(), observe)
        .unwrap();
    assert_eq!((run.windows, run.hops), (4, times.len() as u64));
    assert!(times.is_sorted() && migrations > 100);
    // The last hop is the first that ends beyond the last window.
    let end = times.iter().position(|time| *time >= 4 * window);
    assert_eq!(end, Some(times.len() - 1));

    let timeless = new().run_dynamic(window, || None, |_| {});
    assert_eq!(timeless, Err(SimulationError::NoTime));
    let mut timed = new().with_timing(Timing::thesis());
    let no_window = timed.run_dynamic(Duration::ZERO, || None, |_| {});
    assert_eq!(no_window, Err(SimulationError::NoTime));
}

/// Stops a run after so many looks.
struct StopAfter(Mutex<(u32, Vec<f64>)>);

impl Watch for StopAfter {
    fn progress(&self, done: f64, _: f64) {
        self.0.lock().unwrap().1.push(done);
    }
    fn is_stopped(&self) -> bool {
        let mut state = self.0.lock().unwrap();
        state.0 = state.0.saturating_sub(1);
        state.0 == 0
    }
}

#[test]
fn a_policy_is_a_strategy_that_can_be_stopped() {
    let snapshot = DataCentre::thesis(InitialPlacement::Random, 4);
    let snapshot = DataCentre {
        vms: 6_000,
        ..snapshot
    }
    .generate()
    .unwrap();
    let model = snapshot.cost_model();
    let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation()).unwrap();
    for kind in PolicyKind::ALL {
        let strategy = TokenStrategy::new(kind.build());
        let whole = strategy.run(&instance, &()).unwrap();
        let watch = StopAfter(Mutex::new((2, Vec::new())));
        let part = strategy.run(&instance, &watch).unwrap();
        assert!(whole.complete && !part.complete);
        assert!(whole.cost < part.cost && part.cost < instance.cost());
        assert!(whole.migrations.starts_with(&part.migrations));
        assert!(part.moved > 0 && part.moved <= part.migrations.len());
        let recomputed = model.total_cost(&part.allocation, snapshot.traffic());
        assert!((part.cost - recomputed).abs() <= 1e-9 * recomputed);
        let (_, done) = watch.0.into_inner().unwrap();
        assert!(done.is_sorted() && done.iter().all(|done| (0.0..=1.0).contains(done)));
        let stability = Stability::new(&whole.migrations, 6_000, 6_000);
        assert_eq!(stability.migrations(), whole.migrations.len() as u64);
        assert!(stability.moved_vms() >= whole.moved as u64);
        // 5.1.4: with traffic that stays as it is, there is hardly any jumping to and fro.
        assert!(stability.oscillations * 20 < stability.migrations());
    }
}

/// Why "per cent of the overall cost" cannot be meant literally (see `MigrationCostForm`).
#[test]
fn no_migration_gains_a_tenth_of_the_whole() {
    let snapshot = DataCentre::thesis(InitialPlacement::Random, 5)
        .generate()
        .unwrap();
    let (model, traffic) = (snapshot.cost_model(), snapshot.traffic());
    let instance = Instance::new(&model, traffic, snapshot.allocation()).unwrap();
    let total = instance.cost();
    let vms = snapshot.allocation().vm_count() as f64;
    let run = |migration_cost: MigrationCostForm| {
        let strategy = TokenStrategy {
            migration_cost,
            ..TokenStrategy::new(PolicyKind::Distributed.build())
        };
        strategy.run(&instance, &()).unwrap()
    };
    let gain_at_most =
        |migration: &Migration| 2.0 * model.vm_cost(snapshot.allocation(), traffic, migration.vm);
    // Of the first migrations: the VMs' peers are where they were.
    let free = run(MigrationCostForm::default());
    let first = &free.migrations[0];
    assert!(first.gain <= gain_at_most(first) * (1.0 + 1e-9));
    let costs =
        (snapshot.allocation().vms()).map(|vm| model.vm_cost(snapshot.allocation(), traffic, vm));
    let dearest = costs.fold(0.0, f64::max);
    assert!(2.0 * dearest < total / 100.0, "not even a hundredth");
    let literally = MigrationCostForm::Absolute(total / 100.0);
    assert!(run(literally).migrations.is_empty());

    // A share of the mean bends the curve: the dearer a migration, the less is saved.
    let saved = [0.0, 10.0, 100.0, 1000.0].map(|percent| {
        let form = MigrationCostForm::PercentOfMean(percent);
        let wanted = MigrationCost::Absolute(percent / 100.0 * (total / vms));
        assert_eq!(form.of(&instance), wanted);
        1.0 - run(form).cost / total
    });
    assert!(saved.is_sorted_by(|a, b| a >= b), "{saved:?}");
    assert!(saved[0] > 0.8 && saved[3] < saved[0] - 0.2, "{saved:?}");
}
