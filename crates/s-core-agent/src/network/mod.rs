//! The thread that listens: datagrams and connections, as long as they bear the cluster's seal.

mod connection;
mod refusals;

use std::io::{self, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use s_core_model::{Levels as _, ServerId};
use s_core_proto::wire::Codec;
use s_core_topology::LocationTable;

use crate::config::NetworkLimits;
use crate::driver::Incoming;
use connection::{Connection, Progress};
pub(crate) use refusals::{Refusal, Refusals};

/// Datagrams read before connections get their turn.
const DATAGRAMS_PER_TURN: usize = 256;
/// Connections accepted before others get their turn.
const ACCEPTS_PER_TURN: usize = 16;
/// Bytes read at a time: longer than any datagram.
const SCRATCH: usize = 1 << 16;
/// How long to accept no connection after the system had no descriptor left for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Frames that may lie half received in all connections together, in lengths of the longest frame.
const HALF_RECEIVED_FRAMES: usize = 4;

/// The sockets of an agent and what bounds them.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) udp: UdpSocket,
    pub(crate) listener: TcpListener,
    /// Readable when the thread shall look at `stop`.
    pub(crate) wake: UnixStream,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) codec: Codec,
    pub(crate) servers: Arc<LocationTable>,
    pub(crate) limits: NetworkLimits,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) inbox: SyncSender<Incoming>,
}

/// Ends a [`Network`] from another thread.
#[derive(Debug)]
pub(crate) struct NetworkStop {
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) wake: UnixStream,
}

/// Whoever goes away with this ends the network thread too.
impl Drop for NetworkStop {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // The only way in which this fails is that the thread has ended already.
        drop(self.wake.write(&[0]));
    }
}

/// What of the poll's descriptors is ready.
struct Ready {
    udp: bool,
    listener: bool,
    connections: Vec<bool>,
}

impl Network {
    /// Listens until it is told to stop.
    pub(crate) fn run(mut self) {
        let mut scratch = vec![0; SCRATCH];
        let mut connections: Vec<Connection> = Vec::new();
        let mut accept_from = Instant::now();
        while !self.stop.load(Ordering::SeqCst) {
            let ready = match self.wait(&connections, accept_from) {
                Ok(ready) => ready,
                Err(error) => {
                    tracing::error!(%error, "cannot wait for the network");
                    std::thread::sleep(ACCEPT_PAUSE);
                    continue;
                }
            };
            if ready.udp {
                self.read_datagrams(&mut scratch);
            }
            self.read_connections(&mut connections, &ready.connections, &mut scratch);
            if ready.listener && !self.accept(&mut connections) {
                accept_from = Instant::now() + ACCEPT_PAUSE;
            }
        }
    }

    fn wait(&self, connections: &[Connection], accept_from: Instant) -> io::Result<Ready> {
        let now = Instant::now();
        let accepting = now >= accept_from;
        let mut timeout = (!accepting).then(|| accept_from - now);
        let mut fds = vec![
            PollFd::new(&self.wake, PollFlags::IN),
            PollFd::new(&self.udp, PollFlags::IN),
            PollFd::new(
                &self.listener,
                if accepting {
                    PollFlags::IN
                } else {
                    PollFlags::empty()
                },
            ),
        ];
        for connection in connections {
            fds.push(PollFd::new(&connection.stream, PollFlags::IN));
            let left = connection
                .deadline(&self.limits)
                .saturating_duration_since(now);
            timeout = Some(timeout.map_or(left, |timeout| timeout.min(left)));
        }
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            // A nanosecond more, so that the deadline has passed when the wait is over.
            tv_nsec: (timeout.subsec_nanos() + 1).min(999_999_999).into(),
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        Ok(Ready {
            udp: ready(&fds[1]),
            listener: ready(&fds[2]),
            connections: fds[3..].iter().map(ready).collect(),
        })
    }

