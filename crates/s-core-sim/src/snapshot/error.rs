//! What can be wrong with a snapshot, and where.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use s_core_model::{
    AllocationError, InvalidMigrationCost, InvalidRate, InvalidWeights, TrafficError, VmId,
};
use s_core_topology::LocationError;

/// A snapshot cannot be read, made or written. Shown as one line: `FILE:LINE: what is wrong; what to do`.
#[derive(Debug)]
pub struct SnapshotError {
    file: PathBuf,
    line: Option<u64>,
    problem: Problem,
}

impl SnapshotError {
    pub(super) fn new(
        file: impl Into<PathBuf>,
        line: Option<u64>,
        problem: impl Into<Problem>,
    ) -> Self {
        Self {
            file: file.into(),
            line,
            problem: problem.into(),
        }
    }

    /// The file or directory at fault.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The line in that file, from 1, if one line is at fault.
    pub fn line(&self) -> Option<u64> {
        self.line
    }

    /// What is wrong.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.problem)
    }
}

impl std::error::Error for SnapshotError {}

/// What is wrong with a snapshot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A file cannot be read.
    #[error(
        "cannot be read: {0}; a snapshot is a directory with data-centre.toml, servers.csv, vms.csv and traffic.csv"
    )]
    Read(io::Error),
    /// A file or directory cannot be written.
    #[error("cannot be written: {0}")]
    Write(io::Error),
    /// A file is larger than this many bytes.
    #[error("is larger than {0} bytes; split the data centre")]
    TooLarge(u64),
    /// The directory to be written holds other things.
    #[error("is not empty and holds no snapshot or result of S-CORE; name another directory")]
    ForeignDirectory,
    /// The file is not UTF-8 text.
    #[error("is not UTF-8 text; save it as UTF-8")]
    NotText,
    /// `data-centre.toml` is not TOML, or has an unknown key or a value of the wrong type.
    #[error("{0}; the keys are link_weights (required), migration_cost, tags and limits")]
    Toml(String),
    /// A CSV file without any line but comments.
    #[error("has no header; the first line must be {wanted}")]
    NoHeader {
        /// The columns wanted.
        wanted: String,
    },
    /// A header without one of the columns.
    #[error("column {column} is missing; the header must name {wanted}")]
    MissingColumn {
        /// The column.
        column: &'static str,
        /// The columns wanted.
        wanted: String,
    },
    /// A header that names a column twice.
    #[error("column {column:?} is named twice; the header must name {wanted}")]
    DuplicateColumn {
        /// The column.
        column: String,
        /// The columns wanted.
        wanted: String,
    },
    /// A header with a column that does not belong there.
    #[error("column {column:?} is unknown; the header must name {wanted}")]
    UnknownColumn {
        /// The column.
        column: String,
        /// The columns wanted.
        wanted: String,
    },
    /// A row with more or fewer fields than the header.
    #[error(
        "has {fields} fields and the header has {columns}; put a field with a comma in double quotes"
    )]
    FieldCount {
        /// How many fields the row has.
        fields: usize,
        /// How many columns there are.
        columns: usize,
    },
    /// A field that is not what its column wants.
    #[error("{column} {text:?} is not {wanted}")]
    Field {
        /// The column.
        column: &'static str,
        /// The field, cut if it is long.
        text: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A server is listed twice or its location does not fit the others.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// A VM is listed twice, on an unknown server, or does not fit into its server.
    #[error(transparent)]
    Allocation(#[from] AllocationError),
    /// A VM's name has control characters.
    #[error("the name of VM {0} has a line break or another control character; leave it out")]
    Name(VmId),
    /// A pair names a VM that is not listed.
    #[error("VM {0} is not in vms.csv; list it there or remove this line")]
    UnknownVm(VmId),
    /// A pair is a VM and itself.
    #[error(
        "VM {0} is paired with itself; traffic inside a VM never reaches the network, remove this line"
    )]
    SelfPair(VmId),
    /// A rate is negative or not finite.
    #[error(transparent)]
    Rate(#[from] InvalidRate),
    /// There are too many pairs.
    #[error(transparent)]
    Traffic(#[from] TrafficError),
    /// The link weights are not positive numbers that rise.
    #[error(transparent)]
    Weights(#[from] InvalidWeights),
    /// Locations have more components than there are link weights.
    #[error(
        "link_weights has {weights} weights and the locations in servers.csv have {levels} components; give a weight for each level"
    )]
    TooFewWeights {
        /// How many weights there are.
        weights: u8,
        /// How many levels there are.
        levels: u8,
    },
    /// The migration cost is negative, not finite, or a fraction above 1.
    #[error(transparent)]
    MigrationCost(#[from] InvalidMigrationCost),
    /// The least gain is negative or not finite.
    #[error("limits.min_gain = {0} is not a finite number from 0 up")]
    MinGain(f64),
}
