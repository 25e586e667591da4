//! Bad parameters, each with the exact error.

use std::time::Duration;

use s_core_sim::traffic::{DynamicTraffic, Dynamics, HomeRacks, Pattern};
use s_core_sim::{DataCentre, InitialPlacement, Topology};

use super::small;

#[test]
fn bad_patterns_are_refused() {
    let check = |change: &dyn Fn(&mut Pattern), wanted: &str| {
        let mut bad = Pattern::default();
        change(&mut bad);
        let error = bad.check().expect_err(wanted);
        assert_eq!(error.to_string(), wanted);
        let data_centre = DataCentre {
            pattern: bad,
            ..small(InitialPlacement::Random, 10, 1)
        };
        assert_eq!(data_centre.generate().unwrap_err().to_string(), wanted);
    };
    check(
        &|p| p.flows_per_vm = 0,
        "flows_per_vm is 0; a whole number from 1 to 1000 is wanted",
    );
    check(
        &|p| p.flows_per_vm = 1001,
        "flows_per_vm is 1001; a whole number from 1 to 1000 is wanted",
    );
    check(
        &|p| p.share_of_small = -0.1,
        "share_of_small is -0.1; a number from 0 to 1 is wanted",
    );
    check(
        &|p| p.small_bytes = 1,
        "small_bytes is 1; a whole number from 2 to 1099511627776 is wanted",
    );
    check(
        &|p| p.large_mode_bytes = 9999,
        "large_mode_bytes is 9999; a whole number from 10000 to 1099511627776 is wanted",
    );
    check(
        &|p| p.large_most_bytes = 1,
        "large_most_bytes is 1; a whole number from 134217728 to 1099511627776 is wanted",
    );
    check(
        &|p| p.large_most_bytes = u64::MAX,
        "large_most_bytes is 18446744073709551615; a whole number from 134217728 to 1099511627776 is wanted",
    );
    check(
        &|p| p.share_within_rack = 1.01,
        "share_within_rack is 1.01; a number from 0 to 1 is wanted",
    );
    check(
        &|p| p.share_of_hot_racks = f64::NAN,
        "share_of_hot_racks is NaN; a number from 0 to 1 is wanted",
    );
    check(
        &|p| p.partners = 0,
        "partners is 0; a whole number from 1 to 100 is wanted",
    );
    check(
        &|p| p.partners = 101,
        "partners is 101; a whole number from 1 to 100 is wanted",
    );
    check(
        &|p| p.share_with_partners = f64::INFINITY,
        "share_with_partners is inf; a number from 0 to 1 is wanted",
    );
    check(
        &|p| p.share_of_first_partner = 2.0,
        "share_of_first_partner is 2; a number from 0 to 1 is wanted",
    );
    check(
        &|p| p.window = Duration::ZERO,
        "window is 0ns; more than 0 s and at most a day (86400 s) is wanted",
    );
    check(
        &|p| p.window = Duration::from_secs(86_401),
        "window is 86401s; more than 0 s and at most a day (86400 s) is wanted",
    );
    check(
        &|p| p.windows = 0,
        "windows is 0; a whole number from 1 to 1000 is wanted",
    );
    check(
        &|p| p.vms_per_application = Some(1),
        "vms_per_application is 1; a whole number from 2 to 4294967295 is wanted",
    );
}

#[test]
fn too_many_flows_are_refused() {
    let pattern = Pattern {
        flows_per_vm: 1000,
        windows: 1000,
        ..Pattern::default()
    };
    let error = pattern.flow_count(HomeRacks::new(32_768, 128)).unwrap_err();
    let wanted = "32768 VMs would have 16384000000 flows, more than 67108864; \
        lower flows_per_vm or windows, or take fewer VMs";
    assert_eq!(error.to_string(), wanted);
    let dynamic = DynamicTraffic::new(
        HomeRacks::new(32_768, 128),
        &pattern,
        Dynamics::default(),
        1,
    );
    assert_eq!(dynamic.unwrap_err(), error);
}

