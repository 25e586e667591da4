//! What the example programs share: exit codes, error reporting and what the terminal can do.
//!
//! ```
//! use s_core_examples::{Failure, run};
//!
//! fn main() -> std::process::ExitCode {
//!     run(|| {
//!         let weights = "1,10".split(',').map(str::parse::<f64>);
//!         let weights: Result<Vec<f64>, _> = weights.collect();
//!         weights.map_err(|e| Failure::usage(format!("--weights: {e}; write them like 1,10")))?;
//!         Ok(())
//!     })
//! }
//! ```

pub mod cli;
pub mod following;
pub mod watch;

use std::fmt::{self, Display};
use std::io::IsTerminal;
use std::process::ExitCode;

/// Why a program ends without having done what it was asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The call itself is wrong: exit code 2.
    Usage(String),
    /// The call is right, and something went wrong: exit code 1.
    Failed(String),
}

impl Failure {
    /// A wrong call.
    pub fn usage(message: impl Display) -> Self {
        Self::Usage(message.to_string())
    }

    /// Something that went wrong.
    pub fn failed(message: impl Display) -> Self {
        Self::Failed(message.to_string())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::Failed(message) => f.write_str(message),
        }
    }
}

/// Something that went wrong, with all its causes: `error: cause: cause`.
///
/// A cause whose text its effect already ends with is not said twice.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !message.ends_with(&text) {
                message = format!("{message}: {text}");
            }
            cause = error.source();
        }
        Self::Failed(message)
    }
}

/// Runs a program and says on standard error why it failed.
///
/// The exit code is 0 on success, 1 after [`Failure::Failed`], 2 after [`Failure::Usage`]; the last
/// is also clap's own.
pub fn run(main: fn() -> Result<(), Failure>) -> ExitCode {
    let Err(failure) = main() else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {failure}");
    match failure {
        Failure::Usage(_) => ExitCode::from(2),
        Failure::Failed(_) => ExitCode::FAILURE,
    }
}

/// Whether standard output shows escape sequences as colours and cursor movement: it is a terminal,
/// and neither `NO_COLOR` nor `TERM=dumb` says otherwise.
pub fn stdout_is_interactive() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    std::io::stdout().is_terminal() && !no_color && !dumb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);

    impl Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("cannot read servers.csv")
        }
    }

    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_failure_names_its_causes() {
        let cause = "x".parse::<u32>().expect_err("x is not a number");
        let wanted = "cannot read servers.csv: invalid digit found in string";
        assert_eq!(Failure::from(Outer(cause)), Failure::failed(wanted));
    }
}
