//! The console of a host: the hypervisor's messages, and a shell of its control domain.

use std::io::{self, Read, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use s_core_lab::{HostNumber, LabError};

use crate::cache::file_error;
use crate::plan::Plan;

/// What leaves the console: Ctrl-].
const LEAVE: u8 = 0x1d;

/// Joins standard input and output to a host's console until the user types Ctrl-], the input ends or the host does.
///
/// # Errors
///
/// [`LabError::File`] if the host does not run or somebody else is at its console.
pub fn attach(plan: &Plan, host: HostNumber) -> Result<(), LabError> {
    let path = plan.host_file(host, "console.sock");
    let error = |source| file_error(&path, source);
    let mut console = UnixStream::connect(&path).map_err(error)?;
    let mut output = console.try_clone().map_err(error)?;
    let _raw = Raw::terminal();
    let printer = thread::spawn(move || -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            let length = output.read(&mut buffer)?;
            if length == 0 {
                return Ok(());
            }
            let mut stdout = io::stdout().lock();
            stdout.write_all(&buffer[..length])?;
            stdout.flush()?;
        }
    });
    let typed = type_into(&mut io::stdin().lock(), &mut console);
    // The host may be gone already.
    let _ = console.shutdown(Shutdown::Both);
    // What it could not print it has nobody to tell.
    let _ = printer.join();
    typed.map_err(error)
}

/// Sends what is typed until Ctrl-] or the end.
fn type_into(from: &mut impl Read, to: &mut impl io::Write) -> io::Result<()> {
    let mut buffer = [0; 256];
    loop {
        let length = from.read(&mut buffer)?;
        let typed = &buffer[..length];
        let end = typed.iter().position(|byte| *byte == LEAVE);
        to.write_all(&typed[..end.unwrap_or(length)])?;
        to.flush()?;
        if end.is_some() || length == 0 {
            return Ok(());
        }
    }
}

/// A terminal that hands on every key at once, as it was again in the end.
struct Raw(Termios);

impl Raw {
    fn terminal() -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone need not be set.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_ends_with_the_key_that_leaves() {
        for (typed, sent) in [
            (&b"ls\r\x1dmore"[..], &b"ls\r"[..]),
            (b"\x1d", b""),
            (b"abc", b"abc"),
        ] {
            let mut to = Vec::new();
            type_into(&mut &*typed, &mut to).unwrap();
            assert_eq!(to, sent);
        }
    }
}
