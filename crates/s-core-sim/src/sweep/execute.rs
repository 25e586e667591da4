//! Doing one run.

use std::num::NonZeroUsize;

use s_core_topology::LocationTable;

use super::report::{Executed, ResultFiles, RunReport};
use super::{Method, RunSpec, TokenRun};
use crate::result::ProposalResult;
use crate::snapshot::Snapshot;
use crate::strategy::moved;
use crate::{AnyStrategy, Instance, Rules, RunLimits, Simulation, StrategyError, Watch};

/// Does a run on its data centre, with at most so many threads, until its own end or until `watch` stops it.
pub(super) fn execute(
    run: &RunSpec,
    snapshot: &Snapshot,
    threads: NonZeroUsize,
    watch: &dyn Watch,
) -> Result<Executed, StrategyError> {
    let model = snapshot.cost_model();
    let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation())?;
    match run.method {
        Method::Token(token) => pass_token(run, token, &instance, watch),
        Method::Strategy(strategy) => {
            let strategy = strategy.build(run.data_centre.seed, threads);
            propose(run, &*strategy, &instance, watch)
        }
    }
}

/// Passes the token.
fn pass_token(
    run: &RunSpec,
    token: TokenRun,
    instance: &Instance<'_, &LocationTable>,
    watch: &dyn Watch,
) -> Result<Executed, StrategyError> {
    let policy = token.policy.build();
    let simulation = Simulation::new(
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
    let mut simulation = simulation.with_start(token.start);
    let limits = RunLimits {
        max_migrations: None,
        max_rounds: token.max_rounds,
    };
    let (outcome, complete) = simulation.run_watched(limits, watch, |_, _| {});
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
            vms_moved: moved(instance.allocation(), after) as u64,
            token_hops: outcome.token_hops,
            rounds: outcome.rounds,
            seconds: outcome.cpu_time.as_secs_f64(),
        },
        result: ResultFiles::Token(result),
    })
}

fn propose(
    run: &RunSpec,
    strategy: &AnyStrategy,
    instance: &Instance<'_, &LocationTable>,
    watch: &dyn Watch,
) -> Result<Executed, StrategyError> {
    let proposal = strategy.run(instance, watch)?;
    let seed = Some(run.data_centre.seed);
    let result = ProposalResult::new(strategy.name(), instance.cost(), &proposal, seed);
    Ok(Executed {
        report: RunReport {
            run: run.clone(),
            complete: proposal.complete,
            initial_cost: result.initial_cost,
            final_cost: proposal.cost,
            migrations: proposal.migrations.len() as u64,
            vms_moved: proposal.moved as u64,
            token_hops: 0,
            rounds: 0,
            seconds: result.seconds,
        },
        result: ResultFiles::Strategy(result),
    })
}
