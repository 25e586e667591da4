//! The real nodes, with messages, reservations and marks, make the moves that the simulation makes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../s-core-proto/tests/common/mod.rs"]
mod common;

use std::time::Duration;

use common::{Pairs, Settings, World, server};
use s_core_model::{
    Allocation, Capacity, CostModel, LinkWeights, Placement, Rate, ServerId, TrafficMatrix, VmId,
};
use s_core_proto::{Report, TargetChoice};
use s_core_sim::{Decision, Rules, Simulation};
use s_core_token::{Global, PassingPolicy, PolicyKind, SlotKind, Statistic, Token, VisitReport};

/// Memory of the harness's VMs.
const VM_MIB: u32 = 64;

/// Global as the agents have it: each VM's statistic is the one that it reported when it last held the token.
///
/// The simulation gathers the statistics of [`PolicyKind::Global`] centrally before each round, as the thesis does
/// (4.1); no agent can. So the orders differ, the more the more has moved since, and only this policy can make the
/// same moves on both sides.
#[derive(Debug)]
struct ReportedGlobal;

impl PassingPolicy for ReportedGlobal {
    fn code(&self) -> u8 {
        200
    }
    fn name(&self) -> &str {
        "reported-global"
    }
    fn slot_kind(&self) -> SlotKind {
        Global.slot_kind()
    }
    fn ascending(&self) -> bool {
        Global.ascending()
    }
    fn statistic(&self, report: &VisitReport) -> Option<Statistic> {
        Global.statistic(report)
    }
    fn next(&self, token: &mut Token) -> Option<usize> {
        Global.next(token)
    }
    fn begin_round(&self, token: &mut Token) -> usize {
        Global.begin_round(token)
    }
}

/// A turn: who held the token, and where it went if it moved.
type Turn = (VmId, Option<ServerId>);

/// What the nodes did until a round was quiet.
fn turns_of_nodes(world: &mut World) -> Vec<Turn> {
    world.mint(server(0));
    let servers: Vec<ServerId> = world.nodes.keys().copied().collect();
    loop {
        let before = world.migrations();
        let done = |world: &World| world.settled() || world.migrations() > before;
        assert!(
            world.run(Duration::from_secs(3600), done),
            "it comes to an end"
        );
        if world.settled() {
            break;
        }
        // As a driver does when a VM has arrived.
        servers.iter().for_each(|server| world.list_hosted(*server));
    }
    let mut turns: Vec<Turn> = Vec::new();
    for (_, report) in &world.reports {
        match report {
            Report::Holding { vm, .. } => turns.push((*vm, None)),
            Report::Migrated { vm, target, .. } => {
                let turn = turns.last_mut().unwrap();
                assert_eq!(turn.0, *vm, "the holder migrates");
                turn.1 = Some(*target);
            }
            Report::Skipped { vm, why } => panic!("{vm} is skipped: {why:?}"),
            _ => {}
        }
    }
    turns
}

fn allocation_of(world: &World) -> Allocation {
    let slots = world.slots;
    let capacity = Capacity {
        vm_slots: slots,
        memory_mib: u64::from(slots * VM_MIB),
    };
    let placement = |(vm, server): (&VmId, &ServerId)| Placement {
        vm: *vm,
        server: *server,
        memory_mib: VM_MIB,
    };
    let servers = world.nodes.keys().map(|server| (*server, capacity));
    Allocation::new(servers, world.homes.iter().map(placement)).unwrap()
}

fn traffic_of(world: &World, allocation: &Allocation) -> TrafficMatrix {
    let index = |vm| allocation.vm_index(vm).unwrap();
    let pairs = (world.pairs.iter())
        .map(|((a, b), rate)| (index(*a), index(*b), Rate::new(*rate).unwrap()));
    TrafficMatrix::from_pairs(allocation.vm_count(), pairs).unwrap()
}

/// What the simulation does in as many turns.
fn turns_of_simulation(world: &World, kind: PolicyKind, rules: Rules, turns: usize) -> Vec<Turn> {
    let servers = world.nodes.len() as u32;
    let model = CostModel::new(LinkWeights::new([1.0, 3.0]).unwrap(), Pairs { servers }).unwrap();
    let allocation = allocation_of(world);
    let traffic = traffic_of(world, &allocation);
    let built = kind.build();
    let policy: &dyn PassingPolicy = match kind {
        PolicyKind::Global => &ReportedGlobal,
        _ => &*built,
    };
    let mut simulation = Simulation::new(&model, &traffic, allocation, policy, rules).unwrap();
    let turn = |simulation: &mut Simulation<'_, Pairs>| {
        let hop = simulation.step();
        let target = match hop.decision {
            Decision::Migrated(migration) => Some(migration.target),
            Decision::Stayed(_) => None,
        };
        let allocation = simulation.allocation();
        (
            allocation.vm_at(hop.holder),
            target.map(|target| allocation.server_at(target)),
        )
    };
    let turns = (0..turns).map(|_| turn(&mut simulation)).collect();
    assert!(simulation.is_settled());
    turns
}

#[test]
fn nodes_and_simulation_make_the_same_moves() {
    let mut moves = [0; 4];
    for seed in 0..150 {
        for (kind, moves) in PolicyKind::ALL.into_iter().zip(&mut moves) {
            let choice = [TargetChoice::FirstFit, TargetChoice::BestFit][seed as usize % 2];
            let settings = Settings {
                seed,
                servers: 4 + 2 * (seed as u32 % 3),
                vms: 10 + (seed as u32 * 7) % 31,
                slots: 6 + (seed as u32) % 6,
                policy: kind,
                choice,
            };
            if settings.vms.div_ceil(settings.servers) > settings.slots {
                continue;
            }
            let mut world = World::new(&settings);
            // Sums of sevenths depend on their order.
            world.pairs.values_mut().for_each(|rate| *rate /= 7.0);
            let before = world.homes.clone();
            let turns = turns_of_nodes(&mut world);
            world.homes = before;
            let rules = Rules {
                target_choice: choice,
                ..Rules::default()
            };
            let simulated = turns_of_simulation(&world, kind, rules, turns.len());
            let first = turns.iter().zip(&simulated).position(|(a, b)| a != b);
            if let Some(hop) = first {
                panic!(
                    "seed {seed}, {kind}, hop {hop}: nodes {:?}, simulation {:?}",
                    turns[hop], simulated[hop]
                );
            }
            *moves += turns.iter().filter(|turn| turn.1.is_some()).count();
        }
    }
    assert!(moves.into_iter().all(|moves| moves > 500), "{moves:?}");
}
