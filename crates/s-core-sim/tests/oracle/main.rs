//! The simulation against a plain oracle: the same decisions, in the same order, to the last bit.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod plain;

use plain::{Oracle, Plain};
use proptest::prelude::*;
use s_core_model::{
    Allocation, Capacity, CostModel, Levels, LinkWeights, MigrationCost, Placement, Rate, ServerId,
    TrafficMatrix, VmId, VmIndex,
};
use s_core_proto::TargetChoice;
use s_core_sim::{
    DataCentre, Decision, Ended, InitialPlacement, Instance, MigrationCostForm, Rules, RunLimits,
    Simulation, Topology,
};
use s_core_token::PolicyKind;
use s_core_topology::CanonicalTree;

/// A small data centre from numbers that proptest draws: 12 servers in 6 racks under two or three levels of links.
fn small(
    deep: bool,
    vms: &[(usize, u32)],
    pairs: &[(usize, usize, u32)],
    spare: u32,
    unit: f64,
) -> Plain {
    let (fan_outs, weights) = if deep {
        (vec![2, 1, 3], vec![1.0, 4.0, 16.0])
    } else {
        (vec![2, 3], vec![1.0, 8.0])
    };
    let room = |server: usize| {
        (
            (spare >> (server % 8)) % 3,
            u64::from(spare >> (server % 5)) % 7,
        )
    };
    let mut rates = vec![std::collections::BTreeMap::new(); vms.len()];
    for (a, b, rate) in pairs {
        let (a, b) = (a % vms.len(), b % vms.len());
        if a != b {
            *rates[a].entry(b).or_insert(0.0) += f64::from(*rate) * unit;
            *rates[b].entry(a).or_insert(0.0) += f64::from(*rate) * unit;
        }
    }
    Plain {
        fan_outs,
        servers_per_rack: 2,
        weights,
        free: (0..12).map(room).collect(),
        vms: vms.to_vec(),
        peers: rates
            .into_iter()
            .map(|row| row.into_iter().collect())
            .collect(),
    }
}

fn build(plain: &Plain) -> (CostModel<CanonicalTree>, Allocation, TrafficMatrix) {
    let tree = CanonicalTree::new(&plain.fan_outs, plain.servers_per_rack as u32).unwrap();
    let server = |index: usize| ServerId::new(0x0a00_0001 + index as u32);
    let mut rooms = plain.free.clone();
    for (host, memory) in &plain.vms {
        rooms[*host].0 += 1;
        rooms[*host].1 += u64::from(*memory);
    }
    let rooms = rooms
        .into_iter()
        .enumerate()
        .map(|(index, (vm_slots, memory_mib))| {
            let capacity = Capacity {
                vm_slots,
                memory_mib,
            };
            (server(index), capacity)
        });
    let vms = plain
        .vms
        .iter()
        .enumerate()
        .map(|(vm, (host, memory_mib))| Placement {
            vm: VmId::new(100 + vm as u32),
            server: server(*host),
            memory_mib: *memory_mib,
        });
    let index = |vm: usize| VmIndex::new(vm as u32);
    let pairs = plain.peers.iter().enumerate().flat_map(|(a, peers)| {
        let above = peers.iter().filter(move |(b, _)| a < *b);
        above.map(move |(b, rate)| (index(a), index(*b), Rate::new(*rate).unwrap()))
    });
    (
        CostModel::new(LinkWeights::new(plain.weights.as_slice()).unwrap(), tree).unwrap(),
        Allocation::new(rooms, vms).unwrap(),
        TrafficMatrix::from_pairs(plain.vms.len(), pairs).unwrap(),
    )
}

fn check(plain: &Plain, kind: PolicyKind, rules: Rules) {
    let (model, allocation, traffic) = build(plain);
    same_run(plain, &model, &allocation, &traffic, kind, rules);
}

