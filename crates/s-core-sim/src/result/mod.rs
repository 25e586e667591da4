//! Results: what a run of the token leaves behind, as a directory of text files.
//!
//! | file | holds |
//! |---|---|
//! | `placement.csv` | `vm,server`: where every VM is at the end, ascending by VM |
//! | `migrations.csv` | `step,vm,source,target,gain,total_cost`, a row per migration in their order |
//! | `summary.json` | the [`Summary`] |
//!
//! Several policies' results stand side by side in sub-directories of the policies' names, [proposals](ProposalResult) of
//! other strategies in sub-directories of `proposals`. Numbers are
//! written with as many digits as it takes to read back the very same number.
//!
//! ```
//! use s_core_sim::result::{MigrationRow, ResultDir, RunResult, Summary};
//! use s_core_token::PolicyKind;
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("out");
//! let (vm, source, target) = ("10.1.0.1".parse()?, "10.0.0.1".parse()?, "10.0.0.2".parse()?);
//! let result = RunResult {
//!     summary: Summary {
//!         policy: PolicyKind::RoundRobin,
//!         initial_cost: 100.0,
//!         final_cost: 20.0,
//!         token_hops: 3,
//!         rounds: 2,
//!         seconds: 0.01,
//!         seed: None,
//!         complete: true,
//!         reference: None,
//!     },
//!     placement: vec![(vm, target)],
//!     migrations: vec![MigrationRow { step: 1, vm, source, target, gain: 80.0, total_cost: 20.0 }],
//! };
//! ResultDir::new(&path)?.write(&result)?;
//! let rows = std::fs::read_to_string(path.join("migrations.csv"))?;
//! assert_eq!(rows.lines().nth(1), Some("1,10.1.0.1,10.0.0.1,10.0.0.2,80.0,20.0"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod files;

use std::io;
use std::path::PathBuf;

use s_core_model::{Allocation, ServerId, VmId};
use s_core_token::PolicyKind;

use crate::Proposal;

pub use files::ResultDir;
pub(crate) use files::{write_files, write_proposal_files};

/// The name of the file of the final placement.
pub const PLACEMENT_FILE: &str = "placement.csv";
/// The name of the file of [`MigrationRow`]s.
pub const MIGRATIONS_FILE: &str = "migrations.csv";
/// The name of the file of the [`Summary`].
pub const SUMMARY_FILE: &str = "summary.json";
/// The name of the report that may stand beside results.
pub const REPORT_FILE: &str = "report.html";
/// The name of the directory of [`ProposalResult`]s that may stand beside results.
pub const PROPOSALS_DIR: &str = "proposals";
/// The name of the directory of figures that may stand beside results.
pub const FIGURES_DIR: &str = "figures";

/// What one run of one policy did.
#[derive(Clone, Debug, PartialEq)]
pub struct RunResult {
    /// The run in numbers.
    pub summary: Summary,
    /// Which server hosts which VM at the end.
    pub placement: Vec<(VmId, ServerId)>,
    /// The migrations in their order.
    pub migrations: Vec<MigrationRow>,
}

/// A run in numbers; costs as in Eq. 3.1. `summary.json` has the number of migrations as well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The passing policy.
    pub policy: PolicyKind,
    /// The total cost before the first migration, in bytes per second times link weight.
    pub initial_cost: f64,
    /// The total cost after the last.
    pub final_cost: f64,
    /// How many times a VM held the token.
    pub token_hops: u64,
    /// How many rounds of the policy were begun.
    pub rounds: u64,
    /// CPU seconds of the policy's run alone.
    pub seconds: f64,
    /// What random numbers began with, if there were any.
    pub seed: Option<u64>,
    /// Whether the run came to its own end; if not, it was interrupted and this is how far it got.
    pub complete: bool,
    /// What it is compared with, if there is something.
    pub reference: Option<Reference>,
}

/// What a strategy that is not a passing policy proposes.
#[derive(Clone, Debug, PartialEq)]
pub struct ProposalResult {
    /// The strategy's name, which its directory has as well.
    pub strategy: String,
    /// The total cost (Eq. 3.1) to begin with.
    pub initial_cost: f64,
    /// The total cost of the proposal.
    pub final_cost: f64,
    /// How many VMs would have to move.
    pub moved: usize,
    /// CPU seconds of the strategy alone.
    pub seconds: f64,
    /// What random numbers began with, if there were any.
    pub seed: Option<u64>,
    /// Whether the strategy came to its own end.
    pub complete: bool,
    /// Which server would host which VM.
    pub placement: Vec<(VmId, ServerId)>,
}

impl ProposalResult {
    /// A proposal as it is written to files.
    pub(crate) fn new(
        strategy: &str,
        initial_cost: f64,
        proposal: &Proposal,
        seed: Option<u64>,
    ) -> Self {
        Self {
            strategy: strategy.into(),
            initial_cost,
            final_cost: proposal.cost,
            moved: proposal.moved,
            seconds: proposal.cpu_time.as_secs_f64(),
            seed,
            complete: proposal.complete,
            placement: placement_rows(&proposal.allocation),
        }
    }
}

/// The rows of `placement.csv`.
pub(crate) fn placement_rows(allocation: &Allocation) -> Vec<(VmId, ServerId)> {
    let row = |vm| {
        let server = allocation.server_at(allocation.host(vm));
        (allocation.vm_at(vm), server)
    };
    allocation.vms().map(row).collect()
}

/// A reference optimum in numbers: `reference_cost`, `reference_seconds` and `reference_moved` of `summary.json`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reference {
    /// Its total cost (Eq. 3.1).
    pub cost: f64,
    /// The CPU seconds that it took.
    pub seconds: f64,
    /// How many VMs would have to move.
    pub moved: usize,
}

/// A row of `migrations.csv`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MigrationRow {
    /// Which hop of the token it was, from 1.
    pub step: u64,
    /// The VM.
    pub vm: VmId,
    /// The server that it left.
    pub source: ServerId,
    /// The server that it went to.
    pub target: ServerId,
    /// The left side of Eq. 3.2.
    pub gain: f64,
    /// The total cost (Eq. 3.1) afterwards.
    pub total_cost: f64,
}

/// A result cannot be written. Shown as one line: the path, what is wrong, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultError {
    /// The directory holds other things.
    #[error("{}: is not empty and holds no result of S-CORE; name another directory", .0.display())]
    ForeignDirectory(PathBuf),
    /// The path is a file.
    #[error("{}: is not a directory; name another path", .0.display())]
    NotADirectory(PathBuf),
    /// A file or directory cannot be read or written.
    #[error("{}: cannot be written: {source}", path.display())]
    Io {
        /// The directory of the result.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}
