//! `plan`: reads a snapshot of a data centre and prints the migrations that S-CORE recommends.

mod args;
mod commands;
mod explain;
mod plan;
mod report;

use std::process::ExitCode;

use s_core_examples::cli::print;
use s_core_examples::{Failure, run};
use s_core_sim::result::ResultDir;
use s_core_sim::snapshot::{Snapshot, VMS_FILE};

use args::Args;
use plan::Plan;

fn main() -> ExitCode {
    run(recommend)
}

fn recommend() -> Result<(), Failure> {
    let args = Args::parse_checked();
    let out = args.out.as_ref().map(ResultDir::new).transpose()?;
    let snapshot = Snapshot::read(&args.snapshot)?;
    if snapshot.allocation().vm_count() == 0 {
        let file = args.snapshot.join(VMS_FILE);
        return Err(Failure::failed(format!(
            "{}: lists no VM, so there is nothing to plan; add the VMs",
            file.display()
        )));
    }
    let rules = args.rules(&snapshot);
    let explained = args.explain.as_deref();
    let explained = explained
        .map(|vm| explain::find(&snapshot, vm))
        .transpose()?;
    let kinds = args.policy.kinds().into_iter();
    let plans = kinds.map(|kind| Plan::make(&snapshot, kind, rules, args.limits(&snapshot)));
    let plans = plans.collect::<Result<Vec<_>, _>>()?;
    if let Some(out) = out {
        match plans.as_slice() {
            [plan] => out.write(&plan.to_result())?,
            plans => out.write_all(&plans.iter().map(Plan::to_result).collect::<Vec<_>>())?,
        }
    }
    print(&match plans.as_slice() {
        [plan] if let Some(vm) = explained => {
            let explanation = explain::explain(&snapshot, vm, rules, plan);
            if args.json {
                report::json(&explanation)?
            } else {
                explanation.to_text()
            }
        }
        [plan] if args.commands => commands::commands(&snapshot, plan),
        [plan] if args.json => report::json(&plan.to_json(&snapshot))?,
        [plan] => report::plan(&snapshot, plan),
        plans if args.json => {
            let plans: Vec<_> = plans.iter().map(|plan| plan.to_json(&snapshot)).collect();
            report::json(&plans)?
        }
        plans => report::comparison(plans),
    })
}
