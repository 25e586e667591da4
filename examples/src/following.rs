//! A run of agents as its users see it: what happens, a line each, and the result as files.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use s_core_lab::HostNumber;
use s_core_lab::run::{Course, Heard, Homes, Migration, Said, Sample, Watcher};
use s_core_model::{ServerId, VmId};
use s_core_sim::result::{MigrationRow, ResultDir, RunResult, Summary};
use s_core_sim::snapshot::Snapshot;
use s_core_token::PolicyKind;

use crate::Failure;
use crate::cli::{count, print, reduction_percent, si};
use crate::watch::Interrupt;

/// The directory of the snapshot in that of the result.
const SNAPSHOT: &str = "snapshot";
/// How often the cost is shown where nobody looks at it now.
const IN_A_FILE: Duration = Duration::from_secs(10);

/// Shows what happens, a line each.
#[derive(Debug)]
pub struct View {
    interrupt: Interrupt,
    first: Option<f64>,
    /// When the cost was shown last.
    shown: Option<Duration>,
    /// What hosts and VMs are called, if their places are to be shown.
    names: Option<Names>,
}

/// What hosts and VMs are called.
#[derive(Debug)]
struct Names {
    servers: BTreeMap<ServerId, String>,
    vms: BTreeMap<VmId, String>,
}

impl View {
    /// A view of a run that this ends.
    pub const fn new(interrupt: Interrupt) -> Self {
        Self {
            interrupt,
            first: None,
            shown: None,
            names: None,
        }
    }

    /// Shows also which VMs are where, by these names, whenever that changes.
    pub fn with_places(
        self,
        servers: impl IntoIterator<Item = (ServerId, String)>,
        vms: impl IntoIterator<Item = (VmId, String)>,
    ) -> Self {
        let names = Names {
            servers: servers.into_iter().collect(),
            vms: vms.into_iter().collect(),
        };
        Self {
            names: Some(names),
            ..self
        }
    }
}

impl Names {
    /// `xen1: v1 v3   xen2: v2`.
    fn places(&self, homes: &Homes) -> String {
        let places = self.servers.iter().map(|(server, name)| {
            let vms = homes.iter().filter(|(_, home)| *home == server);
            let vms: Vec<_> = vms
                .map(|(vm, _)| self.vms.get(vm).map_or("?", String::as_str))
                .collect();
            format!("{name}: {}", vms.join(" "))
        });
        let places: Vec<_> = places.collect();
        places.join("   ")
    }
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

    fn lost(&mut self, host: HostNumber, why: &str) {
        say(&format!(
            "the agent of host {} has ended by itself: {why}; the others go on without it",
            host.0
        ));
    }

    fn placed(&mut self, homes: &Homes) {
        if let Some(names) = &self.names {
            say(&names.places(homes));
        }
    }

    fn ending(&mut self) {
        say("ending: the agents finish what they have begun (Ctrl-C now: at once)");
    }

    fn is_stopped(&self) -> bool {
        self.interrupt.is_caught()
    }

    fn sample(&mut self, sample: &Sample) {
        let first = *self.first.get_or_insert(sample.cost);
        let per_cent = 100.0 * sample.cost / first.max(f64::MIN_POSITIVE);
        // Once a second is too often for a file.
        let next = self.shown.map_or(Duration::ZERO, |shown| shown + IN_A_FILE);
        if std::io::stdout().is_terminal() || sample.at >= next {
            self.shown = Some(sample.at);
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

/// What came of a run, in a few lines.
pub fn summary(course: &Course) -> String {
    let reduction = |cost| reduction_percent(course.initial_cost, cost);
    let settled = if course.settled {
        "settled"
    } else {
        "ended before the cost had settled"
    };
    let mut text = format!(
        "{settled}: cost {} to {} (-{:.1} %) with {}, {} failed; the planner's: {} (-{:.1} %) with {}\n",
        si(course.initial_cost),
        si(course.final_cost),
        reduction(course.final_cost),
        count(course.migrations.len() as u64, "migration"),
        course.failed,
        si(course.planned_cost),
        reduction(course.planned_cost),
        course.planned_migrations,
    );
    for agent in &course.lost {
        let at = agent.at.as_secs_f64();
        text += &format!(
            "fault: the agent of host {} ended after {at:.0} s\n",
            agent.host.0
        );
    }
    for warning in &course.warnings {
        text += &format!("warning: {warning}\n");
    }
    text
}

/// Where the result of a run goes: a report, placement and migrations, and a snapshot of the beginning with the true rates.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    result: ResultDir,
}

impl RunDir {
    /// Looks whether it can be written there, before the run.
    ///
    /// # Errors
    ///
    /// [`Failure::Failed`] if not.
    pub fn new(path: PathBuf) -> Result<Self, Failure> {
        Snapshot::check_target(path.join(SNAPSHOT))?;
        let result = ResultDir::new(&path)?;
        Ok(Self { path, result })
    }

    /// Writes it. `kind` is what the place of the run is called.
    ///
    /// # Errors
    ///
    /// [`Failure::Failed`] if it cannot be.
    pub fn write(
        &self,
        course: &Course,
        policy: PolicyKind,
        seed: u64,
        kind: &str,
    ) -> Result<(), Failure> {
        if let Some(snapshot) = &course.snapshot {
            snapshot.write(self.path.join(SNAPSHOT))?;
        }
        self.result.write(&result(course, policy, seed))?;
        let facts = facts(course, policy, kind);
        course.document(facts).write(&self.path)?;
        let report = self.path.join("report.html");
        print(&format!("report: {}\n", report.display()))
    }
}

fn facts(course: &Course, policy: PolicyKind, kind: &str) -> Vec<(String, String)> {
    let layout = &course.layout;
    let shape = layout.shape();
    let fan_out: Vec<_> = shape.fan_out.iter().map(u16::to_string).collect();
    vec![
        ("Policy".into(), policy.name().into()),
        (
            kind.into(),
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
    let row = |migration: &Migration| MigrationRow {
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
