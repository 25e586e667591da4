//! The simulation as a whole: limits, settling, parts that do not fit, policies of users' own, a hub.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use s_core_model::{CostModel, Levels, LinkWeights, MigrationCost, TrafficMatrix, VmIndex};
use s_core_proto::{Evaluation, TargetChoice};
use s_core_sim::snapshot::Snapshot;
use s_core_sim::{
    DataCentre, Ended, InitialPlacement, Outcome, Rules, RunLimits, Simulation, SimulationError,
};
use s_core_token::{
    PassingPolicy, PolicyKind, SlotKind, SlotsError, Statistic, Token, VisitOrder, VisitReport,
};
use s_core_topology::CanonicalTree;

fn data_centre(vms: u32, placement: InitialPlacement) -> DataCentre {
    DataCentre {
        topology: "tree:2,2,4x4".parse().unwrap(),
        vm_slots: 4,
        vms,
        link_weights: vec![1.0, 3.0, 20.0],
        ..DataCentre::thesis(placement, 11)
    }
}

fn snapshot() -> Snapshot {
    data_centre(200, InitialPlacement::Random)
        .generate()
        .unwrap()
}

/// Runs one policy to its end, and checks what must hold at any end.
fn run(
    snapshot: &Snapshot,
    policy: &dyn PassingPolicy,
    rules: Rules,
    limits: RunLimits,
) -> Outcome {
    let (model, traffic) = (snapshot.cost_model(), snapshot.traffic());
    let allocation = snapshot.allocation().clone();
    let mut simulation = Simulation::new(&model, traffic, allocation, policy, rules).unwrap();
    let outcome = simulation.run_until_settled(limits);
    let recomputed = model.total_cost(simulation.allocation(), traffic);
    assert!((outcome.final_cost - recomputed).abs() <= 1e-9 * recomputed);
    let mut cost = outcome.initial_cost;
    for migration in &outcome.migrations {
        assert!(migration.gain > 0.0 && migration.gain >= rules.min_gain);
        assert!((cost - migration.gain - migration.total_cost).abs() <= 1e-9 * cost);
        cost = migration.total_cost;
    }
    if outcome.ended == Ended::Settled {
        assert_local_optimum(snapshot, &simulation, rules);
    }
    outcome
}

/// No VM has a gain above c_m, and of the least size, at a server with room.
fn assert_local_optimum<L: Levels>(
    snapshot: &Snapshot,
    simulation: &Simulation<'_, L>,
    rules: Rules,
) {
    let (model, allocation) = (snapshot.cost_model(), simulation.allocation());
    let mut evaluation = Evaluation::default();
    for vm in allocation.vms() {
        let peers = snapshot.traffic().peers(vm);
        let hosts = peers.map(|(peer, rate)| (allocation.host(peer), rate));
        evaluation.evaluate(&model, allocation.host(vm), hosts);
        let threshold = rules.migration_cost.threshold(evaluation.cost());
        let could = evaluation
            .worthwhile(threshold, rules.target_choice)
            .iter()
            .find(|candidate| {
                candidate.gain >= rules.min_gain
                    && allocation
                        .free(candidate.server)
                        .admits(allocation.memory_mib(vm))
            });
        assert_eq!(could, None, "{vm:?}");
    }
}

#[test]
fn settles_in_a_local_optimum() {
    let snapshot = snapshot();
    for kind in PolicyKind::ALL {
        for target_choice in [TargetChoice::FirstFit, TargetChoice::BestFit] {
            for migration_cost in [MigrationCost::ZERO, MigrationCost::RelativeToVm(0.3)] {
                let rules = Rules {
                    migration_cost,
                    target_choice,
                    min_gain: 0.0,
                };
                let policy = kind.build();
                let outcome = run(&snapshot, policy.as_ref(), rules, RunLimits::default());
                assert_eq!(outcome.ended, Ended::Settled);
                assert!(
                    outcome.final_cost < 0.7 * outcome.initial_cost,
                    "{kind} {rules:?}"
                );
            }
        }
    }
}

#[test]
fn limits_end_a_run() {
    let snapshot = snapshot();
    let policy = PolicyKind::RoundRobin.build();
    let free = run(
        &snapshot,
        policy.as_ref(),
        Rules::default(),
        RunLimits::default(),
    );
    let check = |max_migrations, max_rounds, ended, migrations: usize, rounds| {
        let limits = RunLimits {
            max_migrations,
            max_rounds,
        };
        let outcome = run(&snapshot, policy.as_ref(), Rules::default(), limits);
        assert_eq!(
            (outcome.ended, outcome.rounds),
            (ended, rounds),
            "{limits:?}"
        );
        assert_eq!(
            outcome.migrations,
            free.migrations[..migrations],
            "{limits:?}"
        );
    };
    let (all, rounds) = (free.migrations.len(), free.rounds);
    let in_first_round = free.migrations.iter().filter(|m| m.step <= 200).count();
    assert!(in_first_round > 3 && in_first_round < all);
    check(Some(0), None, Ended::MigrationLimit, 0, 0);
    check(Some(3), None, Ended::MigrationLimit, 3, 1);
    check(
        Some(all as u64),
        None,
        Ended::MigrationLimit,
        all,
        free.migrations[all - 1].step.div_ceil(200),
    );
    check(Some(all as u64 + 1), None, Ended::Settled, all, rounds);
    check(None, Some(0), Ended::RoundLimit, 0, 0);
    check(None, Some(1), Ended::RoundLimit, in_first_round, 1);
    check(None, Some(rounds), Ended::Settled, all, rounds);
}

