//! What is measured of placements and runs, against the plainest computation that there is.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use s_core_model::{
    Allocation, CostModel, Level, Levels, LinkWeights, ServerId, ServerIndex, VmIndex,
};
use s_core_sim::measure::{CostCurve, CostPoint, Gauge, RackTraffic};
use s_core_sim::snapshot::Snapshot;
use s_core_sim::{
    DataCentre, InitialPlacement, Instance, Rules, RunLimits, Simulation, Topology, link_loads,
};
use s_core_token::PolicyKind;

fn generate(fan_outs: &[u32], vms: u32, placement: InitialPlacement, seed: u64) -> Snapshot {
    let weights = 0..fan_outs.len() as i32;
    DataCentre {
        topology: Topology::Tree {
            fan_outs: fan_outs.to_vec(),
            servers_per_rack: 3,
        },
        vm_slots: 4,
        vms,
        link_weights: weights.map(|level| 2_f64.powi(level)).collect(),
        ..DataCentre::thesis(placement, seed)
    }
    .generate()
    .unwrap()
}

/// The rack of each server, by comparing it with every server before.
fn racks(levels: &impl Levels) -> Vec<usize> {
    let mut first_servers: Vec<ServerIndex> = Vec::new();
    (0..levels.server_count() as u32)
        .map(ServerIndex::new)
        .map(|server| {
            let same = |first: &ServerIndex| levels.level(*first, server) == Level::ZERO;
            first_servers.iter().position(same).unwrap_or_else(|| {
                first_servers.push(server);
                first_servers.len() - 1
            })
        })
        .collect()
}

/// λ between each two racks, ordered; the diagonal is empty.
fn naive_matrix(snapshot: &Snapshot, allocation: &Allocation) -> Vec<Vec<f64>> {
    let racks = racks(snapshot.cost_model().levels());
    let count = racks.iter().max().unwrap() + 1;
    let mut matrix = vec![vec![0.0; count]; count];
    for u in allocation.vms() {
        for v in allocation.vms().filter(|v| *v != u) {
            let [a, b] = [u, v].map(|vm| racks[allocation.host(vm).usize()]);
            if a != b {
                matrix[a][b] += snapshot.traffic().rate(u, v).bytes_per_second();
            }
        }
    }
    matrix
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

fn check_placement(snapshot: &Snapshot, allocation: &Allocation, max_bins: usize) {
    let model = snapshot.cost_model();
    let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation()).unwrap();
    let gauge = Gauge::new(&instance);
    let measures = gauge.placement(allocation);
    let traffic = gauge.rack_traffic(allocation, max_bins).unwrap();

    let matrix = naive_matrix(snapshot, allocation);
    let (racks, bins) = (matrix.len(), traffic.bins());
    assert_eq!((traffic.racks(), bins), (racks, racks.min(max_bins)));
    for x in 0..bins {
        for y in 0..bins {
            let inside = |rack: &usize, bin| rack * bins / racks == bin;
            let rows = (0..racks).filter(|a| inside(a, x));
            let both = |a: usize| (0..racks).filter(|b| inside(b, y)).map(move |b| (a, b));
            let sum: f64 = rows.flat_map(both).map(|(a, b)| matrix[a][b]).sum();
            // Both directions are one entry of the matrix; within a bin the naive one has both.
            let wanted = if x == y { sum / 2.0 } else { sum };
            assert!(
                close(traffic.between(x, y), wanted),
                "bins {x} {y}: {wanted}"
            );
        }
    }
    let total: f64 = matrix.iter().flatten().sum::<f64>() / 2.0;
    assert!(close(traffic.total(), total));
    // Level 1 is where racks are left.
    assert!(close(measures.link_loads[0], total));

    let row_sums = |matrix: &[Vec<f64>]| matrix.iter().map(|row| row.iter().sum()).collect();
    let before: Vec<f64> = row_sums(&naive_matrix(snapshot, snapshot.allocation()));
    let threshold = before.iter().sum::<f64>() / before.len() as f64 / 2.0;
    let loads: Vec<f64> = row_sums(&matrix);
    let rack_of = self::racks(model.levels());
    let hosts: Vec<_> = allocation
        .vms()
        .map(|vm| allocation.host(vm).usize())
        .collect();
    let idle_server = |server: &usize| !hosts.contains(server);
    let idle_rack = |rack: &usize| hosts.iter().all(|host| rack_of[*host] != *rack);
    let in_racks = measures.racks.unwrap();
    assert_eq!(in_racks.count, racks);
    assert_eq!(
        in_racks.hot,
        loads.iter().filter(|load| **load > threshold).count()
    );
    assert_eq!(in_racks.idle, (0..racks).filter(idle_rack).count());
    assert_eq!(measures.servers, rack_of.len());
    assert_eq!(
        measures.idle_servers,
        (0..rack_of.len()).filter(idle_server).count()
    );
    assert!(close(
        measures.cost,
        model.total_cost(allocation, snapshot.traffic())
    ));
    let text = serde_json::to_string(&traffic).unwrap();
    assert_eq!(
        serde_json::from_str::<RackTraffic>(&text).unwrap().bins(),
        bins
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn placements_are_measured_like_naively(
        seed in any::<u64>(),
        fan_outs in prop::collection::vec(1_u32..4, 1..4),
        filling in 0.1..1.0_f64,
        max_bins in 1_usize..12,
        random in any::<bool>(),
    ) {
        let slots = fan_outs.iter().product::<u32>() * 12;
        let vms = ((f64::from(slots) * filling) as u32).max(2);
        let placement = if random { InitialPlacement::Random } else { InitialPlacement::RackLocal };
        let snapshot = generate(&fan_outs, vms, placement, seed);
        check_placement(&snapshot, snapshot.allocation(), max_bins);

        let (model, policy) = (snapshot.cost_model(), PolicyKind::RoundRobin.build());
        let allocation = snapshot.allocation().clone();
        let mut simulation =
            Simulation::new(&model, snapshot.traffic(), allocation, policy.as_ref(), Rules::default()).unwrap();
        simulation.run_until_settled(RunLimits::default());
        check_placement(&snapshot, simulation.allocation(), max_bins);
    }

    #[test]
    fn a_thinned_curve_keeps_its_ends(count in 0_u64..200, max in 0_usize..50) {
        let point = |hops| CostPoint { hops, seconds: None, cost: 1e3 - hops as f64 };
        let points: Vec<_> = (1..=count).map(point).collect();
        let curve = CostCurve::new(point(0), points.iter().copied(), point(999), max);
        let kept = curve.points();
        prop_assert_eq!(kept.len(), points.len().min(max.max(2)) + 2);
        prop_assert_eq!((kept[0], kept[kept.len() - 1]), (point(0), point(999)));
        prop_assert!(kept.windows(2).all(|pair| pair[0].hops < pair[1].hops));
        if count > 0 {
            prop_assert_eq!((kept[1], kept[kept.len() - 2]), (point(1), point(count)));
        }
    }
}

#[test]
fn the_hot_racks_of_the_generator_are_the_hot_racks() {
    let hot = |placement| {
        let snapshot = DataCentre::thesis(placement, 1).generate().unwrap();
        let model = snapshot.cost_model();
        let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation()).unwrap();
        Gauge::new(&instance)
            .placement(snapshot.allocation())
            .racks
            .unwrap()
            .hot
    };
    // 20 % of 128 racks (5.1.1); with VMs anywhere, all.
    assert_eq!(hot(InitialPlacement::RackLocal), 26);
    assert_eq!(hot(InitialPlacement::Random), 128);
}

