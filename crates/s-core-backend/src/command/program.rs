//! Programs that are to succeed: those that a switch's and the kernel's rules are read and set with.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Exit, RunError, run_with_input};

/// What became of a program that was to succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// It could not be run.
    #[error("cannot run {program}: {source}; is it installed, and in PATH?")]
    Unreachable {
        /// Which program.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// It did not end in time.
    #[error("{program} did not end within {after:?}")]
    DeadlineExceeded {
        /// Which program.
        program: &'static str,
        /// How long it was given.
        after: Duration,
    },
    /// It ran and reported failure.
    #[error("{command} failed ({status}): {message}")]
    Failed {
        /// The program with its arguments.
        command: String,
        /// Its exit status.
        status: String,
        /// The end of what it wrote to standard error.
        message: String,
    },
    /// Its answer was not of the form expected.
    #[error("cannot understand what {command} says: {message}")]
    Malformed {
        /// The program with its arguments.
        command: String,
        /// What is wrong, and where.
        message: String,
    },
}

/// The time that a call of several programs has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    started: Instant,
    whole: Duration,
}

/// The output of a program, and what to call it in messages.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) command: String,
    pub(crate) stdout: String,
}

impl Budget {
    pub(crate) fn new(whole: Duration) -> Self {
        Self {
            started: Instant::now(),
            whole,
        }
    }

    fn remaining(&self) -> Duration {
        self.whole.saturating_sub(self.started.elapsed())
    }

    /// Runs a program that is to succeed.
    pub(crate) fn run(
        &self,
        program: &'static str,
        args: &[impl AsRef<OsStr>],
        input: String,
    ) -> Result<Said, ProgramError> {
        let words: Vec<OsString> = args.iter().map(|word| word.as_ref().to_owned()).collect();
        let command = || {
            let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
            format!("{program} {}", words.join(" "))
        };
        let left = self.remaining();
        let late = ProgramError::DeadlineExceeded {
            program,
            after: self.whole,
        };
        if left.is_zero() {
            return Err(late);
        }
        let finished = match run_with_input(Path::new(program), &words, input, left) {
            Ok(finished) => finished,
            Err(RunError::NotStarted(source) | RunError::Lost(source)) => {
                return Err(ProgramError::Unreachable { program, source });
            }
        };
        match finished.exit {
            Exit::Code(0) if finished.stdout_dropped > 0 => Err(ProgramError::Malformed {
                command: command(),
                message: format!("{} bytes too many", finished.stdout_dropped),
            }),
            Exit::Code(0) => Ok(Said {
                command: command(),
                stdout: finished.stdout,
            }),
            Exit::DeadlineExceeded => Err(late),
            exit => Err(ProgramError::Failed {
                command: command(),
                status: exit.to_string(),
                message: last_lines(&finished.stderr),
            }),
        }
    }
}

impl Said {
    pub(crate) fn malformed(&self, message: impl ToString) -> ProgramError {
        ProgramError::Malformed {
            command: self.command.clone(),
            message: message.to_string(),
        }
    }
}

impl ProgramError {
    /// Whether the program failed and said this.
    pub(crate) fn said(&self, text: &str) -> bool {
        matches!(self, Self::Failed { message, .. } if message.contains(text))
    }
}

/// The end of what a program wrote, on one line.
fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}
