//! Results of many runs, from one sweep or several, in one table.

mod distinction;
#[cfg(feature = "report")]
mod document;
mod groups;
mod read;
mod write;

use std::path::{Path, PathBuf};

pub use distinction::Distinction;
pub use groups::{Group, Spread};
pub use write::{MERGED_FILE, MERGED_GROUPS_FILE};

use super::{RunReport, Sweep, SweepError};
use crate::StrategyName;
use crate::probe::probe;

/// Every run that was found, each once, in the order of its parameters, the seed last.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    runs: Vec<MergedRun>,
}

/// A run that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct MergedRun {
    /// Its directory.
    pub path: PathBuf,
    /// The run and what it came to.
    pub report: RunReport,
    /// The best that a reference has reached on the same data centre, if one came to its end.
    pub reference: Option<ReferenceCost>,
}

/// What a reference has reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReferenceCost {
    /// Which it was.
    pub name: StrategyName,
    /// The total cost of its placement.
    pub cost: f64,
    /// The CPU seconds that it took.
    pub seconds: f64,
}

impl MergedRun {
    /// By how many per cent the run has lowered the cost; 0 if there was none.
    pub fn reduction_percent(&self) -> f64 {
        let RunReport {
            initial_cost,
            final_cost,
            ..
        } = self.report;
        if initial_cost > 0.0 {
            100.0 * (initial_cost - final_cost) / initial_cost
        } else {
            0.0
        }
    }

    /// How many times the reference's cost the run's is, if that is a number.
    pub fn ratio(&self) -> Option<f64> {
        let reference = self.reference?.cost;
        (reference > 0.0).then(|| self.report.final_cost / reference)
    }
}

impl Merged {
    /// Reads the runs in these directories, each of them a run's or one that a sweep was written to.
    ///
    /// A run that is in several is taken once, and from where it came to its end.
    ///
    /// # Errors
    ///
    /// [`SweepError`] if a directory cannot be read or has no run, a file is damaged, or the same run has come to
    /// different results.
    pub fn read<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, SweepError> {
        let mut runs = read::read(paths)?;
        groups::put_references(&mut runs);
        Ok(Self { runs })
    }

    /// The runs.
    pub fn runs(&self) -> &[MergedRun] {
        &self.runs
    }

    /// Those that were stopped on the way. They count in no [group](Self::groups).
    pub fn partial(&self) -> impl Iterator<Item = &MergedRun> {
        self.runs.iter().filter(|run| !run.report.complete)
    }

    /// The names of a sweep's runs that are not there at all.
    pub fn missing(&self, sweep: &Sweep) -> Vec<String> {
        let there: std::collections::BTreeSet<String> =
            self.runs.iter().map(|run| run.report.run.id()).collect();
        let ids = sweep.runs().map(|run| run.id());
        ids.filter(|id| !there.contains(id)).collect()
    }

    /// Runs that differ in their seed alone, taken together, in the order of the runs.
    pub fn groups(&self) -> Vec<Group<'_>> {
        groups::groups(&self.runs)
    }

    /// Writes [`MERGED_FILE`], a row per run, and [`MERGED_GROUPS_FILE`], a row per [group](Self::groups).
    ///
    /// # Errors
    ///
    /// [`SweepError`] if the directory cannot be written, or is neither empty, nor has one of these files or a sweep.
    pub fn write(&self, dir: impl AsRef<Path>) -> Result<(), SweepError> {
        write::write(self, dir.as_ref())
    }

    /// Looks whether [`write`](Self::write) would refuse the directory; leaves nothing behind.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn check_target(dir: impl AsRef<Path>) -> Result<(), SweepError> {
        let dir = dir.as_ref();
        super::directory::check_target(dir, MERGED_FILE)?;
        probe(dir).map_err(|source| SweepError::Write {
            path: dir.to_owned(),
            source,
        })
    }
}
