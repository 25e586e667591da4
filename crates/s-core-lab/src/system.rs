//! Programs of the system, run without a shell.

use std::io::{self, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::LabError;
use crate::namespace::MARK;

/// How often to look whether a program has ended.
const LOOK: Duration = Duration::from_millis(2);

/// Runs a command and returns what it wrote to standard output.
///
/// # Errors
///
/// [`LabError::Program`] if it cannot be run, [`LabError::Failed`] with the end of its standard error if it fails.
pub fn run(command: &mut Command) -> Result<String, LabError> {
    execute(command, "", None)
}

/// As [`run`], with this standard input.
///
/// # Errors
///
/// As [`run`].
pub fn run_with_input(command: &mut Command, input: &str) -> Result<String, LabError> {
    execute(command, input, None)
}

/// As [`run`], with a deadline, after which the program is killed.
///
/// # Errors
///
/// As [`run`], and [`LabError::DeadlineExceeded`].
pub fn run_within(command: &mut Command, deadline: Duration) -> Result<String, LabError> {
    execute(command, "", Some(deadline))
}

fn execute(
    command: &mut Command,
    input: &str,
    deadline: Option<Duration>,
) -> Result<String, LabError> {
    let by = deadline.map(|deadline| Instant::now() + deadline);
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
    let writer = thread::spawn(move || {
        stdin.map(|mut stdin| stdin.write_all(input.as_bytes()));
    });
    let [output, errors] = [read(child.stdout.take()), read(child.stderr.take())];
    let ended = wait(&mut child, by).map_err(error)?;
    // They cannot panic.
    drop(writer.join());
    let [output, errors] = [output, errors].map(|reader| reader.join().unwrap_or_default());
    match ended {
        Some(status) if status.success() => Ok(String::from_utf8_lossy(&output).into_owned()),
        Some(status) => Err(failed(shown, status, &errors)),
        None => Err(LabError::DeadlineExceeded {
            what: shown,
            after: deadline.unwrap_or_default(),
        }),
    }
}

/// Reads all that a program writes, in a thread.
fn read(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is what there is.
            let _ = pipe.read_to_end(&mut all);
        }
        all
    })
}

/// Waits for a program's end; if it has not ended by then it is killed, and `None` returned.
fn wait(child: &mut Child, by: Option<Instant>) -> io::Result<Option<ExitStatus>> {
    let Some(by) = by else {
        return child.wait().map(Some);
    };
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= by {
            child.kill()?;
            return child.wait().map(|_| None);
        }
        thread::sleep(LOOK);
    }
}

/// What a program said last of its failure.
fn failed(command: String, status: ExitStatus, errors: &[u8]) -> LabError {
    let said = String::from_utf8_lossy(errors);
    let lines: Vec<_> = said.lines().filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(3)..].join("; ");
    let message = if last.is_empty() {
        status.to_string()
    } else {
        last
    };
    LabError::Failed { command, message }
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

    #[test]
    fn a_program_has_until_its_deadline() {
        let within = |command: &mut Command| run_within(command, Duration::from_millis(200));
        assert_eq!(within(Command::new("echo").arg("x")).unwrap(), "x\n");
        let failed = within(Command::new("ls").arg("/nowhere/at/all")).unwrap_err();
        assert!(matches!(failed, LabError::Failed { .. }), "{failed}");
        let began = Instant::now();
        let late = within(Command::new("sleep").arg("30")).unwrap_err();
        assert_eq!(late.to_string(), "sleep 30: not within 200ms");
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}
