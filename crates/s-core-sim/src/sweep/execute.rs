//! Doing one run.

use std::time::Duration;

use s_core_model::Allocation;
use s_core_topology::LocationTable;

use super::report::{Executed, ResultFiles, RunReport};
use super::{Method, RunSpec, StrategyName, TokenRun, strategies};
use crate::result::ProposalResult;
use crate::snapshot::Snapshot;
use crate::{Ended, Instance, Rules, RunLimits, Simulation, StrategyError, Watch};

/// Does a run on its data centre, until its own end or until `watch` stops it.
pub(super) fn execute(
    run: &RunSpec,
    snapshot: &Snapshot,
    watch: &dyn Watch,
) -> Result<Executed, StrategyError> {
    let model = snapshot.cost_model();
    let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation())?;
    match run.method {
        Method::Token(token) => pass_token(run, token, &instance, watch),
        Method::Strategy(name) => propose(run, name, &instance, watch),
    }
}

/// Passes the token round by round, as between two rounds a run can be stopped.
fn pass_token(
    run: &RunSpec,
    token: TokenRun,
    instance: &Instance<'_, &LocationTable>,
    watch: &dyn Watch,
) -> Result<Executed, StrategyError> {
    let policy = token.policy.build();
    let mut simulation = Simulation::new(
        instance.model(),
        instance.traffic(),
        instance.allocation().clone(),
        policy.as_ref(),
        Rules {
            migration_cost: token.migration_cost.of(instance),
            target_choice: token.target_choice,
            min_gain: 0.0,
        },
    )?;
    let (mut migrations, mut cpu_time, mut round) = (Vec::new(), Duration::ZERO, 0);
    let (mut outcome, complete) = loop {
        round += 1;
        let mut outcome = simulation.run_until_settled(RunLimits {
            max_migrations: None,
            max_rounds: Some(round),
        });
        migrations.append(&mut outcome.migrations);
        cpu_time += outcome.cpu_time;
        let complete = outcome.ended == Ended::Settled || token.max_rounds == Some(round);
        if complete || watch.is_stopped() {
            break (outcome, complete);
        }
    };
    outcome.migrations = migrations;
    outcome.cpu_time = cpu_time;
    let after = simulation.allocation();
    let seed = Some(run.data_centre.seed);
    let mut result = outcome.to_result(token.policy, seed, after);
    result.summary.complete = complete;
    Ok(Executed {
        report: RunReport {
            run: run.clone(),
            complete,
            initial_cost: outcome.initial_cost,
            final_cost: outcome.final_cost,
            migrations: outcome.migrations.len() as u64,
            vms_moved: moved(instance.allocation(), after),
            token_hops: outcome.token_hops,
            rounds: outcome.rounds,
            seconds: cpu_time.as_secs_f64(),
        },
        result: ResultFiles::Token(result),
    })
}

/// How many VMs are elsewhere.
fn moved(before: &Allocation, after: &Allocation) -> u64 {
    let moved = |vm: &_| before.host(*vm) != after.host(*vm);
    before.vms().filter(moved).count() as u64
}

fn propose(
    run: &RunSpec,
    name: StrategyName,
    instance: &Instance<'_, &LocationTable>,
    watch: &dyn Watch,
) -> Result<Executed, StrategyError> {
    let strategy = strategies::build(name, run.data_centre.seed)
        .expect("a sweep with a strategy that is not available is refused");
    let proposal = strategy.run(instance, watch)?;
    let allocation = &proposal.allocation;
    let place = |vm| {
        (
            allocation.vm_at(vm),
            allocation.server_at(allocation.host(vm)),
        )
    };
    let (initial_cost, seconds) = (instance.cost(), proposal.cpu_time.as_secs_f64());
    Ok(Executed {
        report: RunReport {
            run: run.clone(),
            complete: proposal.complete,
            initial_cost,
            final_cost: proposal.cost,
            migrations: proposal.migrations.len() as u64,
            vms_moved: proposal.moved as u64,
            token_hops: 0,
            rounds: 0,
            seconds,
        },
        result: ResultFiles::Strategy(ProposalResult {
            strategy: name.name().into(),
            initial_cost,
            final_cost: proposal.cost,
            moved: proposal.moved,
            seconds,
            seed: Some(run.data_centre.seed),
            complete: proposal.complete,
            placement: allocation.vms().map(place).collect(),
        }),
    })
}
