//! `simulate`: runs the token over a data centre, made up after chapter 5 or read from a snapshot,
//! and compares the passing policies.

mod args;
mod merge;
mod report;
mod sweep;

use std::process::ExitCode;

use clap::Parser;
use s_core_examples::cli::print;
use s_core_examples::{Failure, run};
use s_core_sim::result::{ResultDir, RunResult};
use s_core_sim::snapshot::Snapshot;
use s_core_sim::{Outcome, RunLimits, Simulation};
use s_core_token::PolicyKind;

use args::Args;

/// What one policy did.
pub(crate) struct Run {
    pub(crate) outcome: Outcome,
    pub(crate) result: RunResult,
}

/// The commands beside `simulate` alone.
#[derive(Debug, Parser)]
#[command(name = "simulate", version)]
enum Commands {
    Sweep(sweep::SweepArgs),
    Merge(merge::MergeArgs),
}

fn main() -> ExitCode {
    let first = std::env::args_os().nth(1).unwrap_or_default();
    if first != "sweep" && first != "merge" {
        return run(simulate);
    }
    run(|| match Commands::parse() {
        Commands::Sweep(args) => sweep::sweep(&args),
        Commands::Merge(args) => merge::merge(&args),
    })
}

fn simulate() -> Result<(), Failure> {
    let args = Args::parse_checked();
    let out = args.out.as_ref().map(ResultDir::new).transpose()?;
    let snapshot = args.data_centre()?;
    if let Some(dir) = &args.write_snapshot {
        snapshot.write(dir)?;
    }
    let kinds = args.policy.kinds().into_iter();
    let runs = kinds.map(|kind| run_policy(&snapshot, kind, &args));
    let runs = runs.collect::<Result<Vec<_>, _>>()?;
    if let Some(out) = out {
        match runs.as_slice() {
            [run] => out.write(&run.result)?,
            runs => out.write_all(
                &runs
                    .iter()
                    .map(|run| run.result.clone())
                    .collect::<Vec<_>>(),
            )?,
        }
    }
    print(&report::report(&snapshot, &runs))
}

fn run_policy(snapshot: &Snapshot, kind: PolicyKind, args: &Args) -> Result<Run, Failure> {
    let (model, policy) = (snapshot.cost_model(), kind.build());
    let allocation = snapshot.allocation().clone();
    let rules = args.rules(snapshot);
    let mut simulation = Simulation::new(
        &model,
        snapshot.traffic(),
        allocation,
        policy.as_ref(),
        rules,
    )?;
    let outcome = simulation.run_until_settled(RunLimits::default());
    let result = outcome.to_result(kind, args.seed_used(), simulation.allocation());
    Ok(Run { outcome, result })
}
