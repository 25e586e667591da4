//! Programs of the system, run without a shell.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::error::LabError;
use crate::namespace::MARK;

/// Runs a command and returns what it wrote to standard output.
///
/// # Errors
///
/// [`LabError::Program`] if it cannot be run, [`LabError::Failed`] with the end of its standard error if it fails.
pub fn run(command: &mut Command) -> Result<String, LabError> {
    run_with_input(command, "")
}

/// As [`run`], with this standard input.
///
/// # Errors
///
/// As [`run`].
pub fn run_with_input(command: &mut Command, input: &str) -> Result<String, LabError> {
    let shown = command_line(command);
    let error = |source| LabError::Program {
        program: shown.clone(),
        source,
    };
    let spawned = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(error)?;
    let stdin = child.stdin.take();
    let input = input.to_owned();
    // What a program does not read it need not be given.
    let writer = std::thread::spawn(move || {
        stdin.map(|mut stdin| stdin.write_all(input.as_bytes()));
    });
    let output = child.wait_with_output().map_err(error)?;
    // It cannot panic.
    drop(writer.join());
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<_> = said.lines().filter(|line| !line.is_empty()).collect();
        let last = lines[lines.len().saturating_sub(3)..].join("; ");
        let message = if last.is_empty() {
            output.status.to_string()
        } else {
            last
        };
        return Err(LabError::Failed {
            command: shown,
            message,
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs many `ip` commands in one process; the first that fails ends it.
///
/// # Errors
///
/// As [`run`].
pub fn ip_batch(namespace: &str, lines: &[String]) -> Result<(), LabError> {
    batch(Command::new("ip").args(["-n", namespace]), namespace, lines)
}

/// Runs many `tc` commands in one process; the first that fails ends it.
///
/// # Errors
///
/// As [`run`].
pub fn tc_batch(namespace: &str, lines: &[String]) -> Result<(), LabError> {
    batch(Command::new("tc").args(["-n", namespace]), namespace, lines)
}

/// Runs many commands of `ip` or `tc` in one process that is known as one of the namespace; the first that fails ends it.
pub(crate) fn batch(
    program: &mut Command,
    namespace: &str,
    lines: &[String],
) -> Result<(), LabError> {
    let command = program.args(["-batch", "-"]).env(MARK, namespace);
    run_with_input(command, &lines.join("\n")).map(drop)
}

fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_say_what_was_run_and_what_it_said() {
        let mut cat = Command::new("cat");
        assert_eq!(run_with_input(&mut cat, "x").unwrap(), "x");
        let failed = run(Command::new("ls").arg("/nowhere/at/all"));
        let failed = failed.unwrap_err().to_string();
        assert!(failed.starts_with("ls /nowhere/at/all: "), "{failed}");
        let failed = run(&mut Command::new("no-such-program-here"));
        let failed = failed.unwrap_err().to_string();
        assert!(
            failed.starts_with("cannot run no-such-program-here: "),
            "{failed}"
        );
    }
}
