//! The gate before `xl migrate-receive`: nobody arrives whom the agent of this host does not expect.
//!
//! [`receive`] stands in the place of `xl migrate-receive` on the target, as the command that ssh is bound to or that socat runs. It
//! asks the agent through a Unix socket, and runs `xl migrate-receive` if it may. Nothing of the stream has been read then, so what
//! is known is where it comes from. The socket stays open until that program ends: so the agent knows how long the domain is
//! arriving, even if either is killed. It is not that program's own: what `xl` leaves behind to watch the domain would hold it open
//! as long as the domain lives.

use std::fs;
use std::io::{self, Read, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use s_core_model::ServerId;

use crate::Gate;

/// How long either side waits for the other's word.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most connections at a time; each is an arrival, or about to be.
const MOST: usize = 64;
/// The longest word, in bytes: an address, or why not.
const LONGEST: usize = 256;
const YES: &str = "yes\n";

/// Runs `program migrate-receive` to its end, if the agent that listens at `socket` expects a domain from `source`. That program
/// has this process's standard input, output and error.
///
/// # Errors
///
/// [`ReceiveError`] if the program was not run. How it ended is no error.
pub fn receive(
    socket: &Path,
    source: Ipv4Addr,
    program: &Path,
) -> Result<ExitStatus, ReceiveError> {
    let held = ask(socket, source)?;
    let ended = Command::new(program).arg("migrate-receive").status();
    drop(held);
    ended.map_err(|source| ReceiveError::Program {
        program: program.to_owned(),
        source,
    })
}

/// The connection to hold as long as the domain is arriving.
fn ask(socket: &Path, source: Ipv4Addr) -> Result<UnixStream, ReceiveError> {
    let mut answer = String::new();
    let mut talk = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(2 * PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(format!("{source}\n").as_bytes())?;
        answer = line(&stream)?;
        Ok(stream)
    };
    let stream = talk().map_err(|error: io::Error| ReceiveError::NoAgent {
        socket: socket.to_owned(),
        source: error,
    })?;
    if answer == YES {
        return Ok(stream);
    }
    let why = super::error::shortened(&answer);
    Err(ReceiveError::Refused { from: source, why })
}

/// Up to the end of a line; a byte at a time, as it is short.
fn line(mut stream: &UnixStream) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < LONGEST && !line.ends_with(b"\n") && stream.read(&mut byte)? > 0 {
        line.extend(byte);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// A migration that is not received; the domain stays where it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The agent cannot be asked.
    #[error("{}: the agent of this host cannot be asked, so nobody is let in: {source}", socket.display())]
    NoAgent {
        /// Its socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The agent does not expect a domain from there.
    #[error("a migration from {from} is not let in: {why}")]
    Refused {
        /// Where it comes from.
        from: Ipv4Addr,
        /// What the agent said.
        why: String,
    },
    /// The program cannot be run.
    #[error("cannot run {} migrate-receive: {source}", program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Answers every [`receive`] at this socket by what the gate says, in threads of its own, as long as the process lives.
///
/// # Errors
///
/// The system's, if the socket cannot be made.
pub(super) fn answer(socket: &Path, gate: Arc<dyn Gate>) -> io::Result<()> {
    // What a process before has left; never anything but a socket.
    if fs::symlink_metadata(socket).is_ok_and(|found| found.file_type().is_socket()) {
        fs::remove_file(socket)?;
    }
    let listener = UnixListener::bind(socket)?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
    let open = Arc::new(AtomicUsize::new(0));
    let work = move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                // Out of descriptors, for instance.
                thread::sleep(Duration::from_millis(100));
                continue;
            };
            if open.fetch_add(1, Ordering::SeqCst) >= MOST {
                open.fetch_sub(1, Ordering::SeqCst);
                continue;
            }
            let (gate, open_now) = (Arc::clone(&gate), Arc::clone(&open));
            let one = move || {
                if let Err(error) = attend(stream, &*gate) {
                    tracing::debug!(%error, "a program that receives a migration went away");
                }
                open_now.fetch_sub(1, Ordering::SeqCst);
            };
            let thread = thread::Builder::new().name("s-core-arrival".into());
            if thread.spawn(one).is_err() {
                open.fetch_sub(1, Ordering::SeqCst);
            }
        }
    };
    thread::Builder::new()
        .name("s-core-receive".into())
        .spawn(work)?;
    Ok(())
}

/// One arrival, until its program ends.
fn attend(mut stream: UnixStream, gate: &dyn Gate) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let said = line(&stream)?;
    let Ok(source) = said.trim_end().parse::<Ipv4Addr>() else {
        return stream.write_all(b"that is no address\n");
    };
    let Some(vm) = gate.admit_from(ServerId::from(source), PATIENCE) else {
        return stream.write_all(b"no room is reserved here for a VM from there\n");
    };
    let mut held = || {
        stream.write_all(YES.as_bytes())?;
        stream.set_read_timeout(None)?;
        io::copy(&mut stream, &mut io::sink())
    };
    let ended = held();
    gate.ended(vm);
    ended.map(drop)
}
