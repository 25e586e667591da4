//! What can go wrong with an interception.

use std::io;
use std::time::Duration;

/// Rules could not be read, set or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InterceptionError {
    /// A program could not be run.
    #[error("cannot run {program}: {source}; is it installed, and in PATH?")]
    Unreachable {
        /// Which program.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A program did not end in time.
    #[error("{program} did not end within {after:?}")]
    DeadlineExceeded {
        /// Which program.
        program: &'static str,
        /// How long it was given.
        after: Duration,
    },
    /// A program ran and reported failure.
    #[error("{command} failed ({status}): {message}")]
    Failed {
        /// The program with its arguments.
        command: String,
        /// Its exit status.
        status: String,
        /// The end of what it wrote to standard error.
        message: String,
    },
    /// The answer of a program was not of the form expected.
    #[error("cannot understand what {command} says: {message}")]
    Malformed {
        /// The program with its arguments.
        command: String,
        /// What is wrong, and where.
        message: String,
    },
    /// Somebody else uses what the rules need.
    #[error(
        "{what} is in use by somebody else: {found}; remove it there, or go without interception"
    )]
    Taken {
        /// What it is.
        what: String,
        /// What was found in it.
        found: String,
    },
}
