//! Programs of the system, run without a shell.

use std::io::{self, Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::LabError;
use crate::namespace::MARK;

/// How often to look whether a program has ended that is to be killed at its deadline.
const LOOK: Duration = Duration::from_millis(2);
/// How often to ask whether a program shall end.
const ASK: Duration = Duration::from_millis(50);

/// What ends a program that does not end by itself.
#[derive(Clone, Copy)]
enum Until<'a> {
    Nothing,
    Deadline(Duration),
    Stopped(&'a dyn Fn() -> bool),
}

/// Runs a command and returns what it wrote to standard output.
///
/// # Errors
///
/// [`LabError::Program`] if it cannot be run, [`LabError::Failed`] with the end of its standard error if it fails.
pub fn run(command: &mut Command) -> Result<String, LabError> {
    execute(command, "", Until::Nothing)
}

/// As [`run`], with this standard input.
///
/// # Errors
///
/// As [`run`].
pub fn run_with_input(command: &mut Command, input: &str) -> Result<String, LabError> {
    execute(command, input, Until::Nothing)
}

/// As [`run`], with a deadline, after which the program is killed.
///
/// # Errors
///
/// As [`run`], and [`LabError::DeadlineExceeded`].
pub fn run_within(command: &mut Command, deadline: Duration) -> Result<String, LabError> {
    execute(command, "", Until::Deadline(deadline))
}

/// As [`run_with_input`], but as soon as `stopped` says so the program gets SIGTERM, from which it is to end soon.
///
/// # Errors
///
/// As [`run`]; a program that ended by the signal has failed.
pub fn run_unless(
    command: &mut Command,
    input: &str,
    stopped: &dyn Fn() -> bool,
) -> Result<String, LabError> {
    execute(command, input, Until::Stopped(stopped))
}

fn execute(command: &mut Command, input: &str, until: Until<'_>) -> Result<String, LabError> {
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
    let ended = wait(&mut child, until).map_err(error)?;
    // They cannot panic.
    drop(writer.join());
    let [output, errors] = [output, errors].map(|reader| reader.join().unwrap_or_default());
    match ended {
        End::Itself(status) if status.success() => Ok(String::from_utf8_lossy(&output).into()),
        End::Itself(status) => Err(failed(shown, status, &errors)),
        End::Killed { after } => Err(LabError::DeadlineExceeded { what: shown, after }),
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

/// How a program ended.
#[derive(Clone, Copy)]
enum End {
    Itself(ExitStatus),
    Killed { after: Duration },
}

fn wait(child: &mut Child, until: Until<'_>) -> io::Result<End> {
    match until {
        Until::Nothing => child.wait().map(End::Itself),
        Until::Deadline(after) => {
            let by = Instant::now() + after;
            loop {
                if let Some(status) = child.try_wait()? {
                    return Ok(End::Itself(status));
                }
                if Instant::now() >= by {
                    child.kill()?;
                    return child.wait().map(|_| End::Killed { after });
                }
                thread::sleep(LOOK);
            }
        }
        Until::Stopped(stopped) => {
            while !stopped() {
                if let Some(status) = child.try_wait()? {
                    return Ok(End::Itself(status));
                }
                thread::sleep(ASK);
            }
            terminate(child);
            child.wait().map(End::Itself)
        }
    }
}

/// Sends SIGTERM to a child.
pub fn terminate(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended just now.
        let _ = kill_process(pid, Signal::TERM);
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

    #[test]
    fn a_program_ends_when_nobody_wants_it_any_more() {
        let mut cat = Command::new("cat");
        assert_eq!(run_unless(&mut cat, "x", &|| false).unwrap(), "x");
        let began = Instant::now();
        let mut sleep = Command::new("timeout");
        let stopped = || began.elapsed() > Duration::from_millis(200);
        let failed = run_unless(sleep.args(["60", "sleep", "61"]), "", &stopped);
        let failed = failed.unwrap_err();
        assert!(matches!(failed, LabError::Failed { .. }), "{failed}");
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}
