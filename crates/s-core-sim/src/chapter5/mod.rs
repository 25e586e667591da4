//! Chapter 5 of the thesis as a program: runs what its figures show, and fills a [`Study`](crate::report::study::Study).
//!
//! ```
//! use s_core_sim::chapter5::Chapter5;
//! use s_core_sim::{DataCentre, InitialPlacement};
//!
//! let data_centre = DataCentre {
//!     topology: "tree:2,2x4".parse()?,
//!     vms: 200,
//!     ..DataCentre::thesis(InitialPlacement::Random, 1)
//! };
//! let findings = Chapter5::default().run("VMs at random", &data_centre.generate()?, &|_| Box::new(()))?;
//! assert_eq!(findings.runs.len(), 4); // one per policy
//! assert!(findings.is_complete());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod curves;
mod dynamic;
mod proposals;
mod token;

use rayon::prelude::*;
use s_core_proto::TargetChoice;
use s_core_token::PolicyKind;

use crate::measure::Gauge;
use crate::report::study::{Run, Scenario};
use crate::result::{ProposalResult, RunResult};
use crate::snapshot::Snapshot;
use crate::{
    AnyStrategy, Instance, MigrationCostForm, RunLimits, StrategyError, Timing, TokenStart, Watch,
};

pub use dynamic::{Changing, DynamicError};

/// Makes the watch of a piece of work from its name.
pub type Watches<'a> = dyn Fn(&str) -> Box<dyn Watch + 'a> + Sync + 'a;

/// What is tried on a data centre.
#[derive(Debug)]
pub struct Chapter5 {
    /// The policies to compare (Fig. 5.2); by default all.
    pub policies: Vec<PolicyKind>,
    /// c_m.
    pub migration_cost: MigrationCostForm,
    /// Which of the servers that are worth a migration is taken.
    pub target_choice: TargetChoice,
    /// What tokens know to begin with; by default [`TokenStart::Measured`], as Fig. 5.2 begins with traffic that is known.
    pub start: TokenStart,
    /// How long things take.
    pub timing: Timing,
    /// When runs end although more could be gained.
    pub limits: RunLimits,
    /// Whether reductions over c_m are shown (Fig. 5.3), by the distributed policy as there.
    pub curves: bool,
    /// Reference optima (5.1.2).
    pub references: Vec<Box<AnyStrategy>>,
    /// Other systems (2.6).
    pub peers: Vec<Box<AnyStrategy>>,
    /// What random numbers began with, to be noted in results.
    pub seed: Option<u64>,
}

impl Default for Chapter5 {
    /// The four policies with migrations that cost nothing, and nothing beside them.
    fn default() -> Self {
        Self {
            policies: PolicyKind::ALL.to_vec(),
            migration_cost: MigrationCostForm::default(),
            target_choice: TargetChoice::default(),
            start: TokenStart::Measured,
            timing: Timing::today(),
            limits: RunLimits::default(),
            curves: false,
            references: Vec::new(),
            peers: Vec::new(),
            seed: None,
        }
    }
}

/// What came out.
#[derive(Debug)]
pub struct Findings {
    /// The runs of the policies, for files, in the order asked for.
    pub runs: Vec<RunResult>,
    /// What references and other systems propose, for files.
    pub proposals: Vec<ProposalResult>,
    /// All of it, for a report.
    pub scenario: Scenario,
}

impl Findings {
    /// Whether nothing was stopped on the way.
    pub fn is_complete(&self) -> bool {
        self.runs.iter().all(|run| run.summary.complete)
            && self.proposals.iter().all(|proposal| proposal.complete)
    }
}

/// A piece of work.
enum Task<'a> {
    Policy(PolicyKind),
    Strategy(&'a AnyStrategy),
    Curve(MigrationCostForm),
}

enum Done {
    Policy(RunResult, Run),
    Strategy(ProposalResult, Run),
    Curve(MigrationCostForm, Option<curves::Point>),
}

impl Chapter5 {
    /// Tries all of it, on all cores.
    ///
    /// # Errors
    ///
    /// [`StrategyError`] if the data centre is not one for a strategy, or has no VM.
    pub fn run(
        &self,
        title: &str,
        snapshot: &Snapshot,
        watches: &Watches<'_>,
    ) -> Result<Findings, StrategyError> {
        let model = snapshot.cost_model();
        let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation())?;
        let gauge = Gauge::new(&instance);
        let tasks = self.tasks();
        let work = |task: &Task<'_>| match *task {
            Task::Policy(kind) => {
                let watch = watches(kind.name());
                let (result, run) = self.run_policy(&instance, &gauge, kind, &*watch)?;
                Ok(Done::Policy(result, run))
            }
            Task::Strategy(strategy) => {
                let watch = watches(strategy.name());
                let (result, run) = self.propose(&instance, &gauge, strategy, &*watch)?;
                Ok(Done::Strategy(result, run))
            }
            Task::Curve(threshold) => {
                let watch = watches("c_m");
                let point = self.point(&instance, threshold, &*watch)?;
                Ok(Done::Curve(threshold, point))
            }
        };
        let done: Result<Vec<Done>, StrategyError> = tasks.par_iter().map(work).collect();
        let before = snapshot.allocation();
        let scenario = Scenario {
            title: title.into(),
            times: self.timing.in_words(),
            before: gauge.placement(before),
            traffic_before: gauge.rack_traffic(before, token::MAX_BINS),
            ..Scenario::default()
        };
        Ok(self.findings(scenario, done?))
    }

    /// The longest first, so that no core waits for them in the end.
    fn tasks(&self) -> Vec<Task<'_>> {
        let strategies = self.references.iter().chain(&self.peers);
        let strategies = strategies.map(|strategy| Task::Strategy(&**strategy));
        let policies = self.policies.iter().copied().map(Task::Policy);
        let curves = curves::THRESHOLDS.iter().copied().map(Task::Curve);
        let curves = curves.filter(|_| self.curves);
        strategies.chain(policies).chain(curves).collect()
    }

    fn findings(&self, mut scenario: Scenario, done: Vec<Done>) -> Findings {
        let (mut runs, mut proposals, mut strategies) = (Vec::new(), Vec::new(), Vec::new());
        let mut points = Vec::new();
        for done in done {
            match done {
                Done::Policy(result, run) => {
                    runs.push(result);
                    scenario.policies.push(run);
                }
                Done::Strategy(result, run) => {
                    proposals.push(result);
                    strategies.push(run);
                }
                Done::Curve(threshold, point) => points.extend(point.map(|p| (threshold, p))),
            }
        }
        scenario.peers = strategies.split_off(self.references.len());
        scenario.references = strategies;
        scenario.migration_costs = curves::curves(&points);
        let reference = proposals::best_reference(&proposals[..self.references.len()]);
        for run in &mut runs {
            run.summary.reference = reference;
        }
        Findings {
            runs,
            proposals,
            scenario,
        }
    }
}