#[test]
fn a_least_gain_holds_migrations_back() {
    let snapshot = snapshot();
    for kind in PolicyKind::ALL {
        let policy = kind.build();
        let count = |min_gain| {
            let rules = Rules {
                min_gain,
                ..Rules::default()
            };
            run(&snapshot, policy.as_ref(), rules, RunLimits::default())
                .migrations
                .len()
        };
        assert!(count(0.0) > count(1e7) && count(1e7) > 0);
        assert_eq!(count(1e15), 0);
    }
}

/// Like Algorithm 1, but ends its rounds before the VMs whose traffic stays in their rack.
#[derive(Debug)]
struct AboveRacks;

impl PassingPolicy for AboveRacks {
    fn code(&self) -> u8 {
        200
    }
    fn name(&self) -> &str {
        "above-racks"
    }
    fn slot_kind(&self) -> SlotKind {
        SlotKind::Basic
    }
    fn ascending(&self) -> bool {
        true
    }
    fn statistic(&self, _: &VisitReport) -> Option<Statistic> {
        None
    }
    fn begin_round(&self, token: &mut Token) -> usize {
        token.first(VisitOrder::Level)
    }
    fn next(&self, token: &mut Token) -> Option<usize> {
        let next = token.following(VisitOrder::Level)?;
        (token.level(next).get() > 0 || token.round() == 0).then_some(next)
    }
}

#[test]
fn a_policy_that_leaves_vms_out_settles_too() {
    let outcome = run(
        &snapshot(),
        &AboveRacks,
        Rules::default(),
        RunLimits {
            max_rounds: Some(100),
            ..RunLimits::default()
        },
    );
    assert_eq!(outcome.ended, Ended::Settled);
    assert!(outcome.migrations.len() > 10);
}

#[test]
fn one_vm_alone_settles_at_once() {
    for placement in [InitialPlacement::Random, InitialPlacement::RackLocal] {
        let snapshot = data_centre(1, placement).generate().unwrap();
        for kind in PolicyKind::ALL {
            let policy = kind.build();
            let outcome = run(
                &snapshot,
                policy.as_ref(),
                Rules::default(),
                RunLimits::default(),
            );
            let numbers = (outcome.token_hops, outcome.rounds, outcome.final_cost);
            assert_eq!(numbers, (1, 1, 0.0));
        }
    }
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let snapshot = snapshot();
    let (model, traffic) = (snapshot.cost_model(), snapshot.traffic());
    let policy = PolicyKind::Global.build();
    let allocation = || snapshot.allocation().clone();
    let refused = |traffic: &TrafficMatrix, rules| {
        Simulation::new(&model, traffic, allocation(), policy.as_ref(), rules)
            .map(drop)
            .unwrap_err()
    };
    let fewer = TrafficMatrix::from_pairs(3, []).unwrap();
    let wanted = SimulationError::OtherVms {
        in_traffic: 3,
        in_allocation: 200,
    };
    assert_eq!(refused(&fewer, Rules::default()), wanted);
    for min_gain in [-1.0, f64::INFINITY] {
        let error = refused(
            traffic,
            Rules {
                min_gain,
                ..Rules::default()
            },
        );
        assert_eq!(error, SimulationError::MinGain(min_gain));
    }
    let other = CanonicalTree::new(&[2, 2, 4], 3).unwrap();
    let other = CostModel::new(LinkWeights::thesis(), other).unwrap();
    let error = Simulation::new(
        &other,
        traffic,
        allocation(),
        policy.as_ref(),
        Rules::default(),
    );
    assert!(matches!(
        error.map(drop),
        Err(SimulationError::OtherServers(_))
    ));
    let empty = data_centre(0, InitialPlacement::Random).generate().unwrap();
    let (model, traffic) = (empty.cost_model(), empty.traffic());
    let error = Simulation::new(
        &model,
        traffic,
        empty.allocation().clone(),
        policy.as_ref(),
        Rules::default(),
    );
    assert_eq!(
        error.map(drop),
        Err(SimulationError::Slots(SlotsError::Empty))
    );
}

/// A VM that talks to all others, on as many servers: its own hops may take long, the others' must not.
#[test]
fn a_hub_makes_nothing_quadratic() {
    let snapshot = DataCentre {
        vms: 20_000,
        ..DataCentre::thesis(InitialPlacement::Random, 3)
    };
    let snapshot = snapshot.generate().unwrap();
    let hub = VmIndex::new(7);
    let spokes = (0..20_000).map(VmIndex::new).filter(|vm| *vm != hub);
    let rate = s_core_model::Rate::new(1000.0).unwrap();
    let pairs = snapshot
        .traffic()
        .pairs()
        .chain(spokes.map(|vm| (hub, vm, rate)));
    let traffic = TrafficMatrix::from_pairs(20_000, pairs).unwrap();
    for kind in PolicyKind::ALL {
        let (model, policy) = (snapshot.cost_model(), kind.build());
        let allocation = snapshot.allocation().clone();
        let mut simulation = Simulation::new(
            &model,
            &traffic,
            allocation,
            policy.as_ref(),
            Rules::default(),
        )
        .unwrap();
        let outcome = simulation.run_until_settled(RunLimits::default());
        assert_eq!(outcome.ended, Ended::Settled);
        // A quadratic step of 20,000 VMs would take minutes in this unoptimised build.
        assert!(
            outcome.cpu_time.as_secs() < 20,
            "{kind}: {:?}",
            outcome.cpu_time
        );
    }
}
