//! A connection between two hosts, on which everything has a time limit.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::wire::{Record, Reply};
use crate::error::LabError;
use crate::namespace;

/// A connection; reads and writes fail when the time that was set last is over.
#[derive(Debug)]
pub(super) struct Channel {
    stream: TcpStream,
    until: Instant,
}

impl Channel {
    pub(super) fn new(stream: TcpStream, time: Duration) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        let until = Instant::now() + time;
        Ok(Self { stream, until })
    }

    /// Connects, in a namespace, from one address to another.
    pub(super) fn connect(
        namespace: &str,
        from: SocketAddrV4,
        to: SocketAddrV4,
        time: Duration,
    ) -> Result<Self, String> {
        let connect = move || -> io::Result<TcpStream> {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
            socket.bind(&from.into())?;
            socket.connect_timeout(&to.into(), time.max(Duration::from_millis(1)))?;
            Ok(socket.into())
        };
        // A socket belongs to the namespace of the thread that makes it.
        let joined = namespace::spawn_in(namespace, connect).map(|thread| thread.join());
        let connected = match joined {
            Ok(Ok(connected)) => connected,
            Ok(Err(_)) => return Err("the thread that connects panicked".into()),
            Err(error) => return Err(error.to_string()),
        };
        let connected: Result<io::Result<TcpStream>, LabError> = connected;
        let stream = connected.map_err(|error| error.to_string())?;
        let channel = stream.and_then(|stream| Self::new(stream, time));
        channel.map_err(|error| format!("cannot connect to {to}: {error}"))
    }

    /// Gives whatever comes next this much time.
    pub(super) fn within(&mut self, time: Duration) {
        self.until = Instant::now() + time;
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    pub(super) fn reply(&mut self) -> io::Result<Reply> {
        let mut byte = [0];
        self.read_exact(&mut byte)?;
        Reply::decode(byte).ok_or_else(|| strange("reply", &byte))
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(late());
        }
        Ok(left)
    }
}

/// Reads the next record.
pub(super) fn record(from: &mut impl Read) -> io::Result<Record> {
    let mut bytes = [0; Record::LENGTH];
    from.read_exact(&mut bytes)?;
    Record::decode(&bytes).ok_or_else(|| strange("record", &bytes))
}

fn strange(what: &str, bytes: &[u8]) -> io::Error {
    let message = format!("{bytes:?} is no {what}");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "not in time")
}

/// What a socket says when its time is over.
fn timed(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => late(),
        _ => error,
    }
}

impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer).map_err(timed)
    }
}

impl Write for Channel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes).map_err(timed)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
