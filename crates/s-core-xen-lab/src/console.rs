//! The console of a host: the hypervisor's messages, and a shell of its control domain.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use s_core_lab::{HostNumber, LabError};

use crate::cache::file_error;
use crate::plan::Plan;

/// What leaves the console: Ctrl-].
const LEAVE: u8 = 0x1d;

/// Why a console was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// The user typed Ctrl-], or the input ended.
    ByUser,
    /// The host has ended.
    ByHost,
}

/// Joins standard input and output to a host's console until the user types Ctrl-], the input ends or the host does.
///
/// # Errors
///
/// [`LabError::File`] if the host does not run; [`LabError::Content`] if somebody else is at its console, or when the host ends.
pub fn attach(plan: &Plan, host: HostNumber) -> Result<(), LabError> {
    let path = plan.host_file(host, "console.sock");
    let error = |source| file_error(&path, source);
    let content = |problem: &str| LabError::Content {
        path: path.clone(),
        problem: problem.into(),
    };
    let mut console = UnixStream::connect(&path).map_err(error)?;
    // The emulator listens to one at a time, and lets others wait without a word.
    let lock = File::create(plan.host_file(host, "console.lock")).map_err(error)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(content("somebody else is at this console")),
        Err(TryLockError::Error(source)) => return Err(error(source)),
    }
    let left = {
        let _raw = Raw::terminal();
        join(&io::stdin(), &mut console, &mut io::stdout())
    };
    match left.map_err(error)? {
        Left::ByUser => Ok(()),
        Left::ByHost => Err(content("the host has ended")),
    }
}

/// Hands on what is typed and what is shown.
fn join(input: &impl AsFd, console: &mut UnixStream, output: &mut impl Write) -> io::Result<Left> {
    let mut buffer = [0; 4096];
    loop {
        let mut both = [
            PollFd::new(input, PollFlags::IN),
            PollFd::new(&*console, PollFlags::IN),
        ];
        retry_on_intr(|| poll(&mut both, None))?;
        let [typed, shown] = both.map(|of| !of.revents().is_empty());
        if shown {
            let length = match console.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
                read => read?,
            };
            if length == 0 {
                return Ok(Left::ByHost);
            }
            output.write_all(&buffer[..length])?;
            output.flush()?;
        }
        if typed {
            // Past the standard library's buffer, of which poll knows nothing.
            let length = match retry_on_intr(|| rustix::io::read(input, &mut buffer)) {
                // A terminal that is gone.
                Err(Errno::IO) => 0,
                read => read?,
            };
            let typed = &buffer[..length];
            let end = typed.iter().position(|byte| *byte == LEAVE);
            console.write_all(&typed[..end.unwrap_or(length)])?;
            if end.is_some() || length == 0 {
                return Ok(Left::ByUser);
            }
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
    use std::net::Shutdown;

    use super::*;

    /// What a host hears, what a user sees, and why it was left; the input's other end is open if `goes_on`.
    fn joined(typed: &[u8], goes_on: bool, shown: Option<&[u8]>) -> (Vec<u8>, Vec<u8>, Left) {
        let ((mut user, input), (mut console, mut host)) =
            (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        user.write_all(typed).unwrap();
        let user = goes_on.then_some(user);
        let host = match shown {
            Some(shown) => {
                host.write_all(shown).unwrap();
                // It says no more, and can still hear.
                host.shutdown(Shutdown::Write).unwrap();
                host
            }
            None => host,
        };
        let mut seen = Vec::new();
        let left = join(&input, &mut console, &mut seen).unwrap();
        drop((console, user));
        let mut heard = Vec::new();
        (&host).read_to_end(&mut heard).unwrap();
        (heard, seen, left)
    }

    #[test]
    fn what_is_typed_ends_with_the_key_that_leaves() {
        for (typed, sent) in [(&b"ls\r\x1dmore"[..], &b"ls\r"[..]), (b"\x1d", b"")] {
            let wanted = (sent.to_vec(), Vec::new(), Left::ByUser);
            assert_eq!(joined(typed, true, None), wanted);
        }
        let wanted = (b"abc".to_vec(), Vec::new(), Left::ByUser);
        assert_eq!(joined(b"abc", false, None), wanted);
    }

    #[test]
    fn it_ends_with_the_host() {
        let wanted = (Vec::new(), b"Kernel panic".to_vec(), Left::ByHost);
        assert_eq!(joined(b"", true, Some(b"Kernel panic")), wanted);
    }
}
