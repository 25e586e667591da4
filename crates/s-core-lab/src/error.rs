//! What can go wrong in a laboratory.

use std::io;
use std::path::PathBuf;

use crate::LabName;

/// Something of the laboratory could not be made, asked or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// A value of the layout does not do.
    #[error("{what}: {problem}")]
    Layout {
        /// Which value.
        what: &'static str,
        /// What is wrong, and what would do.
        problem: String,
    },
    /// A laboratory of this name exists, or remains of one.
    #[error("laboratory {0} exists already: take it down first, or choose another name")]
    Exists(LabName),
    /// There is no laboratory of this name.
    #[error("there is no laboratory {0}")]
    Unknown(LabName),
    /// Another process makes or removes this laboratory right now.
    #[error(
        "laboratory {0} is being made or removed by another process: try again when it is done"
    )]
    Busy(LabName),
    /// Whoever asked for the laboratory has changed their mind while it was made.
    #[error("interrupted: laboratory {0} was not made")]
    Interrupted(LabName),
    /// Another process has this laboratory's VMs send.
    #[error("a run is on in laboratory {name} (process {process}): wait for its end, or end it")]
    InUse {
        /// The laboratory.
        name: LabName,
        /// The number of the process.
        process: String,
    },
    /// The machine lacks something.
    #[error("{0}")]
    Missing(String),
    /// A program could not be run.
    #[error("cannot run {program}: {source}")]
    Program {
        /// Which program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program failed.
    #[error("{command}: {message}")]
    Failed {
        /// The program with its arguments.
        command: String,
        /// The end of what it wrote to standard error.
        message: String,
    },
    /// A file of the laboratory could not be used.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the laboratory does not hold what it should.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Something did not happen in time.
    #[error("{what}: not within {after:?}")]
    DeadlineExceeded {
        /// What was waited for.
        what: String,
        /// For how long.
        after: std::time::Duration,
    },
}
