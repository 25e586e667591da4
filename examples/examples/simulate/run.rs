//! `simulate` alone: one data centre.

use std::path::{Path, PathBuf};

use s_core_examples::Failure;
use s_core_examples::cli::print;
use s_core_examples::watch::{Bar, Interrupt};
use s_core_sim::chapter5::{Changing, Chapter5, DynamicError, Findings};
use s_core_sim::report::study::{Scenario, Study};
use s_core_sim::result::ResultDir;
use s_core_sim::snapshot::Snapshot;
use s_core_sim::{DataCentre, InitialPlacement, RunLimits};

use crate::args::RunArgs;
use crate::report;

/// Where the report of a call without options goes.
const DEFAULT_OUT: &str = "simulation-report";

/// Does what the command says.
pub(crate) fn simulate(args: &RunArgs) -> Result<(), Failure> {
    // A call without any option.
    let plain = std::env::args_os().len() == 1;
    let study = args.study || plain;
    let out = (args.out.clone()).or_else(|| plain.then(|| PathBuf::from(DEFAULT_OUT)));
    let dir = out.as_ref().map(ResultDir::new).transpose()?;
    if let Some(dir) = &args.write_snapshot {
        Snapshot::check_target(dir)?;
    }
    let snapshot = args.data_centre.snapshot()?;
    if let Some(dir) = &args.write_snapshot {
        snapshot.write(dir)?;
    }
    let interrupt = Interrupt::catch()?;
    let chapter = chapter(args, study, &snapshot);
    let title = title(args.data_centre.made_up()?.as_ref());
    let findings = chapter.run(&title, &snapshot, &|name| {
        Box::new(Bar::new(name, &interrupt))
    })?;
    let mut scenarios = vec![findings.scenario.clone()];
    if let (true, Some(data_centre)) = (study, args.data_centre.made_up()?) {
        scenarios.extend(other_scenarios(&chapter, &data_centre, &interrupt)?);
    }
    let partial = !findings.is_complete() || interrupt.is_caught();
    if let (Some(dir), Some(path)) = (dir, &out) {
        write(&dir, path, &snapshot, &findings, scenarios, partial)?;
    }
    print(&report::report(&snapshot, &findings, out.as_deref()))?;
    if partial {
        return Err(Failure::failed(
            "interrupted: what was computed until then is kept, and marked as partial",
        ));
    }
    Ok(())
}

fn chapter(args: &RunArgs, study: bool, snapshot: &Snapshot) -> Chapter5 {
    Chapter5 {
        policies: args.policy.kinds(),
        migration_cost: args
            .migration_cost
            .unwrap_or_else(|| snapshot.migration_cost().into()),
        target_choice: args.target_choice.into(),
        start: args.start.into(),
        limits: RunLimits {
            max_migrations: None,
            max_rounds: args.max_rounds.map(u64::from),
        },
        curves: study,
        references: args.references(study),
        peers: args.peers(study),
        seed: args.data_centre.seed_used(),
        ..Chapter5::default()
    }
}

fn title(made_up: Option<&DataCentre>) -> String {
    match made_up.map(|data_centre| data_centre.placement) {
        None => "The data centre given",
        Some(InitialPlacement::Random) => "VMs placed at random",
        Some(InitialPlacement::RackLocal) => "VMs in their home racks",
    }
    .into()
}

/// The same data centre with the other placement, and with traffic that changes.
fn other_scenarios(
    chapter: &Chapter5,
    data_centre: &DataCentre,
    interrupt: &Interrupt,
) -> Result<Vec<Scenario>, Failure> {
    let watches =
        |name: &str| -> Box<dyn s_core_sim::Watch> { Box::new(Bar::new(name, interrupt)) };
    let other = DataCentre {
        placement: match data_centre.placement {
            InitialPlacement::Random => InitialPlacement::RackLocal,
            InitialPlacement::RackLocal => InitialPlacement::Random,
        },
        ..data_centre.clone()
    };
    let plain = Chapter5 {
        policies: chapter.policies.clone(),
        target_choice: chapter.target_choice,
        start: chapter.start,
        limits: chapter.limits,
        ..Chapter5::default()
    };
    let snapshot = other.generate()?;
    let found = plain.run(&title(Some(&other)), &snapshot, &watches)?;
    let changing = plain.run_changing(
        "Traffic that changes",
        data_centre,
        Changing::of_vms(data_centre.vms),
        &watches,
    );
    let changing = changing.map_err(|error| match error {
        DynamicError::Generate(error) => error.into(),
        error => Failure::failed(error),
    })?;
    Ok(vec![found.scenario, changing])
}

fn write(
    dir: &ResultDir,
    path: &Path,
    snapshot: &Snapshot,
    findings: &Findings,
    scenarios: Vec<Scenario>,
    partial: bool,
) -> Result<(), Failure> {
    match findings.runs.as_slice() {
        [run] => dir.write(run)?,
        runs => dir.write_all(runs)?,
    }
    for proposal in &findings.proposals {
        dir.write_proposal(proposal)?;
    }
    let study = Study {
        title: "S-CORE in a simulated data centre".into(),
        facts: report::facts(snapshot, findings),
        partial: partial.then(|| "the run was interrupted".into()),
        scenarios,
    };
    study.write(path)?;
    Ok(())
}
