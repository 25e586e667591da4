//! Running the programs that rules are read and set with.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use super::error::InterceptionError;
use crate::command::{Exit, RunError, run_with_input};

/// The time that a call of several programs has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    started: Instant,
    whole: Duration,
}

/// The output of a program, and what to call it in messages.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) command: String,
    pub(super) stdout: String,
}

impl Budget {
    pub(super) fn new(whole: Duration) -> Self {
        Self {
            started: Instant::now(),
            whole,
        }
    }

    fn remaining(&self) -> Duration {
        self.whole.saturating_sub(self.started.elapsed())
    }

    /// Runs a program that is to succeed.
    pub(super) fn run(
        &self,
        program: &'static str,
        args: &[&str],
        input: String,
    ) -> Result<Said, InterceptionError> {
        let words = args.iter().map(OsString::from);
        let words: Vec<_> = words.collect();
        let command = || format!("{program} {}", args.join(" "));
        let left = self.remaining();
        let late = InterceptionError::DeadlineExceeded {
            program,
            after: self.whole,
        };
        if left.is_zero() {
            return Err(late);
        }
        let finished = match run_with_input(Path::new(program), &words, input, left) {
            Ok(finished) => finished,
            Err(RunError::NotStarted(source) | RunError::Lost(source)) => {
                return Err(InterceptionError::Unreachable { program, source });
            }
        };
        match finished.exit {
            Exit::Code(0) if finished.stdout_dropped > 0 => Err(InterceptionError::Malformed {
                command: command(),
                message: format!("{} bytes too many", finished.stdout_dropped),
            }),
            Exit::Code(0) => Ok(Said {
                command: command(),
                stdout: finished.stdout,
            }),
            Exit::DeadlineExceeded => Err(late),
            exit => Err(InterceptionError::Failed {
                command: command(),
                status: exit.to_string(),
                message: last_lines(&finished.stderr),
            }),
        }
    }
}

impl Said {
    pub(super) fn malformed(&self, message: impl ToString) -> InterceptionError {
        InterceptionError::Malformed {
            command: self.command.clone(),
            message: message.to_string(),
        }
    }
}

/// Whether the program failed and said this.
pub(super) fn said(error: &InterceptionError, text: &str) -> bool {
    matches!(error, InterceptionError::Failed { message, .. } if message.contains(text))
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