#[test]
fn bad_dynamics_are_refused() {
    let check = |large_flow_windows, pair_windows, wanted: &str| {
        let dynamics = Dynamics {
            large_flow_windows,
            pair_windows,
        };
        let data_centre = small(InitialPlacement::Random, 10, 1);
        let error = data_centre.dynamic_traffic(dynamics).unwrap_err();
        assert_eq!(error.to_string(), wanted);
    };
    check(
        0,
        5,
        "large_flow_windows is 0; a whole number from 1 to 1000000 is wanted",
    );
    check(
        1_000_001,
        5,
        "large_flow_windows is 1000001; a whole number from 1 to 1000000 is wanted",
    );
    check(
        3,
        2,
        "pair_windows is 2; a whole number from 3 to 1000000 is wanted",
    );
    check(
        3,
        1_000_001,
        "pair_windows is 1000001; a whole number from 3 to 1000000 is wanted",
    );
}

#[test]
fn bad_data_centres_are_refused() {
    let tree = |fan_outs: &[u32]| Topology::Tree {
        fan_outs: fan_outs.to_vec(),
        servers_per_rack: 4,
    };
    let check = |change: &dyn Fn(&mut DataCentre), wanted: &str| {
        let mut bad = small(InitialPlacement::Random, 10, 1);
        change(&mut bad);
        assert_eq!(bad.generate().unwrap_err().to_string(), wanted);
    };
    let too_large =
        "a made-up data centre has at most 4194304 servers, as many VMs and 67108864 VM slots";
    check(
        &|d| d.vms = 121,
        "121 VMs do not fit into 120 VM slots; add servers or slots, or take fewer VMs",
    );
    check(
        &|d| d.topology = tree(&[]),
        "0 levels of links given; 1 to 16 are wanted",
    );
    check(
        &|d| d.topology = tree(&[2, 0]),
        "a fan-out or a number of servers is 0; each must be at least 1",
    );
    check(
        &|d| d.topology = tree(&[4096, 4096, 2]),
        "more than 16777216 servers; make the fan-outs or the racks smaller",
    );
    check(
        &|d| d.topology = Topology::FatTree { k: 7 },
        "a fat tree's switches have an even number of ports, at least 2, not 7",
    );
    check(&|d| d.vm_slots = u32::MAX, too_large);
    check(&|d| d.topology = tree(&[2048, 1024]), too_large);
    check(
        &|d| d.link_weights = vec![1.0],
        "data-centre.toml: link_weights has 1 weights and the locations in servers.csv have 2 components; give a weight for each level",
    );
    check(
        &|d| d.link_weights = vec![2.0, 1.0],
        "data-centre.toml: link weight c_2 = 1 does not rise above c_1 = 2; weights must rise towards the core",
    );
}

#[test]
fn bad_topologies_are_refused() {
    let check = |text: &str, wanted: &str| {
        assert_eq!(
            text.parse::<Topology>().expect_err(text).to_string(),
            wanted
        );
    };
    let hint = "write it like tree:4,4,4,2x20, fat-tree:8 or leaf-spine:16x20";
    for text in [
        "",
        "tree",
        "tree:",
        "tree:4,4",
        "mesh:3",
        "fat-tre:8",
        "leaf-spine:16",
        "Tree:4x4",
        "4x4",
    ] {
        check(text, &format!("{text:?} is no topology; {hint}"));
    }
    for (text, part) in [
        ("tree:x20", ""),
        ("tree:4,,4x20", ""),
        ("tree:4,a,4x20", "a"),
        ("tree:4, 4x20", " 4"),
        ("tree:4,4x", ""),
        ("tree:4x4x20", "4x20"),
        ("tree:4,+4x20", "+4"),
        ("tree:-4x20", "-4"),
        ("fat-tree", ""),
        ("fat-tree:", ""),
        ("fat-tree:8.0", "8.0"),
        ("leaf-spine:16x4294967296", "4294967296"),
        ("leaf-spine:16,2x20", "16,2"),
    ] {
        let wanted = format!("{part:?} in {text:?} is not a whole number up to 4294967295; {hint}");
        check(text, &wanted);
    }
    check(
        "tree:4,0x20",
        "\"tree:4,0x20\": a fan-out or a number of servers is 0; each must be at least 1",
    );
    check(
        "fat-tree:7",
        "\"fat-tree:7\": a fat tree's switches have an even number of ports, at least 2, not 7",
    );
    check(
        "tree:1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1x1",
        "\"tree:1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1x1\": 17 levels of links given; 1 to 16 are wanted",
    );
    check(
        "leaf-spine:65536x65536",
        "\"leaf-spine:65536x65536\": more than 16777216 servers; make the fan-outs or the racks smaller",
    );
}
