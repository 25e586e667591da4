//! The generated traffic has the properties of thesis 5.1.1, and is the same everywhere.

use std::collections::BTreeSet;

use s_core_model::{Levels, VmIndex};
use s_core_sim::traffic::{Flow, HomeRacks, flows};
use s_core_sim::{DataCentre, GenerateError, InitialPlacement, THESIS_LINK_WEIGHTS, link_loads};

#[test]
fn home_racks_divide_the_vms() {
    for (vms, racks) in [
        (0, 0),
        (1, 0),
        (9, 0),
        (1, 1),
        (1, 5),
        (5, 5),
        (7, 3),
        (1000, 128),
        (128, 127),
        (32_768, 128),
    ] {
        let homes = HomeRacks::new(vms, racks);
        let mut all = 0;
        for rack in 0..homes.rack_count() {
            let range = homes.vms_of(rack);
            assert_eq!(range.start, all, "{vms} {racks}");
            assert!(range.len().abs_diff((vms / homes.rack_count()) as usize) <= 1);
            assert!(!range.is_empty());
            all = range.end;
            assert!(range.into_iter().all(|vm| homes.rack_of(vm) == rack));
        }
        assert_eq!(all, vms);
        assert_eq!(
            flows(homes, 1).count() as u32,
            if vms < 2 { 0 } else { vms * 5 }
        );
    }
}

/// The shares of 5.1.1 over 50,000 flows; the standard deviation of a share is about 0.002.
#[test]
fn shares_are_those_of_the_thesis() {
    let homes = HomeRacks::new(10_000, 50);
    let all: Vec<Flow> = flows(homes, 7).collect();
    assert_eq!(all.len(), 50_000); // two ends each, so 10 per VM
    let rack = |vm: VmIndex| homes.rack_of(vm.get());
    let share = |of: &dyn Fn(&&Flow) -> bool| all.iter().filter(of).count() as f64 / 50_000.0;
    let within = share(&|flow| rack(flow.a) == rack(flow.b));
    assert!((within - 0.8).abs() < 0.01, "{within}");
    let small = share(&|flow| flow.bytes < 10_000);
    assert!((small - 0.9).abs() < 0.01, "{small}");
    assert!(all.iter().all(|flow| flow.a != flow.b && flow.bytes > 0));
    let leaving = all.iter().filter(|flow| rack(flow.a) != rack(flow.b));
    let hot: BTreeSet<u32> = leaving
        .clone()
        .flat_map(|flow| [rack(flow.a), rack(flow.b)])
        .collect();
    assert_eq!(hot.len(), 10);
    let relations: BTreeSet<_> = leaving.map(|flow| (rack(flow.a), rack(flow.b))).collect();
    assert!(relations.len() <= 30, "{}", relations.len());
}

#[test]
fn large_flows_have_their_mode_at_128_mib() {
    let homes = HomeRacks::new(10_000, 50);
    let mut tenths = [0; 16];
    for flow in flows(homes, 3).filter(|flow| flow.bytes >= 10_000) {
        assert!((64 << 20..192 << 20).contains(&flow.bytes));
        tenths[((flow.bytes - (64 << 20)) >> 23) as usize] += 1;
    }
    let highest = tenths.iter().max().copied();
    assert!(
        highest == Some(tenths[7]) || highest == Some(tenths[8]),
        "{tenths:?}"
    );
}

#[test]
fn the_same_seed_gives_the_same_data_centre_everywhere() {
    let first: Vec<_> = flows(HomeRacks::new(100, 10), 1).take(3).collect();
    let flow = |a, b, bytes| Flow {
        a: VmIndex::new(a),
        b: VmIndex::new(b),
        bytes,
    };
    assert_eq!(first, GOLDEN_FLOWS.map(|(a, b, bytes)| flow(a, b, bytes)));
    let others: Vec<_> = flows(HomeRacks::new(100, 10), 2).take(3).collect();
    assert_ne!(first, others);
    let small = |placement, seed| small(placement, 100, seed).generate().unwrap();
    let [a, b] = [InitialPlacement::Random, InitialPlacement::RackLocal].map(|p| small(p, 1));
    assert_eq!(a, small(InitialPlacement::Random, 1));
    assert_ne!(a, small(InitialPlacement::Random, 2));
    assert_eq!(a.traffic(), b.traffic());
}

const GOLDEN_FLOWS: [(u32, u32, u64); 3] = [(6, 27, 2660), (21, 1, 9088), (30, 35, 8087)];

fn small(placement: InitialPlacement, vms: u32, seed: u64) -> DataCentre {
    DataCentre {
        fan_outs: vec![2, 5],
        servers_per_rack: 4,
        vm_slots: 3,
        vms,
        link_weights: vec![1.0, 2.0],
        placement,
        seed,
    }
}

#[test]
fn a_rack_local_placement_keeps_most_flows_below_the_first_links() {
    let cost = |placement| {
        let snapshot = small(placement, 100, 5).generate().unwrap();
        let model = snapshot.cost_model();
        let total = model.total_cost(snapshot.allocation(), snapshot.traffic());
        let loads = link_loads(
            snapshot.locations(),
            snapshot.allocation(),
            snapshot.traffic(),
        );
        let weighted = loads.iter().zip(model.weights().iter());
        let from_loads: f64 = weighted
            .map(|(load, c)| 2.0 * load.bytes_per_second() * c)
            .sum();
        assert!((from_loads - total).abs() <= 1e-9 * total);
        total
    };
    assert!(2.0 * cost(InitialPlacement::RackLocal) < cost(InitialPlacement::Random));
}

#[test]
fn odd_sizes_make_data_centres() {
    for vms in [0, 1, 2, 3, 11, 119, 120] {
        for placement in [InitialPlacement::Random, InitialPlacement::RackLocal] {
            let snapshot = small(placement, vms, 1).generate().unwrap();
            assert_eq!(snapshot.allocation().vm_count(), vms as usize);
            assert_eq!(snapshot.locations().server_count(), 40);
        }
    }
}

#[test]
fn bad_numbers_are_refused() {
    let good = small(InitialPlacement::Random, 10, 1);
    let check = |change: &dyn Fn(&mut DataCentre), wanted: &str| {
        let mut bad = good.clone();
        change(&mut bad);
        let error: GenerateError = bad.generate().expect_err("must be refused");
        assert!(error.to_string().contains(wanted), "{error}");
    };
    check(&|d| d.vms = 121, "121 VMs do not fit into 120 VM slots");
    check(&|d| d.fan_outs = vec![], "0 levels");
    check(&|d| d.fan_outs = vec![2, 0], "is 0");
    check(
        &|d| d.fan_outs = vec![4096, 4096, 2],
        "more than 16777216 servers",
    );
    check(&|d| d.vm_slots = u32::MAX, "at most 4194304 servers");
    check(
        &|d| d.fan_outs = vec![4096, 1024, 1],
        "at most 4194304 servers",
    );
    check(
        &|d| d.link_weights = vec![1.0],
        "link_weights has 1 weights",
    );
    check(&|d| d.link_weights = vec![2.0, 1.0], "does not rise");
}

#[test]
fn the_thesis_weights_are_powers_of_e() {
    for (weight, power) in THESIS_LINK_WEIGHTS.iter().zip([0, 1, 3, 5]) {
        let wanted = std::f64::consts::E.powi(power);
        assert!((weight - wanted).abs() <= 1e-12 * wanted);
    }
}
