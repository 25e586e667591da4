//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use s_core_examples::Failure;
use s_core_examples::cli::{PolicyArg, TargetChoiceArg, at_least_one};
use s_core_sim::reference::Genetic;
use s_core_sim::{AnyStrategy, MigrationCostForm, StrategyName, Timing, TokenStart};

use crate::data_centre::DataCentreArgs;
use crate::merge::MergeArgs;
use crate::sweep::SweepArgs;

/// Runs S-CORE's token over a data centre until nothing more is to be gained, and compares the policies.
///
/// Without options: the study of chapter 5 of the thesis, 2560 servers in 128 racks with 32,768 VMs at random, all
/// policies beside a reference optimum and other systems, as a report in the directory simulation-report.
#[derive(Debug, Parser)]
#[command(
    name = "simulate",
    version,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    subcommand_help_heading = "Many runs",
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs all that a sweep file names, on all cores, and goes on where it stopped
    Sweep(SweepArgs),
    /// Puts the results of sweeps together into one table and report
    Merge(MergeArgs),
}

/// One data centre, and what is tried on it.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) data_centre: DataCentreArgs,
    /// Which VM decides next
    #[arg(long, value_enum, default_value = "all")]
    pub(crate) policy: PolicyArg,
    /// c_m: what a migration's gain must exceed, in bytes per second times link weight; or like 10% as a part of
    /// 2 C(u), what the VM's pairs cost, each counted at both ends, and the most that it can gain; or like 10%mean
    /// as a part of C / |V|, the mean cost per VM to begin with; by default the snapshot's, else 0
    #[arg(long, value_name = "C", allow_negative_numbers = true)]
    pub(crate) migration_cost: Option<MigrationCostForm>,
    /// Which of the servers that are worth a migration is taken
    #[arg(long, value_enum, default_value = "first-fit")]
    pub(crate) target_choice: TargetChoiceArg,
    /// What the token knows to begin with
    #[arg(long, value_enum, default_value = "measured")]
    pub(crate) start: StartArg,
    /// End after so many rounds, although more could be gained
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    pub(crate) max_rounds: Option<u32>,
    /// The optimum to compare with
    #[arg(long, value_enum, default_value = "none")]
    pub(crate) reference: ReferenceArg,
    /// Individuals of the genetic reference, 1000 by default
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    pub(crate) population: Option<u32>,
    /// How long things take, for cost over seconds: today, thesis (5.2), or some of hop, per-peer, probe, migration
    /// in seconds like migration=5,hop=0.001
    #[arg(long, value_name = "T", default_value = "today")]
    pub(crate) timing: Timing,
    /// Compare with other systems: Starling, Remedy, traffic-aware placement
    #[arg(long)]
    pub(crate) peers: bool,
    /// All of chapter 5: the multilevel reference unless another is named, other systems, the curve over c_m, traffic
    /// that changes, the other placement. What is left out when another option is given
    #[arg(long)]
    pub(crate) study: bool,
    /// Write placement.csv, migrations.csv and summary.json there, with all policies in a directory each, and
    /// report.html with its figures
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Write the data centre as a snapshot, which `plan` reads
    #[arg(long, value_name = "DIR")]
    pub(crate) write_snapshot: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  simulate
  simulate --study --seed 7 --out /tmp/study
  simulate --topology fat-tree:16 --placement rack-local --reference multilevel
  simulate --fan-out 2,2,4 --servers-per-rack 4 --vms 500 --seed 7
  simulate --policy distributed --migration-cost 10% --out /tmp/result
  simulate --vms 500 --fan-out 2,2,4 --servers-per-rack 4 --write-snapshot /tmp/data-centre
  simulate --snapshot /tmp/data-centre
  simulate sweep seeds.toml --out /tmp/seeds

From the source tree: cargo run --release --example simulate -- --policy all

Exit codes: 0 success, 1 failure, 2 wrong call.";

/// `--reference`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReferenceArg {
    /// No comparison
    None,
    /// The genetic algorithm of thesis 5.1.2: at the thesis's size about 90 s of CPU; Ctrl-C ends it with its best so far
    Genetic,
    /// Multilevel placement: coarsens by traffic, places down the tree, refines; takes seconds
    Multilevel,
    /// The true optimum, of tiny data centres only
    Exact,
}

/// `--start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StartArg {
    /// Levels and loads as a round without migrations leaves them
    Measured,
    /// Nothing, like a newly minted token, and as `plan` begins
    Empty,
}

impl From<StartArg> for TokenStart {
    fn from(start: StartArg) -> Self {
        match start {
            StartArg::Measured => Self::Measured,
            StartArg::Empty => Self::Empty,
        }
    }
}

impl RunArgs {
    /// Options that mean nothing beside the others.
    pub(crate) fn check(&self, study: bool) -> Result<(), Failure> {
        if self.population.is_some() && self.reference != ReferenceArg::Genetic {
            return Err(Failure::usage(
                "--population: only --reference genetic has individuals; add it, or leave --population out",
            ));
        }
        if self.data_centre.seed_for_nothing() && !self.reference_is_random(study) {
            return Err(Failure::usage(
                "--seed: nothing is random about a given data centre without --reference genetic or multilevel",
            ));
        }
        Ok(())
    }

    /// What random numbers began with, if there are any.
    pub(crate) fn seed_used(&self, study: bool) -> Option<u64> {
        let random = self.data_centre.is_made_up() || self.reference_is_random(study);
        random.then(|| self.data_centre.seed())
    }

    fn reference_is_random(&self, study: bool) -> bool {
        match self.reference {
            ReferenceArg::None => study,
            ReferenceArg::Genetic | ReferenceArg::Multilevel => true,
            ReferenceArg::Exact => false,
        }
    }

    /// The reference asked for; for a study the multilevel one unless another is named.
    pub(crate) fn references(&self, study: bool) -> Vec<Box<AnyStrategy>> {
        let seed = self.data_centre.seed();
        let name = match (self.reference, study) {
            (ReferenceArg::None, false) => return Vec::new(),
            (ReferenceArg::Genetic, _) => {
                let thesis = Genetic::default();
                let population = self.population.map(|population| population as usize);
                return vec![Box::new(Genetic {
                    population: population.unwrap_or(thesis.population),
                    seed,
                    ..thesis
                })];
            }
            (ReferenceArg::Multilevel, _) | (ReferenceArg::None, true) => StrategyName::Multilevel,
            (ReferenceArg::Exact, _) => StrategyName::Exact,
        };
        vec![name.build(seed)]
    }

    /// The other systems asked for.
    pub(crate) fn peers(&self, study: bool) -> Vec<Box<AnyStrategy>> {
        let names = StrategyName::BASELINES.into_iter();
        let names = names.filter(|_| self.peers || study);
        names
            .map(|name| name.build(self.data_centre.seed()))
            .collect()
    }
}