/// Every hop of both is the same, and in small data centres the levels in the token as well.
fn same_run<L: Levels>(
    plain: &Plain,
    model: &CostModel<L>,
    allocation: &Allocation,
    traffic: &TrafficMatrix,
    kind: PolicyKind,
    rules: Rules,
) {
    let (policy, allocation) = (kind.build(), allocation.clone());
    let mut simulation =
        Simulation::new(model, traffic, allocation, policy.as_ref(), rules).unwrap();
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * plain.total_cost();
    assert!(close(simulation.total_cost(), plain.total_cost()));
    let mut oracle = Oracle::new(plain.clone(), kind, rules);
    let (mut hops, mut rounds) = (0, 0);
    while !oracle.is_settled() {
        assert!(
            !simulation.is_settled(),
            "{kind}: settled before hop {hops}"
        );
        let (event, hop) = (oracle.step(), simulation.step());
        let decision = match hop.decision {
            Decision::Migrated(migration) => Ok((migration.target.usize(), migration.gain)),
            Decision::Stayed(why) => Err(why),
        };
        let did = (hop.holder.usize(), decision, hop.new_round);
        let should = (event.holder, event.decision, event.new_round);
        assert_eq!(did, should, "{kind}, hop {hops}");
        if plain.vms.len() < 100 {
            assert_eq!(levels(&simulation), oracle.levels(), "{kind}, hop {hops}");
        }
        hops += 1;
        rounds += u64::from(event.new_round);
    }
    assert!(simulation.is_settled());
    assert!(close(simulation.total_cost(), oracle.plain.total_cost()));
    let outcome = simulation.run_until_settled(RunLimits::default());
    assert_eq!((outcome.ended, outcome.rounds), (Ended::Settled, rounds));
    assert_eq!(outcome.token_hops, hops);
    is_local_optimum(&oracle.plain, &simulation, rules);
}

/// The levels in the token by VM.
fn levels<L: Levels>(simulation: &Simulation<'_, L>) -> Vec<usize> {
    let (token, allocation) = (simulation.token(), simulation.allocation());
    let position = |vm| token.position_of(allocation.vm_at(vm)).unwrap();
    let level = |vm| usize::from(token.level(position(vm)).get());
    allocation.vms().map(level).collect()
}

/// No VM has a gain that satisfies the rules at a server with room.
fn is_local_optimum<L: Levels>(plain: &Plain, simulation: &Simulation<'_, L>, rules: Rules) {
    for (vm, (host, _)) in plain.vms.iter().enumerate() {
        let index = VmIndex::new(vm as u32);
        assert_eq!(simulation.allocation().host(index).usize(), *host);
        assert!(plain.decide(vm, rules).is_err(), "VM {vm} could still move");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn decides_like_the_oracle(
        deep in any::<bool>(),
        vms in prop::collection::vec((0..12usize, 1..4u32), 2..24),
        pairs in prop::collection::vec((0..24usize, 0..24usize, 1..50u32), 0..60),
        spare in any::<u32>(),
        migration_cost in prop_oneof![
            3 => Just(MigrationCost::ZERO),
            1 => (0..200u32).prop_map(|cost| MigrationCost::Absolute(f64::from(cost))),
            1 => (0..8u32).prop_map(|eighths| MigrationCost::RelativeToVm(f64::from(eighths) / 8.0)),
        ],
        min_gain in prop_oneof![3 => Just(0.0), 1 => (0..100u32).prop_map(f64::from)],
        // Sums of sevenths depend on their order.
        unit in prop_oneof![Just(1.0), Just(1.0 / 7.0)],
    ) {
        let plain = small(deep, &vms, &pairs, spare, unit);
        for kind in PolicyKind::ALL {
            for target_choice in [TargetChoice::FirstFit, TargetChoice::BestFit] {
                check(&plain, kind, Rules { migration_cost, target_choice, min_gain });
            }
        }
    }
}

/// The traffic of chapter 5 at a sixteenth of its size: VMs with ten peers, a few with many.
#[test]
fn decides_like_the_oracle_in_a_data_centre() {
    const FAN_OUTS: [u32; 3] = [2, 2, 2];
    const SERVERS_PER_RACK: u32 = 20;
    for seed in 0..2 {
        let placement = [InitialPlacement::Random, InitialPlacement::RackLocal][seed as usize];
        let data_centre = DataCentre {
            topology: Topology::Tree {
                fan_outs: FAN_OUTS.to_vec(),
                servers_per_rack: SERVERS_PER_RACK,
            },
            vms: 2_048 + 400 * seed,
            link_weights: vec![1.0, 3.0, 20.0],
            ..DataCentre::thesis(placement, seed.into())
        };
        let snapshot = data_centre.generate().unwrap();
        let (allocation, traffic) = (snapshot.allocation(), snapshot.traffic());
        let plain = Plain::of(
            allocation,
            traffic,
            &FAN_OUTS,
            SERVERS_PER_RACK as usize,
            &data_centre.link_weights,
        );
        let model = snapshot.cost_model();
        let instance = Instance::new(&model, traffic, allocation).unwrap();
        let parts = [0.0, 50.0].map(MigrationCostForm::PercentOfMean);
        let costs = parts.map(|part| part.of(&instance));
        for (kind, migration_cost) in PolicyKind::ALL.into_iter().zip(costs.into_iter().cycle()) {
            let rules = Rules {
                migration_cost,
                ..Rules::default()
            };
            same_run(&plain, &model, allocation, traffic, kind, rules);
        }
    }
}