#[test]
fn written_traffic_is_read_back_only_if_it_makes_sense() {
    let check = |text: &str, error: &str| {
        let found = serde_json::from_str::<RackTraffic>(text)
            .unwrap_err()
            .to_string();
        assert_eq!(found, error, "{text}");
    };
    check(
        r#"{"racks": 2, "bins": 3, "cells": []}"#,
        "2 racks are shown in 3 bins; there are at most 256 and no more than racks",
    );
    check(
        r#"{"racks": 9999999, "bins": 9999999, "cells": []}"#,
        "9999999 racks are shown in 9999999 bins; there are at most 256 and no more than racks",
    );
    check(
        r#"{"racks": 2, "bins": 2, "cells": [0, 1]}"#,
        "the traffic of 2 bins has 2 entries instead of 3, one for each two bins",
    );
    check(
        r#"{"racks": 1, "bins": 1, "cells": [-1]}"#,
        "-1 bytes per second is not a finite rate from 0 up",
    );
}

/// Three servers in a row, each near its neighbours: near is no group.
#[derive(Debug)]
struct NoGroups;

impl Levels for NoGroups {
    fn server_count(&self) -> usize {
        3
    }
    fn max_level(&self) -> Level {
        Level::new(1)
    }
    fn level(&self, a: ServerIndex, b: ServerIndex) -> Level {
        Level::new(u8::from(a.get().abs_diff(b.get()) == 2))
    }
    fn index_of(&self, server: ServerId) -> Option<ServerIndex> {
        (server.get() < 3).then(|| ServerIndex::new(server.get()))
    }
    fn server_at(&self, index: ServerIndex) -> ServerId {
        ServerId::new(index.get())
    }
}

#[test]
fn without_groups_there_are_no_racks() {
    use s_core_model::{Capacity, Placement, Rate, TrafficMatrix, VmId};
    let room = Capacity {
        vm_slots: 1,
        memory_mib: 1,
    };
    let vm = |id| Placement {
        vm: VmId::new(id),
        server: ServerId::new(id),
        memory_mib: 1,
    };
    let allocation =
        Allocation::new((0..3).map(|id| (ServerId::new(id), room)), [vm(0), vm(2)]).unwrap();
    let pair = (VmIndex::new(0), VmIndex::new(1), Rate::new(5.0).unwrap());
    let traffic = TrafficMatrix::from_pairs(2, [pair]).unwrap();
    let model = CostModel::new(LinkWeights::new(vec![1.0]).unwrap(), NoGroups).unwrap();
    let instance = Instance::new(&model, &traffic, &allocation).unwrap();
    let gauge = Gauge::new(&instance);
    let measures = gauge.placement(&allocation);
    assert_eq!((measures.racks, measures.idle_servers), (None, 1));
    assert_eq!(measures.link_loads, [5.0]);
    assert_eq!(link_loads(&NoGroups, &allocation, &traffic).len(), 1);
    assert_eq!(gauge.rack_traffic(&allocation, 9), None);
}
