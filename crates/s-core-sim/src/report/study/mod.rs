//! Studies: the numbers of runs on one or more data centres, and the report of them.

mod cost;
mod peers;
mod placement;
mod stability;
mod summary;
mod traffic;

use std::borrow::Cow;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::document::{Block, Document, Section};
use super::figure::{Figure, Panel};
use super::write::WriteReportError;
use crate::measure::{CostCurve, PlacementMeasures, RackTraffic};

/// All that a report of chapter 5 is made of. It can be written with serde, and scenarios of several
/// studies be put together in one.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Study {
    /// The report's title.
    pub title: String,
    /// What the report is of, as names and values: command line, seed, version, data centre.
    pub facts: Vec<(String, String)>,
    /// If something is missing because the work was stopped: what.
    pub partial: Option<String>,
    /// What was looked at, one after the other.
    pub scenarios: Vec<Scenario>,
}

/// One data centre with one placement to begin with, and what became of it.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Scenario {
    /// Its name, e.g. "VMs placed at random".
    pub title: String,
    /// What there is to know of it; may be empty.
    pub description: String,
    /// What the seconds of cost curves assume; may be empty.
    pub times: String,
    /// The placement to begin with.
    pub before: PlacementMeasures,
    /// The traffic between racks in the placement to begin with (Fig. 5.1).
    pub traffic_before: Option<RackTraffic>,
    /// Runs of S-CORE's token, one per policy.
    pub policies: Vec<Run>,
    /// Runs of other systems.
    pub peers: Vec<Run>,
    /// Reference optima.
    pub references: Vec<Run>,
    /// What migration costs change (Fig. 5.3).
    pub migration_costs: Vec<MigrationCostCurve>,
}

/// What something that proposes a placement came to.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// The policy, system or reference. Names are different within a scenario.
    pub name: String,
    /// Whether it was stopped before it came to its own end.
    pub stopped: bool,
    /// The placement in the end.
    pub after: PlacementMeasures,
    /// How many migrations were made.
    pub migrations: u64,
    /// How many VMs are on another server in the end.
    pub moved: u64,
    /// [`Stability::vms_by_migrations`](crate::Stability::vms_by_migrations), or nothing.
    pub migrations_per_vm: Vec<u64>,
    /// [`Stability::returns`](crate::Stability::returns).
    pub returns: u64,
    /// [`Stability::oscillations`](crate::Stability::oscillations).
    pub oscillations: u64,
    /// How many times a VM held the token, if there was one.
    pub token_hops: Option<u64>,
    /// How many rounds of the policy were begun, if there was a token.
    pub rounds: Option<u64>,
    /// The CPU time in seconds, of all threads together.
    pub cpu_seconds: f64,
    /// Eq. 3.1 on the way, or nothing.
    pub curve: CostCurve,
    /// The traffic between racks on the way and in the end (Fig. 5.4).
    pub traffic: Vec<TrafficMoment>,
}

/// The traffic between racks at some moment of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrafficMoment {
    /// Which moment, e.g. "after 5 rounds".
    pub when: String,
    /// The traffic.
    pub traffic: RackTraffic,
}

/// How much a policy saves under migration costs of one form (Fig. 5.3).
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct MigrationCostCurve {
    /// The form with its unit, e.g. "c_m, fraction of the VM's own cost".
    pub form: String,
    /// The policy.
    pub policy: String,
    /// What was found, ascending by migration cost.
    pub points: Vec<MigrationCostPoint>,
}

/// How much a policy saves under one migration cost.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct MigrationCostPoint {
    /// c_m.
    pub migration_cost: f64,
    /// By what fraction Eq. 3.1 fell.
    pub reduction: f64,
    /// How many migrations were made.
    pub migrations: u64,
}

impl Run {
    /// The name, and whether the run was stopped.
    pub fn label(&self) -> Cow<'_, str> {
        match self.stopped {
            true => format!("{} (stopped)", self.name).into(),
            false => self.name.as_str().into(),
        }
    }
}

