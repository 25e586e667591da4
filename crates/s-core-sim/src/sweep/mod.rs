//! Sweeps: a file names many runs, which are done on all cores, go on where they stopped, and are merged.
//!
//! Every list of the file is crossed with every other:
//!
//! ```toml
//! seeds = { first = 1, last = 20 }         # or a list; [1] if left out
//! topologies = ["tree:4,4,4,2x20"]         # see Topology; that of thesis 5.1 if left out
//! vm_slots = [16]                          # per server
//! vms = [32768]                            # four for every five VM slots if left out
//! flows_per_vm = [10, 50]                  # see traffic::Pattern; [10] if left out
//! windows = [1]                            # [1] if left out
//! vms_per_application = [20]               # no applications if left out
//! placements = ["random", "rack-local"]    # ["random"] if left out
//! link_weights = [1.0, 2.7, 20.1, 148.4]   # one list for all; e^0, e^1, e^3, e^5 if left out
//!
//! policies = ["round-robin", "distributed"]        # all four if left out
//! target_choices = ["first-fit", "best-fit"]       # ["first-fit"] if left out
//! migration_costs = [0, 5000, "10%", "10%mean"]    # see MigrationCostForm; [0] if left out
//! starts = ["measured", "empty"]                   # see TokenStart; ["measured"] if left out
//! max_rounds = [5]                                 # until nothing more is to be gained if left out
//! baselines = ["starling"]                         # starling, remedy, traffic-aware; none if left out
//! references = ["multilevel"]                      # none, multilevel, genetic, exact; none if left out
//! populations = [100, 1000]                        # individuals of genetic; the thesis's 1,000 if left out
//! ```
//!
//! Baselines and references are runs of their own, once per data centre; [`Merged`] puts the best
//! reference of a data centre beside each of its runs.
//!
//! A [`Sweep`] is read from such a file, its [runs](Sweep::runs) are [done](run_all) into a [`SweepDir`], a
//! sub-directory each, named by the run's [id](RunSpec::id):
//!
//! | file | holds |
//! |---|---|
//! | `placement.csv`, `migrations.csv`, `summary.json` | the [result](crate::result), that of a baseline or reference without `migrations.csv` |
//! | `run.json` | `id`, `program` with its version, and the [`RunReport`] |
//!
//! A directory appears whole or not at all.

mod directory;
mod error;
mod execute;
mod expand;
mod file;
mod merge;
mod order;
mod parameters;
mod report;
mod source;
mod spec;
mod workers;

use std::path::Path;

pub use directory::{Claim, RUN_FILE, RunState, SweepDir};
pub use error::{SweepError, SweepFileError, SweepFileProblem};
pub use merge::{
    Distinction, Group, MERGED_FILE, MERGED_GROUPS_FILE, Merged, MergedRun, ReferenceCost, Spread,
};
pub use report::RunReport;
pub use spec::{DataCentreSpec, Method, RunSpec, StrategyRun, TokenRun};
pub use workers::{Ended, FailedRun, SweepWatch, Tally, run_all};

/// The most runs of a sweep.
pub const MAX_RUNS: usize = 100_000;

/// What a sweep file asks for: every data centre crossed with every method.
///
/// ```
/// use s_core_sim::sweep::Sweep;
///
/// let sweep = Sweep::parse("seeds = [1, 2]\nmigration_costs = [0, \"10%\"]", "sweep.toml")?;
/// assert_eq!(sweep.run_count(), 2 * 4 * 2); // seeds, policies, migration costs
/// let first = sweep.runs().next().map(|run| run.id());
/// assert_eq!(
///     first.as_deref(),
///     Some("tree-4-4-4-2x20_16slots_32768vms_10flows_random_seed1_round-robin_first-fit_cm0"),
/// );
/// # Ok::<(), s_core_sim::sweep::SweepFileError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sweep {
    data_centres: Vec<DataCentreSpec>,
    seeds: Vec<u64>,
    methods: Vec<Method>,
}

impl Sweep {
    /// Reads a sweep file.
    ///
    /// # Errors
    ///
    /// [`SweepFileError`] names file and line, what is wrong there and what to do about it.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, SweepFileError> {
        expand::read(path.as_ref())
    }

    /// A sweep of this text; `path` is what errors call it.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn parse(text: &str, path: impl AsRef<Path>) -> Result<Self, SweepFileError> {
        expand::parse(path.as_ref(), text)
    }

    /// How many runs there are; at most [`MAX_RUNS`].
    pub fn run_count(&self) -> usize {
        self.data_centres.len() * self.seeds.len() * self.methods.len()
    }

    /// The runs, those of one data centre one after the other.
    pub fn runs(&self) -> impl Iterator<Item = RunSpec> {
        self.data_centres.iter().flat_map(move |data_centre| {
            self.seeds.iter().flat_map(move |seed| {
                self.methods.iter().map(move |method| RunSpec {
                    data_centre: DataCentreSpec {
                        seed: *seed,
                        ..data_centre.clone()
                    },
                    method: *method,
                })
            })
        })
    }
}
