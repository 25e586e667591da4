//! `simulate` alone: one data centre.

use std::path::{Path, PathBuf};

use s_core_examples::Failure;
use s_core_examples::cli::print;
use s_core_examples::watch::{Bars, Interrupt};
use s_core_sim::chapter5::{Changing, Chapter5, DynamicError, Findings, Watches};
use s_core_sim::report::study::{Scenario, Study};
use s_core_sim::result::{REPORT_FILE, ResultDir};
use s_core_sim::snapshot::Snapshot;
use s_core_sim::{DataCentre, InitialPlacement, RunLimits, StrategyName, Watch};

use crate::args::RunArgs;
use crate::report;

/// Where the report of a call without options goes.
const DEFAULT_OUT: &str = "simulation-report";

/// Does what the command says.
pub(crate) fn simulate(args: &RunArgs) -> Result<(), Failure> {
    // A call without any option.
    let plain = std::env::args_os().len() == 1;
    let study = args.study || plain;
    args.check(study)?;
    let out = (args.out.clone()).or_else(|| plain.then(|| PathBuf::from(DEFAULT_OUT)));
    let dir = out.as_ref().map(ResultDir::new).transpose()?;
    if let Some(out) = &out {
        Study::check_target(out)?;
    }
    if let Some(dir) = &args.write_snapshot {
        Snapshot::check_target(dir)?;
    }
    let snapshot = args.data_centre.snapshot()?;
    if let Some(dir) = &args.write_snapshot {
        snapshot.write(dir)?;
    }
    let interrupt = Interrupt::catch()?;
    let bars = Bars::new(&interrupt);
    let watches = |name: &str| -> Box<dyn Watch> { Box::new(bars.add(name)) };
    let chapter = chapter(args, study, &snapshot);
    let made_up = args.data_centre.made_up()?;
    let mut findings = chapter.run(&title(made_up.as_ref()), &snapshot, &watches)?;
    print(&report::report(&snapshot, &findings))?;
    let mut scenarios = vec![std::mem::take(&mut findings.scenario)];
    if let (true, Some(data_centre)) = (study, made_up) {
        other_scenarios(args, &data_centre, &interrupt, &watches, &mut scenarios)?;
    }
    let partial = !findings.is_complete() || interrupt.is_caught();
    if let (Some(dir), Some(path)) = (dir, &out) {
        write(&dir, path, &snapshot, &findings, scenarios, partial)?;
        print(&format!("\nreport: {}\n", path.join(REPORT_FILE).display()))?;
    }
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
        seed: args.seed_used(study),
        timing: args.timing,
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

/// The same data centre with the other placement, and with traffic that changes; what is interrupted before it begins is
/// left out.
fn other_scenarios(
    args: &RunArgs,
    data_centre: &DataCentre,
    interrupt: &Interrupt,
    watches: &Watches<'_>,
    scenarios: &mut Vec<Scenario>,
) -> Result<(), Failure> {
    if interrupt.is_caught() {
        return Ok(());
    }
    let other = DataCentre {
        placement: match data_centre.placement {
            InitialPlacement::Random => InitialPlacement::RackLocal,
            InitialPlacement::RackLocal => InitialPlacement::Random,
        },
        ..data_centre.clone()
    };
    let snapshot = other.generate()?;
    let policies = chapter(args, false, &snapshot);
    let policies = Chapter5 {
        references: Vec::new(),
        peers: Vec::new(),
        ..policies
    };
    let found = policies.run(&title(Some(&other)), &snapshot, watches)?;
    scenarios.push(found.scenario);
    if interrupt.is_caught() {
        return Ok(());
    }
    let chapter = Chapter5 {
        references: vec![StrategyName::Multilevel.build(data_centre.seed)],
        ..policies
    };
    let changing = Changing::of_vms(data_centre.vms);
    let changing = chapter.run_changing("Traffic that changes", data_centre, changing, watches);
    let changing = changing.map_err(|error| match error {
        DynamicError::Generate(error) => error.into(),
        error => Failure::failed(error),
    })?;
    scenarios.push(changing);
    Ok(())
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
