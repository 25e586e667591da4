//! The thread that listens: datagrams and connections, as long as they bear the cluster's seal.

mod connection;
mod mail;
mod refusals;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use s_core_model::Levels as _;
use s_core_proto::wire::Opener;
use s_core_topology::LocationTable;

use crate::config::NetworkLimits;
use connection::{Connection, Progress};
use mail::MailSender;
pub(crate) use mail::{Letter, Mailbox, mail};
pub(crate) use refusals::{Refusal, Refusals};

/// Datagrams read before connections get their turn.
const DATAGRAMS_PER_TURN: usize = 256;
/// Connections accepted before others get their turn.
const ACCEPTS_PER_TURN: usize = 16;
/// Bytes read at a time: longer than any datagram.
const SCRATCH: usize = 1 << 16;
/// How long to accept no connection after the system had no descriptor left for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often to see whether the main thread has taken a token, while tokens wait to be read.
const TOKEN_PAUSE: Duration = Duration::from_millis(2);
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
    /// One for datagrams and connections, as a sender counts its frames together.
    pub(crate) opener: Opener<Arc<LocationTable>>,
    pub(crate) servers: Arc<LocationTable>,
    pub(crate) limits: NetworkLimits,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) mail: MailSender,
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

/// What of the poll's descriptors is ready; no connection if none was waited for.
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
            let reading = self.mail.has_room();
            let ready = match self.wait(&connections, accept_from, reading) {
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

    /// Waits for something to do; for connections only if tokens are to be read.
    fn wait(
        &self,
        connections: &[Connection],
        accept_from: Instant,
        reading: bool,
    ) -> io::Result<Ready> {
        let now = Instant::now();
        let accepting = now >= accept_from;
        let mut timeout = (!accepting).then(|| accept_from - now);
        if !reading || connections.iter().any(|connection| connection.more) {
            timeout = Some(timeout.map_or(TOKEN_PAUSE, |timeout| timeout.min(TOKEN_PAUSE)));
        }
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
            if reading {
                fds.push(PollFd::new(&connection.stream, PollFlags::IN));
            }
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
                Ok((length, from)) => {
                    // Most of a flood is refused before it is copied.
                    let datagram = &scratch[..length];
                    match s_core_proto::wire::frame_len(datagram, self.opener.max_frame()) {
                        Ok(_) => self.take_datagram(ipv4(from), &Bytes::copy_from_slice(datagram)),
                        Err(error) => self.refusals.count(error.into()),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => tracing::debug!(%error, "a datagram could not be read"),
            }
        }
    }

    fn take_datagram(&mut self, from: Ipv4Addr, frame: &Bytes) {
        match self.open(from, frame) {
            Some(letter) if letter.message.wants_stream() => {
                self.refusals.count(Refusal::TokenInDatagram);
            }
            Some(letter) => self.hand_over(letter),
            None => {}
        }
    }

    /// Opens a new frame that bears the seal of the server that it came from.
    fn open(&mut self, from: Ipv4Addr, frame: &Bytes) -> Option<Letter> {
        match self.opener.open(from, frame) {
            Ok(opened) => Some(Letter {
                sender: opened.sender,
                message: opened.message,
            }),
            Err(error) => {
                tracing::debug!(%from, %error, "refused");
                self.refusals.count(error.into());
                None
            }
        }
    }

    fn hand_over(&mut self, letter: Letter) {
        if !self.mail.send(letter) {
            self.refusals.count(Refusal::Busy);
        }
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
            let readable = readable || connection.more;
            if readable && !self.read_connection(connection, scratch) {
                return false;
            }
            let in_time = now < connection.deadline(&self.limits);
            if !in_time {
                self.refusals.count(Refusal::TooSlow);
            }
            in_time
        });
        // Whoever has delivered a token waits until the others had their turn.
        connections.sort_by_key(|connection| connection.delivered);
        let bound = HALF_RECEIVED_FRAMES * self.opener.max_frame();
        while connections.iter().map(Connection::held).sum::<usize>() > bound {
            self.drop_one(connections, Connection::held);
        }
    }

    /// Reads what has come, at most one token; says whether to keep the connection.
    fn read_connection(&mut self, connection: &mut Connection, scratch: &mut [u8]) -> bool {
        while self.mail.has_room() {
            connection.more = false;
            match connection.read(scratch, self.opener.max_frame()) {
                Ok(Progress::Waiting) => return true,
                Ok(Progress::Frame(frame)) => {
                    let Some(letter) = self.open(connection.peer, &frame) else {
                        return false;
                    };
                    let is_token = letter.message.wants_stream();
                    if !is_token && frame.len() > SCRATCH {
                        self.refusals.count(Refusal::TooLong);
                        return false;
                    }
                    self.hand_over(letter);
                    if is_token {
                        connection.delivered = Some(Instant::now());
                        connection.more = connection.held() > 0;
                        return true;
                    }
                }
                Ok(Progress::Closed) => return false,
                Err(refusal) => {
                    self.refusals.count(refusal);
                    return false;
                }
            }
        }
        true
    }

    /// Says whether to go on accepting.
    fn accept(&self, connections: &mut Vec<Connection>) -> bool {
        for _ in 0..ACCEPTS_PER_TURN {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    let peer = ipv4(peer);
                    let known = self.servers.index_of(peer.into()).is_some();
                    match Connection::new(stream, peer, known) {
                        Ok(connection) => connections.push(connection),
                        Err(error) => tracing::debug!(%error, "a connection could not be set up"),
                    }
                    if connections.len() > self.limits.connections {
                        self.drop_one(connections, |_| 1);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    self.drop_one(connections, |_| 1);
                    return false;
                }
            }
        }
        true
    }

    /// Closes the oldest connection of the address that takes most; servers' addresses come last. So a flood
    /// from one address, a server's or not, displaces only itself.
    fn drop_one(&self, connections: &mut Vec<Connection>, taken: impl Fn(&Connection) -> usize) {
        let mut by_address = BTreeMap::<Ipv4Addr, usize>::new();
        for connection in connections.iter() {
            *by_address.entry(connection.peer).or_default() += taken(connection);
        }
        let blame = |i: &usize| {
            let connection = &connections[*i];
            let taken = by_address.get(&connection.peer);
            (!connection.known, taken, Reverse(connection.opened))
        };
        if let Some(worst) = (0..connections.len()).max_by_key(blame) {
            connections.remove(worst);
            self.refusals.count(Refusal::TooMany);
        }
    }
}

/// Where something came from. The sockets are IPv4's; another address would be nobody's.
const fn ipv4(from: SocketAddr) -> Ipv4Addr {
    match from.ip() {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

/// A pipe that wakes a thread which waits in `poll`.
pub(crate) fn wake_pipe() -> io::Result<(UnixStream, UnixStream)> {
    let (reader, writer) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    writer.set_nonblocking(true)?;
    Ok((reader, writer))
}
