//! The socket that the kernel is asked over.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
    sockopt,
};

use super::NetlinkError;
use super::answer::{Progress, read_piece};
use super::wire::Request;
use crate::FlowSourceError;
use crate::ovs::socket::Time;

/// The kernel answers in pieces of at most 32 KiB.
const PIECE: usize = 1 << 16;

/// A socket of generic netlink; everything that is asked over it shares one deadline and one limit of length.
#[derive(Debug)]
pub(super) struct Socket {
    socket: OwnedFd,
    time: Time,
    /// How many bytes answers may still have, and had to begin with.
    left: usize,
    limit: usize,
    sequence: u32,
    buffer: Vec<u8>,
}

/// Why a request came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// The socket failed, or what was asked for does not suit.
    Source(FlowSourceError),
    /// What came is no whole answer.
    Answer(NetlinkError),
}

impl Socket {
    /// Opens a socket in the network that the calling thread is in.
    pub(super) fn open(deadline: Duration, limit: usize) -> Result<Self, Failure> {
        let time = Time::starting_now(deadline);
        let open = || -> io::Result<OwnedFd> {
            let protocol = Some(netlink::GENERIC);
            let flags = SocketFlags::CLOEXEC;
            let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
            // Of a socket that is connected to the kernel, nobody else can be heard.
            connect(&socket, &SocketAddrNetlink::new(0, 0))?;
            Ok(socket)
        };
        let socket = open().map_err(|error| Failure::Source(time.explain(WHAT, error)))?;
        Ok(Self {
            socket,
            time,
            left: limit,
            limit,
            sequence: 0,
            buffer: vec![0; PIECE],
        })
    }

    /// Asks, and tells `each` what every message of the answer holds behind its header.
    pub(super) fn ask(
        &mut self,
        request: &Request<'_>,
        mut each: impl FnMut(&[u8]) -> Result<(), NetlinkError>,
    ) -> Result<(), Failure> {
        self.sequence += 1;
        let message = request.message(self.sequence);
        send(&self.socket, &message, SendFlags::empty()).map_err(|errno| self.failed(errno))?;
        let mut answer = Progress::default();
        while !answer.ended {
            let length = self.receive()?;
            let piece = read_piece(&self.buffer[..length], self.sequence, &mut each);
            let piece = piece.map_err(Failure::Answer)?;
            answer.ended = piece.ended;
            answer.interrupted |= piece.interrupted;
        }
        answer.whole().map_err(Failure::Answer)
    }

    /// The length of the next piece, which is in the buffer.
    fn receive(&mut self) -> Result<usize, Failure> {
        let length = loop {
            let wait = self.time.left().and_then(|left| {
                sockopt::set_socket_timeout(&self.socket, sockopt::Timeout::Recv, Some(left))?;
                Ok(recv(&self.socket, &mut self.buffer[..], RecvFlags::TRUNC)?)
            });
            match wait {
                Ok((_, length)) => break length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        };
        if length > self.buffer.len() {
            return Err(malformed(format!("a piece of it has {length} bytes")));
        }
        self.left = self.left.checked_sub(length).ok_or_else(|| {
            malformed(format!(
                "it is longer than {} bytes; raise this limit with with_reply_limit",
                self.limit
            ))
        })?;
        Ok(length)
    }

    fn failed(&self, error: impl Into<io::Error>) -> Failure {
        Failure::Source(self.time.explain(WHAT, error.into()))
    }
}

/// What the socket is called in errors.
pub(super) const WHAT: &str = "the kernel's datapath (generic netlink)";

fn malformed(message: String) -> Failure {
    Failure::Source(FlowSourceError::Malformed {
        what: WHAT.to_owned(),
        message,
    })
}

impl Failure {
    /// What a caller is told of it.
    pub(super) fn into_error(self) -> FlowSourceError {
        let what = WHAT.to_owned();
        match self {
            Self::Source(error) => error,
            Self::Answer(NetlinkError::Refused(error)) => FlowSourceError::Refused {
                what,
                message: error.to_string(),
            },
            Self::Answer(error) => FlowSourceError::Malformed {
                what,
                message: error.to_string(),
            },
        }
    }
}