    fn read_datagrams(&mut self, scratch: &mut [u8]) {
        for _ in 0..DATAGRAMS_PER_TURN {
            match self.udp.recv_from(scratch) {
                Ok((length, _)) => {
                    // Most of a flood is refused before it is copied.
                    let datagram = &scratch[..length];
                    match s_core_proto::wire::frame_len(datagram, self.codec.max_frame()) {
                        Ok(_) => drop(self.open(&Bytes::copy_from_slice(datagram))),
                        Err(error) => self.refusals.count(error.into()),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => tracing::debug!(%error, "a datagram could not be read"),
            }
        }
    }

    /// Opens a frame and hands its message over; says whether the frame bore the seal of a known server.
    fn open(&self, frame: &Bytes) -> bool {
        let opened = match self.codec.open(frame) {
            Ok(opened) => opened,
            Err(error) => {
                self.refusals.count(error.into());
                return false;
            }
        };
        let sender = opened.sender;
        if self.servers.index_of(sender).is_none() {
            self.refusals.count(Refusal::UnknownSender);
            return false;
        }
        let message = opened.message;
        if let Err(TrySendError::Full(_)) =
            self.inbox.try_send(Incoming::Message { sender, message })
        {
            self.refusals.count(Refusal::Busy);
        }
        true
    }

    fn read_connections(
        &mut self,
        connections: &mut Vec<Connection>,
        ready: &[bool],
        scratch: &mut [u8],
    ) {
        let now = Instant::now();
        let mut position = 0;
        connections.retain_mut(|connection| {
            let readable = ready.get(position).copied().unwrap_or(false);
            position += 1;
            if readable && !self.read_connection(connection, scratch) {
                return false;
            }
            let in_time = now < connection.deadline(&self.limits);
            if !in_time {
                self.refusals.count(Refusal::TooSlow);
            }
            in_time
        });
        let bound = HALF_RECEIVED_FRAMES * self.codec.max_frame();
        while connections.iter().map(Connection::held).sum::<usize>() > bound {
            self.drop_least(connections);
        }
    }

    /// Reads what has come; says whether to keep the connection.
    fn read_connection(&self, connection: &mut Connection, scratch: &mut [u8]) -> bool {
        loop {
            match connection.read(scratch, self.codec.max_frame()) {
                Ok(Progress::Waiting) => return true,
                Ok(Progress::Frame(frame)) => {
                    if !self.open(&frame) {
                        return false;
                    }
                    connection.delivered();
                }
                Ok(Progress::Closed) => return false,
                Err(refusal) => {
                    self.refusals.count(refusal);
                    return false;
                }
            }
        }
    }

    /// Says whether to go on accepting.
    fn accept(&self, connections: &mut Vec<Connection>) -> bool {
        for _ in 0..ACCEPTS_PER_TURN {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    let known = self.is_server(peer.ip());
                    match Connection::new(stream, known) {
                        Ok(connection) => connections.push(connection),
                        Err(error) => tracing::debug!(%error, "a connection could not be set up"),
                    }
                    if connections.len() > self.limits.connections {
                        self.drop_least(connections);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    self.drop_least(connections);
                    return false;
                }
            }
        }
        true
    }

    fn is_server(&self, address: std::net::IpAddr) -> bool {
        match address {
            std::net::IpAddr::V4(address) => {
                self.servers.index_of(ServerId::from(address)).is_some()
            }
            std::net::IpAddr::V6(_) => false,
        }
    }

    /// Closes the connection that matters least.
    fn drop_least(&self, connections: &mut Vec<Connection>) {
        let least = (0..connections.len()).min_by_key(|i| connections[*i].worth());
        if let Some(least) = least {
            connections.remove(least);
            self.refusals.count(Refusal::TooMany);
        }
    }
}

/// A pipe that wakes a thread which waits in `poll`.
pub(crate) fn wake_pipe() -> io::Result<(UnixStream, UnixStream)> {
    let (reader, writer) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    writer.set_nonblocking(true)?;
    Ok((reader, writer))
}