impl Study {
    /// The report. Parts that are absent are left out.
    pub fn to_document(&self) -> Document {
        let many = self.scenarios.len() > 1;
        let sections = self
            .scenarios
            .iter()
            .flat_map(|scenario| scenario.sections(many));
        let warning = (self.partial.as_ref()).map(|what| {
            format!("This report is partial: {what}. What was computed until then is shown.")
        });
        Document::new(&self.title, sections.collect())
            .with_facts(self.facts.clone())
            .with_warning(warning)
    }

    /// Looks whether [`write`](Self::write) would refuse the directory; leaves nothing behind. Ask before long work.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn check_target(dir: impl AsRef<Path>) -> Result<(), WriteReportError> {
        Document::check_target(dir)
    }

    /// Writes the report and its figures into a directory: [`Document::write`].
    ///
    /// # Errors
    ///
    /// [`WriteReportError`] if that fails, or there are other things where the report would be.
    pub fn write(&self, dir: impl AsRef<Path>) -> Result<(), WriteReportError> {
        self.to_document().write(dir)
    }
}

/// The placement to begin with, in legends and tables.
const BEFORE: &str = "before";

impl Scenario {
    /// `named` puts the scenario's name into the titles of sections and figures.
    fn sections(&self, named: bool) -> Vec<Section> {
        let parts: [(&str, Vec<Block>); 6] = [
            ("Results", self.summary()),
            ("Cost over time", self.cost_over_time()),
            ("Migration cost", self.reduction_over_migration_cost()),
            ("Traffic in the network", self.traffic_in_the_network()),
            (
                "Migrations and idle servers",
                [self.stability(), self.idle()].concat(),
            ),
            ("Other systems", self.other_systems()),
        ];
        let section = |(title, mut blocks): (&str, Vec<Block>)| {
            for block in &mut blocks {
                if let (true, Block::Figure(_, figure)) = (named, block) {
                    figure.name = format!("{}-{}", self.title, figure.name);
                }
            }
            let title = match named {
                true => format!("{}: {}", self.title, title.to_lowercase()),
                false => title.into(),
            };
            Section { title, blocks }
        };
        let parts = parts.into_iter().filter(|(_, blocks)| !blocks.is_empty());
        parts.map(section).collect()
    }

    fn figure(
        &self,
        name: &str,
        title: &str,
        description: String,
        columns: usize,
        panels: Vec<Panel>,
    ) -> Figure {
        Figure {
            name: name.into(),
            title: title.into(),
            description,
            palette: self.palette(),
            columns,
            panels,
        }
    }

    /// Four colours for the policies, three for other systems, grey for what was before, black for the reference.
    fn palette(&self) -> Vec<String> {
        let mut names = Vec::new();
        for (runs, until) in [(&self.policies, 4), (&self.peers, 7)] {
            names.extend(runs.iter().map(|run| run.label().into_owned()));
            names.resize(names.len().max(until), String::new());
        }
        names.push(BEFORE.into());
        names.extend((self.references.iter()).map(|run| run.label().into_owned()));
        names
    }

    /// All runs: policies, other systems, references.
    fn runs(&self) -> impl Iterator<Item = &Run> {
        let runs = [&self.policies, &self.peers, &self.references];
        runs.into_iter().flatten()
    }

    /// The placement before and after each of these runs, with its name.
    fn placements<'a>(
        &'a self,
        runs: impl Iterator<Item = &'a Run>,
    ) -> impl Iterator<Item = (Cow<'a, str>, &'a PlacementMeasures)> {
        let after = runs.map(|run| (run.label(), &run.after));
        std::iter::once((BEFORE.into(), &self.before)).chain(after)
    }

    /// The reference with the lowest cost, of those that came to their end.
    fn best_reference(&self) -> Option<&Run> {
        Self::best(self.references.iter().filter(|run| !run.stopped))
    }

    /// The run that ends with the lowest cost.
    fn best<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Option<&'a Run> {
        let cost = |run: &&Run| run.after.cost;
        runs.into_iter().min_by(|a, b| cost(a).total_cmp(&cost(b)))
    }

    /// What part of the cost to begin with a cost is.
    fn share(&self, cost: f64) -> f64 {
        cost / self.before.cost
    }
}
