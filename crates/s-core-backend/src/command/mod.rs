//! Runs a program for a bounded time and keeps a bounded part of what it writes.

mod capture;
mod program;

use std::ffi::OsString;
use std::io::{self, Read, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};

use capture::Capture;

pub use program::ProgramError;
pub(crate) use program::{Budget, Said};

/// The longest output of a program that is read, in bytes: room for some 10,000 domains of `xl list -l`.
pub const MAX_OUTPUT: usize = 16 << 20;

/// How often to look whether the program has ended while something else holds its pipes open.
const TICK: Duration = Duration::from_millis(20);
/// How long to wait for a process to be gone once it was killed; one that waits in the kernel takes longer. A call
/// may end so long after its deadline.
const REAP_LIMIT: Duration = Duration::from_secs(1);
/// The longest time between asking a program to end and killing it.
const LONGEST_GRACE: Duration = Duration::from_millis(500);
/// How much is read at once.
const CHUNK: usize = 16 << 10;
/// How often each pipe is read at most after the program's end: more than a pipe holds, in case somebody else
/// goes on writing.
const LAST_READS: usize = (1 << 20) / CHUNK + 1;
/// How much of standard error is kept, from its beginning and from its end.
const STDERR_KEPT: (usize, usize) = (16 << 10, 48 << 10);

/// How a run of a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It ended with this exit code.
    Code(i32),
    /// Somebody else ended it with this signal.
    Signal(i32),
    /// It did not end in time and was killed.
    DeadlineExceeded,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
            Self::DeadlineExceeded => f.write_str("killed at its deadline"),
        }
    }
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        // Whatever was waited for and has no exit code was killed by a signal.
        let signal = || Self::Signal(status.signal().unwrap_or_default());
        status.code().map_or_else(signal, Self::Code)
    }
}

/// What a program did.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) exit: Exit,
    /// The beginning of standard output.
    pub(crate) stdout: String,
    /// How much of standard output was beyond [`MAX_OUTPUT`], in bytes.
    pub(crate) stdout_dropped: u64,
    /// The beginning and the end of standard error.
    pub(crate) stderr: String,
}

/// A program that could not be run to its end.
#[derive(Debug)]
pub(crate) enum RunError {
    /// It was not started.
    NotStarted(io::Error),
    /// It was, and what became of it is not known.
    Lost(io::Error),
}

/// Runs `program` without a shell, in a process group of its own, with nothing to read and with messages in
/// English. The whole group is killed in time for this call to return by `deadline`, but for [`REAP_LIMIT`] if the
/// program cannot be killed at once. All that it wrote before it ended by itself is there.
///
/// Processes that `program` leaves behind when it ends by itself are not touched.
///
/// # Errors
///
/// [`RunError`] if the program could not be started or watched.
pub(crate) fn run(
    program: &Path,
    args: &[OsString],
    deadline: Duration,
) -> Result<Finished, RunError> {
    run_with_input(program, args, String::new(), deadline)
}

/// As [`run`], with this to read.
///
/// # Errors
///
/// As [`run`].
pub(crate) fn run_with_input(
    program: &Path,
    args: &[OsString],
    input: String,
    deadline: Duration,
) -> Result<Finished, RunError> {
    let started = Instant::now();
    let grace = (deadline / 10).min(LONGEST_GRACE);
    let mut child = Command::new(program)
        .args(args)
        .env("LC_ALL", "C")
        .env("LANG", "C")
        .stdin(if input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(RunError::NotStarted)?;
    if let Some(mut stdin) = child.stdin.take() {
        // It ends with the program at the latest. What a program does not read it need not be given.
        thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    }
    let mut pipes = Pipes::of(&mut child);
    let exit = match wait(&mut child, &mut pipes, started, deadline - grace) {
        Ok(Some(status)) => {
            pipes.take_rest().map_err(RunError::Lost)?;
            status.into()
        }
        Ok(None) => {
            kill_group(child, &mut pipes, grace).map_err(RunError::Lost)?;
            Exit::DeadlineExceeded
        }
        Err(error) => {
            kill_group(child, &mut pipes, grace).map_err(RunError::Lost)?;
            return Err(RunError::Lost(error));
        }
    };
    let (stdout, stdout_dropped) = pipes.out.into_text();
    let (stderr, _) = pipes.err.into_text();
    Ok(Finished {
        exit,
        stdout,
        stdout_dropped,
        stderr,
    })
}

/// Waits for the program's end while taking what it writes; `None` if `limit` after `started` it still runs.
fn wait(
    child: &mut Child,
    pipes: &mut Pipes,
    started: Instant,
    limit: Duration,
) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let remaining = limit.saturating_sub(started.elapsed());
        if remaining.is_zero() {
            return Ok(None);
        }
        pipes.take(remaining.min(TICK))?;
    }
}

