//! A study of a made-up data centre: real runs of all policies.

use s_core_model::{Allocation, LinkWeights, MigrationCost};
use s_core_sim::measure::{CostCurve, CostPoint, Gauge};
use s_core_sim::report::study::{
    MigrationCostCurve, MigrationCostPoint, Run, Scenario, Study, TrafficMoment,
};
use s_core_sim::{DataCentre, Instance, Outcome, Rules, RunLimits, Simulation, Stability};
use s_core_token::PolicyKind;

/// Runs of all policies on this data centre, and stand-ins for references and other systems.
pub(crate) fn study(data_centre: &DataCentre) -> Study {
    Study {
        title: "S-CORE on a made-up data centre".into(),
        facts: vec![
            ("Command".into(), "simulate --vms <many> & more".into()),
            ("Seed".into(), data_centre.seed.to_string()),
            ("VMs".into(), data_centre.vms.to_string()),
        ],
        partial: None,
        scenarios: vec![scenario(data_centre)],
    }
}

fn scenario(data_centre: &DataCentre) -> Scenario {
    let snapshot = data_centre.generate().unwrap();
    let model = snapshot.cost_model();
    let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation()).unwrap();
    let gauge = Gauge::new(&instance);
    let before = snapshot.allocation();

    let run_once = |kind: PolicyKind, migration_cost, rounds| {
        let policy = kind.build();
        let rules = Rules {
            migration_cost,
            ..Rules::default()
        };
        let mut simulation = Simulation::new(
            &model,
            snapshot.traffic(),
            before.clone(),
            policy.as_ref(),
            rules,
        )
        .unwrap();
        let outcome = simulation.run_until_settled(RunLimits {
            max_rounds: rounds,
            ..RunLimits::default()
        });
        (outcome, simulation.allocation().clone())
    };
    let policy_run = |kind: PolicyKind| {
        let (outcome, after) = run_once(kind, MigrationCost::ZERO, None);
        let moment = |when: &str, allocation: &Allocation| TrafficMoment {
            when: when.into(),
            traffic: gauge.rack_traffic(allocation, 256).unwrap(),
        };
        let shown = kind == PolicyKind::Distributed;
        let traffic = shown.then(|| {
            let (_, early) = run_once(kind, MigrationCost::ZERO, Some(5));
            vec![
                moment("after 5 rounds", &early),
                moment("in the end", &after),
            ]
        });
        Run {
            name: kind.name().into(),
            after: gauge.placement(&after),
            migrations: outcome.migrations.len() as u64,
            moved: before
                .vms()
                .filter(|vm| before.host(*vm) != after.host(*vm))
                .count() as u64,
            migrations_per_vm: Stability::new(&outcome.migrations, before.vm_count(), 0)
                .vms_by_migrations,
            token_hops: Some(outcome.token_hops),
            rounds: Some(outcome.rounds),
            // Measured time would make each report another one.
            cpu_seconds: 0.25,
            curve: curve(&outcome),
            traffic: traffic.unwrap_or_default(),
            ..Run::default()
        }
    };
    let policies: Vec<_> = PolicyKind::ALL.into_iter().map(policy_run).collect();
    let stand_in = |name: &str, share: f64| {
        let mut run = policies[0].clone();
        run.after.cost *= share;
        run.after
            .link_loads
            .iter_mut()
            .for_each(|load| *load *= share);
        run.after.racks.as_mut().unwrap().idle += 1;
        (run.token_hops, run.rounds, run.migrations_per_vm) = (None, None, Vec::new());
        Run {
            name: name.into(),
            curve: CostCurve::default(),
            ..run
        }
    };
    let relative = |fraction| {
        let cost = MigrationCost::RelativeToVm(fraction);
        let (outcome, _) = run_once(PolicyKind::Distributed, cost, None);
        point(fraction, &outcome)
    };
    let mean = instance.cost() / before.vm_count() as f64;
    let absolute = |multiple: f64| {
        let (outcome, _) = run_once(
            PolicyKind::Distributed,
            MigrationCost::Absolute(multiple * mean),
            None,
        );
        point(multiple * mean, &outcome)
    };
    let curve = |form: &str, points| MigrationCostCurve {
        form: form.into(),
        policy: PolicyKind::Distributed.name().into(),
        points,
    };
    let fractions = [0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0];
    let multiples = [0.0, 0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0];
    Scenario {
        title: "VMs at random".into(),
        description: format!(
            "{} VMs on {} servers, link weights {:?}.",
            before.vm_count(),
            before.server_count(),
            LinkWeights::new(data_centre.link_weights.clone())
                .unwrap()
                .iter()
                .collect::<Vec<_>>()
        ),
        times: "a hop takes 10 ms, a migration 3 s".into(),
        before: gauge.placement(before),
        traffic_before: gauge.rack_traffic(before, 256),
        references: vec![stand_in("multilevel", 0.12), stand_in("genetic", 0.3)],
        peers: vec![
            stand_in("Starling", 1.4),
            stand_in("Remedy", 4.5),
            stand_in("traffic-aware placement", 1.1),
        ],
        policies,
        migration_costs: vec![
            curve(
                "c_m, fraction of the VM's own cost",
                fractions.map(relative).to_vec(),
            ),
            curve("c_m, absolute", multiples.map(absolute).to_vec()),
        ],
    }
}

/// A hop takes a hundredth of a second here, and a migration three seconds.
fn curve(outcome: &Outcome) -> CostCurve {
    let at = |hops: u64, migrations: usize, cost| CostPoint {
        hops,
        seconds: Some(hops as f64 * 0.01 + migrations as f64 * 3.0),
        cost,
    };
    let points = (outcome.migrations.iter().enumerate())
        .map(|(before, migration)| at(migration.step, before + 1, migration.total_cost));
    let end = at(
        outcome.token_hops,
        outcome.migrations.len(),
        outcome.final_cost,
    );
    CostCurve::new(at(0, 0, outcome.initial_cost), points, end, 1000)
}

fn point(migration_cost: f64, outcome: &Outcome) -> MigrationCostPoint {
    MigrationCostPoint {
        migration_cost,
        reduction: 1.0 - outcome.final_cost / outcome.initial_cost,
        migrations: outcome.migrations.len() as u64,
    }
}
