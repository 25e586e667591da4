//! `lab run`: agents at work, and the cost as it falls.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use s_core_agent::on_termination;
use s_core_examples::Failure;
use s_core_examples::cli::{count, print, reduction_percent, si};
use s_core_lab::run::{
    AgentProgram, AgentSettings, Course, Heard, RunSettings, Said, Sample, Watcher,
};
use s_core_lab::traffic::TrafficSettings;
use s_core_lab::{LabName, Layout, load, up};
use s_core_sim::result::{MigrationRow, ResultDir, RunResult, Summary};
use s_core_sim::snapshot::Snapshot;
use s_core_token::PolicyKind;

use crate::args::ShapeArgs;
use crate::traffic::{PairsArgs, Plan};

/// The directory of the snapshot in that of the result.
const SNAPSHOT: &str = "snapshot";

/// `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Whose turn it is: round-robin, global, distributed or load-aware
    #[arg(long, default_value = "distributed")]
    policy: PolicyKind,
    /// Have requests for a VM's host sent to the VM's address, and intercepted at its bridge (thesis 4.2.3)
    #[arg(long)]
    interception: bool,
    /// After so many seconds the run ends though the cost has not settled
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// How long the traffic is watched before the agents start, and again after the cost has settled, in seconds
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    rest: u32,
    /// How far back measured rates look, in seconds
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(4..=3600))]
    window: u32,
    /// Write a report, the result and a snapshot with the true rates there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    pairs: PairsArgs,
    #[command(flatten)]
    shape: ShapeArgs,
}

/// Has agents work in a laboratory, which is made if it is not there; it stays.
pub(crate) fn run(name: LabName, args: RunArgs) -> Result<(), Failure> {
    let layout = match load(&name) {
        Ok(layout) => layout,
        Err(_) => {
            let layout = Layout::new(name, args.shape.into()).map_err(Failure::usage)?;
            up(&layout)?;
            layout
        }
    };
    let target = args.out.as_ref().map(|out| {
        Snapshot::check_target(out.join(SNAPSHOT))?;
        Ok::<_, Failure>((ResultDir::new(out)?, out.clone()))
    });
    let target = target.transpose()?;
    let seconds = |n: u32| Duration::from_secs(n.into());
    let settings = RunSettings {
        agents: AgentSettings {
            policy: args.policy,
            interception: args.interception,
            window: seconds(args.window),
            ..AgentSettings::default()
        },
        pairs: Plan::new(&layout, &args.pairs, None)?.pairs(0)?,
        traffic: TrafficSettings {
            seed: args.pairs.seed,
            limit: Duration::from_secs(2 * 86_400),
            ..TrafficSettings::default()
        },
        rest: seconds(args.rest),
        limit: seconds(args.seconds),
    };
    let program = AgentProgram {
        path: std::env::current_exe()?,
        arguments: ["agent", "--name", layout.name().as_str()]
            .map(Into::into)
            .into(),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    on_termination(move |_| raised.store(true, Ordering::SeqCst))?;
    print(&format!(
        "{} and {}, {} exchange data; the agents start in {} s.\n",
        count(layout.hosts().count() as u64, "host"),
        count(layout.vms().count() as u64, "VM"),
        count(settings.pairs.len() as u64, "pair"),
        args.rest
    ))?;
    let mut view = View::default();
    let course = s_core_lab::run::run(&layout, &settings, program, &mut view, &stop)?;
    print(&summary(&course))?;
    let Some((dir, out)) = target else {
        return Ok(());
    };
    if let Some(snapshot) = &course.snapshot {
        snapshot.write(out.join(SNAPSHOT))?;
    }
    dir.write(&result(&course, args.policy, args.pairs.seed))?;
    course.document(facts(&course, args.policy)).write(&out)?;
    print(&format!("report: {}\n", out.join("report.html").display()))
}

/// Shows what happens, a line each.
#[derive(Debug, Default)]
struct View {
    first: Option<f64>,
}

impl Watcher for View {
    fn heard(&mut self, heard: &Heard) {
        let line = match &heard.said {
            Some(Said::Minted { vms }) => {
                format!("a token was made for {}", count(*vms as u64, "VM"))
            }
            Some(Said::Migrated {
                vm, source, target, ..
            }) => format!("{vm} has migrated from {source} to {target}"),
            Some(Said::NotMoved { vm, target, why }) => {
                format!("{vm} has not migrated to {target}: {why}")
            }
            Some(Said::RoundEnded {
                round, migrations, ..
            }) => format!(
                "round {} has ended: {}",
                round + 1,
                count((*migrations).into(), "migration")
            ),
            _ => return,
        };
        say(&line);
    }

    fn sample(&mut self, sample: &Sample) {
        let first = *self.first.get_or_insert(sample.cost);
        let per_cent = 100.0 * sample.cost / first.max(f64::MIN_POSITIVE);
        // Once a second is too often for a file.
        if std::io::stdout().is_terminal() || sample.at.as_secs().is_multiple_of(10) {
            say(&format!(
                "{:>5.0} s  cost {} ({per_cent:.0} %), {}",
                sample.at.as_secs_f64(),
                si(sample.cost),
                count(sample.migrations as u64, "migration"),
            ));
        }
    }
}

/// Whoever reads it may have gone; the run goes on.
fn say(line: &str) {
    let _ = print(&format!("{line}\n"));
}

fn summary(course: &Course) -> String {
    let reduction = |cost| reduction_percent(course.initial_cost, cost);
    let settled = if course.settled {
        "settled"
    } else {
        "ended before the cost had settled"
    };
    format!(
        "{settled}: cost {} to {} (-{:.1} %) with {}, {} failed; the planner's: {} (-{:.1} %) with {}\n",
        si(course.initial_cost),
        si(course.final_cost),
        reduction(course.final_cost),
        count(course.migrations.len() as u64, "migration"),
        course.failed,
        si(course.planned_cost),
        reduction(course.planned_cost),
        course.planned_migrations,
    )
}

fn facts(course: &Course, policy: PolicyKind) -> Vec<(String, String)> {
    let layout = &course.layout;
    let shape = layout.shape();
    let fan_out: Vec<_> = shape.fan_out.iter().map(u16::to_string).collect();
    vec![
        ("Policy".into(), policy.name().into()),
        (
            "Laboratory".into(),
            format!(
                "{}, {} of {} MiB, fan-out {}, {} Mbit/s per host, over-subscription {}",
                count(shape.hosts.into(), "host"),
                count(layout.vms().count() as u64, "VM"),
                shape.vm_memory_mib,
                fan_out.join(" × "),
                shape.host_mbit,
                shape.over_subscription
            ),
        ),
    ]
}

fn result(course: &Course, policy: PolicyKind, seed: u64) -> RunResult {
    let row = |migration: &s_core_lab::run::Migration| MigrationRow {
        step: migration.hop,
        vm: migration.vm,
        source: migration.source,
        target: migration.target,
        gain: migration.gain,
        total_cost: course.cost_at(migration.ended),
    };
    RunResult {
        summary: Summary {
            policy,
            initial_cost: course.initial_cost,
            final_cost: course.final_cost,
            token_hops: course.hops,
            rounds: course.rounds.len() as u64,
            seconds: course.agents_seconds,
            seed: Some(seed),
            complete: course.settled,
            reference: None,
        },
        placement: course
            .homes
            .iter()
            .map(|(vm, server)| (*vm, *server))
            .collect(),
        migrations: course.migrations.iter().map(row).collect(),
    }
}
