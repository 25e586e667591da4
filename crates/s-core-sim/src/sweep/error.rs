//! What can be wrong with a sweep, and where.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::MAX_RUNS;

/// A sweep file is bad. Shown as one line: `FILE:LINE: what is wrong; what to do`.
#[derive(Debug)]
pub struct SweepFileError {
    pub(super) file: PathBuf,
    pub(super) line: Option<u64>,
    pub(super) problem: SweepFileProblem,
}

impl SweepFileError {
    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The line, from 1, if one is at fault.
    pub fn line(&self) -> Option<u64> {
        self.line
    }

    /// What is wrong.
    pub fn problem(&self) -> &SweepFileProblem {
        &self.problem
    }
}

impl fmt::Display for SweepFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.problem)
    }
}

impl std::error::Error for SweepFileError {}

/// What is wrong with a sweep file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepFileProblem {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(io::Error),
    /// It is larger than this many bytes.
    #[error("is larger than {0} bytes; split the sweep")]
    TooLarge(u64),
    /// It is not UTF-8 text.
    #[error("is not UTF-8 text; save it as UTF-8")]
    NotText,
    /// It is not TOML, or has an unknown key or a value of the wrong type.
    #[error("{0}")]
    Toml(String),
    /// A list without anything.
    #[error("{key} is empty; name at least one, or leave the key out")]
    Empty {
        /// The list.
        key: &'static str,
    },
    /// An entry that means nothing.
    #[error("{key}: {problem}")]
    Entry {
        /// The list.
        key: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The same entry twice.
    #[error("{key} names {entry} twice; leave one out")]
    Twice {
        /// The list.
        key: &'static str,
        /// The entry.
        entry: String,
    },
    /// A range of seeds that ends before it begins.
    #[error("seeds: the last, {last}, is below the first, {first}; swap them")]
    EmptyRange {
        /// The first seed.
        first: u64,
        /// The last seed.
        last: u64,
    },
    /// Too many runs.
    #[error("asks for {0} runs, and a sweep has at most {MAX_RUNS}; shorten its lists or split it")]
    TooManyRuns(u128),
    /// Policies, baselines and references are all empty.
    #[error(
        "asks for nothing to run: policies, baselines and references are empty; name one, or leave policies out for all four"
    )]
    NoMethods,
    /// A strategy is in the other kind's list.
    #[error("{key}: {entry} does not belong here but into {other}; move it there")]
    OtherList {
        /// The list.
        key: &'static str,
        /// The entry.
        entry: &'static str,
        /// The list it belongs to.
        other: &'static str,
    },
    /// A strategy that is not there yet.
    #[error("{key}: {entry} is not available yet; leave it out")]
    NotAvailable {
        /// The list.
        key: &'static str,
        /// The entry.
        entry: &'static str,
    },
    /// The link weights do not suit a topology.
    #[error("link_weights: {0}")]
    Weights(String),
    /// Numbers do not make a data centre.
    #[error("{key}: {problem}")]
    DataCentre {
        /// The list at fault.
        key: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A run's name would be too long for a directory's.
    #[error(
        "the name of run {0} would be longer than {limit} bytes; use fewer or shorter link_weights",
        limit = super::directory::MAX_ID_BYTES
    )]
    LongName(String),
}

/// A sweep's directory cannot be used, or what is in it contradicts itself. Shown as one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// The directory holds other things.
    #[error("{}: is not empty and holds no sweep of S-CORE; name another directory", .0.display())]
    ForeignDirectory(PathBuf),
    /// The path is a file.
    #[error("{}: is not a directory; name another path", .0.display())]
    NotADirectory(PathBuf),
    /// A file or directory cannot be written.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file or directory cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file of a run is not what this program writes.
    #[error(
        "{}{}: {problem}; remove the run's directory and run it again", path.display(),
        line.map(|line| format!(":{line}")).unwrap_or_default()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, if one is at fault.
        line: Option<usize>,
        /// What is wrong.
        problem: String,
    },
    /// A directory has the name of a run and holds something else.
    #[error("{}: is in the way of a run and has no run.json; remove it or name another directory", .0.display())]
    InTheWay(PathBuf),
    /// A directory has the name of a run and holds one with other parameters.
    #[error("{}: holds a run with other parameters; name another directory", .0.display())]
    OtherParameters(PathBuf),
    /// Two results of the same run differ.
    #[error(
        "{} and {} are both run {id} and differ in {what}; leave one of them out", first.display(), second.display()
    )]
    Contradiction {
        /// The run.
        id: String,
        /// One directory.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// In what they differ.
        what: &'static str,
    },
    /// A directory to be merged holds no run.
    #[error("{}: holds no run of a sweep; name a directory that a sweep has written", .0.display())]
    NoRuns(PathBuf),
    /// There are too many runs to be merged.
    #[error("more than {0} runs; merge fewer directories at a time")]
    TooManyRuns(usize),
}