/// Asks the child's process group to end, kills it after `grace`, and waits for the child.
///
/// Until the last signal is sent the child is not waited for, so that its number, which is the group's too,
/// cannot become another process's.
fn kill_group(mut child: Child, pipes: &mut Pipes, grace: Duration) -> io::Result<()> {
    let group = Pid::from_child(&child);
    // An error means that nobody is left in the group.
    let _ = kill_process_group(group, Signal::TERM);
    pipes.drain(grace)?;
    let _ = kill_process_group(group, Signal::KILL);
    let killed = Instant::now();
    while child.try_wait()?.is_none() {
        if killed.elapsed() > REAP_LIMIT {
            // It is inside a system call that cannot be interrupted, for instance a hypercall.
            thread::spawn(move || child.wait());
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// The ends of a child's output pipes, and what came out of them.
struct Pipes {
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    out: Capture,
    err: Capture,
}

impl Pipes {
    fn of(child: &mut Child) -> Self {
        Self {
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            out: Capture::new(MAX_OUTPUT, 0),
            err: Capture::new(STDERR_KEPT.0, STDERR_KEPT.1),
        }
    }

    fn are_closed(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none()
    }

    /// Takes what comes until both pipes are closed or `limit` has passed.
    fn drain(&mut self, limit: Duration) -> io::Result<()> {
        let started = Instant::now();
        while !self.are_closed() {
            let remaining = limit.saturating_sub(started.elapsed());
            if remaining.is_zero() {
                break;
            }
            self.take(remaining)?;
        }
        Ok(())
    }

    /// Takes what is in the pipes of a program that has ended, however long that takes.
    fn take_rest(&mut self) -> io::Result<()> {
        for _ in 0..LAST_READS {
            if self.are_closed() || !self.take(Duration::ZERO)? {
                break;
            }
        }
        Ok(())
    }

    /// Waits at most `limit` for something to read and takes it; tells whether there was something.
    fn take(&mut self, limit: Duration) -> io::Result<bool> {
        if self.are_closed() {
            // Only the end of the process is left to wait for, and it is near.
            thread::sleep(limit.min(Duration::from_millis(1)));
            return Ok(false);
        }
        let open = [
            self.stdout.as_ref().map(ChildStdout::as_fd),
            self.stderr.as_ref().map(ChildStderr::as_fd),
        ];
        let [stdout_ready, stderr_ready] = ready(open, limit)?;
        if stdout_ready {
            take_once(&mut self.stdout, &mut self.out)?;
        }
        if stderr_ready {
            take_once(&mut self.stderr, &mut self.err)?;
        }
        Ok(stdout_ready || stderr_ready)
    }
}

/// Which of these can be read without waiting, after at most `limit`.
fn ready(open: [Option<BorrowedFd<'_>>; 2], limit: Duration) -> io::Result<[bool; 2]> {
    let mut polled: Vec<_> = open
        .iter()
        .flatten()
        .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
        .collect();
    let timeout = Timespec::try_from(limit).map_err(io::Error::other)?;
    match poll(&mut polled, Some(&timeout)) {
        Ok(_) => {}
        Err(rustix::io::Errno::INTR) => return Ok([false; 2]),
        Err(error) => return Err(error.into()),
    }
    let mut answers = polled.iter().map(|fd| !fd.revents().is_empty());
    Ok(open.map(|fd| fd.is_some() && answers.next().unwrap_or(false)))
}

/// Reads once from a pipe that is ready; drops it at its end.
fn take_once(pipe: &mut Option<impl Read>, into: &mut Capture) -> io::Result<()> {
    let mut buffer = [0; CHUNK];
    if let Some(open) = pipe {
        match open.read(&mut buffer) {
            Ok(0) => *pipe = None,
            Ok(count) => into.push(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
