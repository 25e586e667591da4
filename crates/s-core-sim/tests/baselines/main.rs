//! Starling, Remedy and traffic-aware placement do what they are said to do; links' utilisation is that of a naive walk.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod link_utilisation;
mod parts;
mod remedy;
mod starling;
mod traffic_aware;

use std::sync::atomic::{AtomicUsize, Ordering};

use s_core_sim::baselines::{Remedy, TrafficAware, iterate};
use s_core_sim::snapshot::Snapshot;
use s_core_sim::{DataCentre, InitialPlacement, Instance, Strategy, Watch};
use starling::starling;

/// Placement from scratch moves nearly everything whenever the traffic has changed.
#[test]
fn iterated_placement_moves_most_vms_each_time() {
    let data_centre = |seed| {
        let data_centre = DataCentre {
            topology: "tree:2,2,4x4".parse().unwrap(),
            vm_slots: 4,
            vms: 200,
            link_weights: vec![1.0, 3.0, 20.0],
            ..DataCentre::thesis(InitialPlacement::Random, seed)
        };
        data_centre.generate().unwrap()
    };
    let windows: Vec<Snapshot> = (1..4).map(data_centre).collect();
    let model = windows[0].cost_model();
    let traffic = || windows.iter().map(Snapshot::traffic);
    let moved = |strategy: &dyn Strategy<_>| -> Vec<usize> {
        let proposals = iterate(strategy, &model, traffic(), windows[0].allocation(), &()).unwrap();
        let mut before = windows[0].allocation();
        for (proposal, traffic) in proposals.iter().zip(traffic()) {
            assert!(proposal.cost <= model.total_cost(before, traffic));
            before = &proposal.allocation;
        }
        proposals.iter().map(|proposal| proposal.moved).collect()
    };
    let all_at_once = moved(&TrafficAware);
    assert_eq!(all_at_once.len(), 3);
    assert!(
        all_at_once.iter().all(|moved| *moved > 100),
        "{all_at_once:?}"
    );
    let few: usize = moved(&starling(1_000_000)).iter().sum();
    assert!(few < all_at_once.iter().sum(), "{few} {all_at_once:?}");
}

/// Stops at the n-th question.
struct Stop(AtomicUsize, usize);

impl Watch for Stop {
    fn progress(&self, done: f64, cost: f64) {
        assert!((0.0..=1.0).contains(&done) && cost >= 0.0);
    }

    fn is_stopped(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) >= self.1
    }
}

#[test]
fn all_stop_with_what_they_have() {
    let snapshot = DataCentre {
        topology: "tree:2,2x2".parse().unwrap(),
        vm_slots: 4,
        vms: 24,
        link_weights: vec![1.0, 10.0],
        ..DataCentre::thesis(InitialPlacement::Random, 1)
    };
    let snapshot = snapshot.generate().unwrap();
    let model = snapshot.cost_model();
    let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation()).unwrap();
    let strategies: [&dyn Strategy<_>; 3] = [&starling(0), &Remedy::default(), &TrafficAware];
    for strategy in strategies {
        for limit in 0..3 {
            let stop = Stop(AtomicUsize::new(0), limit);
            let proposal = strategy.run(&instance, &stop).unwrap();
            assert!(!proposal.complete || limit > 1, "{}", strategy.name());
            assert!(limit > 0 || proposal.moved == 0);
        }
        let [one, other] = [(); 2].map(|()| strategy.run(&instance, &()).unwrap());
        assert!(one.complete);
        assert_eq!(
            (one.allocation, one.migrations),
            (other.allocation, other.migrations)
        );
    }
}
