//! A TCP connection that carries a given number of bytes, without ever waiting.

use std::io::{self, ErrorKind, Write as _};
use std::net::{SocketAddrV4, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::PollFlags;
use socket2::{Domain, Protocol, Socket, Type};

/// A connection is given up if it is not there by then.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// A connection breaks if nothing is acknowledged for so long: a migrated VM, also one of an emulated
/// host, stands still for less.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(30);
/// What waits in the kernel to be sent: little, so that what was sent is nearly what has left.
const SEND_BUFFER: usize = 256 << 10;
/// What is sent. Nobody reads it.
static PAYLOAD: [u8; 1 << 16] = [0; 1 << 16];

/// A connection and what it has still to send.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// Until it is there: when it is given up.
    connecting: Option<Duration>,
    left: u32,
    blocked: bool,
}

/// How far a connection has come.
#[derive(Debug)]
pub(super) enum Progress {
    /// It is not there yet.
    Connecting,
    /// It has come to be.
    Connected,
    /// It has taken this many bytes: none if it takes no more now.
    Sent(u32),
}

impl Connection {
    /// Begins to connect, to send `bytes`. It is not bound to an address: then each destination has all local ports for
    /// itself, of which ended flows keep theirs for a minute.
    pub(super) fn open(to: SocketAddrV4, bytes: u32, now: Duration) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_send_buffer_size(SEND_BUFFER)?;
        socket.set_tcp_user_timeout(Some(ACKNOWLEDGED_WITHIN))?;
        match socket.connect(&to.into()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error)
                if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        Ok(Self {
            stream: socket.into(),
            connecting: Some(now + CONNECT_WITHIN),
            left: bytes,
            blocked: true,
        })
    }

    /// What it has still to send.
    pub(super) const fn left(&self) -> u32 {
        self.left
    }

    /// Goes on with what is possible: connects, or sends at most `most` bytes.
    pub(super) fn advance(&mut self, now: Duration, most: u32) -> io::Result<Progress> {
        if let Some(until) = self.connecting {
            return self.connect(now, until);
        }
        let wanted = usize::try_from(most.min(self.left)).unwrap_or(usize::MAX);
        let piece = &PAYLOAD[..wanted.min(PAYLOAD.len())];
        if piece.is_empty() {
            return Ok(Progress::Sent(0));
        }
        match self.stream.write(piece) {
            Ok(sent) => {
                self.blocked = sent < piece.len();
                let sent = u32::try_from(sent).unwrap_or(u32::MAX);
                self.left = self.left.saturating_sub(sent);
                Ok(Progress::Sent(sent))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.blocked = true;
                Ok(Progress::Sent(0))
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Progress::Sent(0)),
            Err(error) => Err(error),
        }
    }

    fn connect(&mut self, now: Duration, until: Duration) -> io::Result<Progress> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        if self.stream.peer_addr().is_ok() {
            (self.connecting, self.blocked) = (None, false);
            return Ok(Progress::Connected);
        }
        if now >= until {
            return Err(ErrorKind::TimedOut.into());
        }
        Ok(Progress::Connecting)
    }

    /// What to wait for before it can go on: to become writable if the kernel takes no more now.
    pub(super) fn interest(&self) -> (BorrowedFd<'_>, PollFlags) {
        let flags = if self.blocked {
            PollFlags::OUT
        } else {
            PollFlags::empty()
        };
        (self.stream.as_fd(), flags)
    }

    /// When it has to be looked at, whatever happens.
    pub(super) const fn deadline(&self) -> Option<Duration> {
        self.connecting
    }

    /// An error that has not been met yet.
    pub(super) fn error(&self) -> io::Result<()> {
        self.stream.take_error()?.map_or(Ok(()), Err)
    }
}
