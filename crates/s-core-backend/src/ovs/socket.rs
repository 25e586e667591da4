//! A Unix socket that carries JSON objects without framing, and a deadline for all of it.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::json::ObjectEnd;
use crate::FlowSourceError;

/// How long to wait before trying a server again whose queue of connections is full.
const RETRY: Duration = Duration::from_millis(5);

const CHUNK: usize = 64 * 1024;

/// One connection; every call on it shares one deadline.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    what: String,
    time: Time,
    limit: usize,
    /// Bytes that came after the last object.
    pending: Vec<u8>,
}

impl Connection {
    /// Connects to the socket at `path`; objects longer than `limit` bytes are refused.
    pub(super) fn open(
        path: &Path,
        deadline: Duration,
        limit: usize,
    ) -> Result<Self, FlowSourceError> {
        let what = path.display().to_string();
        let time = Time::starting_now(deadline);
        match connect(path, &time) {
            Ok(stream) => Ok(Self {
                stream,
                what,
                time,
                limit,
                pending: Vec::new(),
            }),
            Err(error) => Err(time.explain(&what, error)),
        }
    }

    /// Which socket this is.
    pub(super) fn what(&self) -> &str {
        &self.what
    }

    /// Sends all of `bytes`.
    pub(super) fn send(&mut self, mut bytes: &[u8]) -> Result<(), FlowSourceError> {
        while !bytes.is_empty() {
            let written = self.time.left().and_then(|left| {
                self.stream.set_write_timeout(Some(left))?;
                self.stream.write(bytes)
            });
            match written {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.time.explain(&self.what, error)),
            }
        }
        Ok(())
    }

    /// Waits for the next whole JSON object and returns its bytes.
    pub(super) fn receive(&mut self) -> Result<Vec<u8>, FlowSourceError> {
        let mut scanner = ObjectEnd::default();
        let mut scanned = 0;
        let mut chunk = vec![0; CHUNK];
        loop {
            match scanner.feed(&self.pending[scanned..]) {
                Ok(Some(end)) => {
                    let rest = self.pending.split_off(scanned + end);
                    return Ok(std::mem::replace(&mut self.pending, rest));
                }
                Ok(None) => scanned = self.pending.len(),
                Err(_) => return Err(self.malformed("it is not a JSON object".into())),
            }
            if scanned > self.limit {
                return Err(self.malformed(format!(
                    "it is longer than {} bytes; ask for less, or raise this limit with with_reply_limit",
                    self.limit
                )));
            }
            let count = self.read(&mut chunk)?;
            if count == 0 {
                return Err(self.malformed(format!("it ends after {scanned} bytes")));
            }
            self.pending.extend_from_slice(&chunk[..count]);
        }
    }

    fn read(&mut self, chunk: &mut [u8]) -> Result<usize, FlowSourceError> {
        loop {
            let count = self.time.left().and_then(|left| {
                self.stream.set_read_timeout(Some(left))?;
                self.stream.read(chunk)
            });
            match count {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map_err(|error| self.time.explain(&self.what, error)),
            }
        }
    }

    /// The error for an answer that cannot be understood.
    pub(super) fn malformed(&self, message: String) -> FlowSourceError {
        FlowSourceError::Malformed {
            what: self.what.clone(),
            message,
        }
    }
}

/// Connects without ever blocking longer than there is time: a blocking connect to a Unix socket
/// waits for ever when the server does not accept.
fn connect(path: &Path, time: &Time) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path)?;
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    loop {
        match rustix::net::connect(&socket, &address) {
            Ok(()) => break,
            Err(Errno::AGAIN) => std::thread::sleep(time.left()?.min(RETRY)),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// A deadline that runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    start: Instant,
    given: Duration,
}

impl Time {
    pub(super) fn starting_now(given: Duration) -> Self {
        Self {
            start: Instant::now(),
            given,
        }
    }

    /// What is left, never zero.
    pub(super) fn left(&self) -> io::Result<Duration> {
        let left = self.given.saturating_sub(self.start.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(left)
    }

    /// What went wrong with the socket `what`; a timeout of the socket is the deadline's.
    pub(super) fn explain(&self, what: &str, error: io::Error) -> FlowSourceError {
        let what = what.to_owned();
        if matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
        ) {
            let after = self.given;
            return FlowSourceError::DeadlineExceeded { what, after };
        }
        FlowSourceError::Unreachable {
            what,
            source: error,
        }
    }
}
