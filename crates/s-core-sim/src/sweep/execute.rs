//! Doing one run.

use s_core_model::Allocation;
use s_core_topology::LocationTable;

use super::report::{Executed, ResultFiles, RunReport};
use super::{Method, RunSpec, TokenRun};
use crate::result::ProposalResult;
use crate::snapshot::Snapshot;
use crate::{
    Instance, Rules, RunLimits, Simulation, StrategyError, StrategyName, TokenStart, Watch,
};

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

/// After so many hops the watch is asked, and after each round.
const HOPS_BETWEEN_LOOKS: u64 = 4096;

/// Passes the token, which begins as one that has been round before.
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
    let mut simulation = simulation.with_start(TokenStart::Measured);
    let limits = RunLimits {
        max_migrations: None,
        max_rounds: token.max_rounds,
    };
    let mut hops = 0_u64;
    let (outcome, ended) = simulation.run_while(limits, |_, hop| {
        hops += 1;
        let looks = hop.round_ended || hops.is_multiple_of(HOPS_BETWEEN_LOOKS);
        !looks || !watch.is_stopped()
    });
    let complete = ended.is_some();
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
            seconds: outcome.cpu_time.as_secs_f64(),
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
    let strategy = name.build(run.data_centre.seed);
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
