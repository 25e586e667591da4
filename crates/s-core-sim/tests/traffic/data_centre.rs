//! Topologies, placements and costs of made-up data centres.

use s_core_model::{Levels, ServerIndex, VmIndex};
use s_core_sim::{DataCentre, InitialPlacement, THESIS_LINK_WEIGHTS, Topology, link_loads};

use super::small;

#[test]
fn topologies_are_read_as_they_are_shown() {
    for (text, servers, per_rack, levels, last) in [
        ("tree:4,4,4,2x20", 2560, 20, 4, "a4/g4/s4/r2"),
        ("tree:3x1", 3, 1, 1, "r3"),
        ("fat-tree:8", 128, 4, 2, "p8/e4"),
        ("leaf-spine:16x20", 320, 20, 1, "l16"),
    ] {
        let topology: Topology = text.parse().unwrap();
        assert_eq!(topology.to_string(), text);
        assert_eq!(topology.server_count(), Ok(servers));
        assert_eq!(topology.servers_per_rack(), per_rack);
        assert_eq!(topology.levels(), levels);
        let link_weights = topology.link_weights().unwrap().to_vec();
        assert_eq!(link_weights, THESIS_LINK_WEIGHTS[..levels]);
        let data_centre = DataCentre {
            topology,
            vms: servers,
            link_weights,
            ..DataCentre::thesis(InitialPlacement::RackLocal, 1)
        };
        let snapshot = data_centre.generate().unwrap();
        let locations = snapshot.locations();
        assert_eq!(locations.server_count() as u32, servers);
        assert_eq!(locations.rack_count() as u32, servers / per_rack);
        assert_eq!(usize::from(locations.max_level().get()), levels);
        assert_eq!(locations.location(ServerIndex::new(servers - 1)), last);
        // A rack-local placement has everybody at home: racks are numbered alike.
        let homes = data_centre.home_racks().unwrap();
        for vm in snapshot.allocation().vms() {
            let host = snapshot.allocation().host(vm);
            assert_eq!(host.get() / per_rack, homes.rack_of(vm.get()));
        }
        assert_eq!(
            snapshot.name(VmIndex::new(servers - 1)),
            format!("vm-{servers}")
        );
    }
    let five: Topology = "tree:2,2,2,2,2x1".parse().unwrap();
    assert_eq!(five.link_weights(), None);
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
fn the_thesis_weights_are_powers_of_e() {
    for (weight, power) in THESIS_LINK_WEIGHTS.iter().zip([0, 1, 3, 5]) {
        let wanted = std::f64::consts::E.powi(power);
        assert!((weight - wanted).abs() <= 1e-12 * wanted);
    }
}
