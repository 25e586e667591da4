//! Sending: datagrams at once, tokens through a thread of their own.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use s_core_model::{Levels as _, ServerId, ServerIndex, VmId};
use s_core_proto::wire::Codec;
use s_core_proto::{Destination, Message, QueryId};
use s_core_topology::LocationTable;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::clock::Throttle;
use crate::error::AgentError;

/// Questions put to VMs' addresses that are remembered, twice as many as a visit has peers at most.
const ASKED: usize = 1 << 13;

/// A token on its way out.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) server: ServerId,
    pub(crate) frame: Bytes,
}

/// Seals messages and sends them. What cannot be sent is lost, as the protocol allows.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) codec: Codec,
    pub(crate) udp: UdpSocket,
    pub(crate) tokens: SyncSender<Parcel>,
    pub(crate) servers: Arc<LocationTable>,
    pub(crate) here: ServerId,
    pub(crate) port: u16,
    /// How a VM's own address is asked, if it is.
    pub(crate) vms: Option<VmAddresses>,
    pub(crate) asks: Bucket,
    /// The server that is told first when all are.
    pub(crate) first_told: u32,
    pub(crate) losses: Throttle,
}

impl Post {
    pub(crate) fn send(&mut self, to: Destination, message: &Message) {
        let receiver = match to {
            Destination::Server(server) => Some(server),
            Destination::HostOf(_) | Destination::Everybody => None,
        };
        let frame = self.codec.seal(receiver, message);
        match to {
            Destination::Server(server) if message.wants_stream() => {
                let parcel = Parcel { server, frame };
                if let Err(TrySendError::Full(_)) = self.tokens.try_send(parcel) {
                    self.lost("too many tokens wait to be delivered");
                }
            }
            Destination::Server(server) => {
                self.datagram(server.addr(), &frame);
            }
            Destination::HostOf(vm) if self.ask_at(vm, message, &frame) => {}
            Destination::HostOf(_) if !self.asks.take(self.server_count()) => {
                self.lost("more requests to all servers than asks_per_second allows");
            }
            Destination::HostOf(_) | Destination::Everybody => self.tell_everybody(&frame),
        }
    }

    /// Asks at the VM's own address, if that is wanted and was not tried in vain.
    fn ask_at(&mut self, vm: VmId, message: &Message, frame: &[u8]) -> bool {
        let (Message::LocationRequest { query, .. }, Some(vms)) = (message, &mut self.vms) else {
            return false;
        };
        if !vms.is_first(*query) {
            tracing::debug!(%vm, "its address gave no answer; all servers are asked");
            return false;
        }
        let sent = vms.socket.send_to(frame, (vm.addr(), self.port));
        if let Err(error) = &sent {
            tracing::debug!(%vm, %error, "a datagram could not be sent to its address");
        }
        sent.is_ok()
    }

    fn server_count(&self) -> u32 {
        u32::try_from(self.servers.server_count()).unwrap_or(u32::MAX)
    }

    fn tell_everybody(&mut self, frame: &Bytes) {
        let servers = Arc::clone(&self.servers);
        let count = self.server_count();
        let first = self.first_told;
        let mut unsent = None;
        for index in (first..count).chain(0..first.min(count)) {
            let server = servers.server_at(ServerIndex::new(index));
            if server != self.here && !self.datagram(server.addr(), frame) {
                unsent.get_or_insert(index);
            }
        }
        // Those for whom the system had no room this time come first the next time.
        self.first_told = unsent.unwrap_or(first);
    }

    /// Says whether the system took it.
    fn datagram(&self, address: Ipv4Addr, frame: &[u8]) -> bool {
        let sent = self.udp.send_to(frame, (address, self.port));
        if let Err(error) = &sent {
            tracing::debug!(%address, %error, "a datagram could not be sent");
        }
        sent.is_ok()
    }

    fn lost(&mut self, why: &str) {
        if self.losses.permits() {
            tracing::warn!(why, "a message was not sent");
        }
    }
}

/// The way to the agents of VMs' hosts by the VMs' own addresses (thesis 4.2.3).
#[derive(Debug)]
pub(crate) struct VmAddresses {
    /// At another port than the agents', where nothing is received. An interception that translates addresses
    /// remembers both ends of a question: an answer between the agents' ports would be taken for part of it, and be given the
    /// VM's address.
    socket: UdpSocket,
    /// What was asked: a question that comes again was not answered.
    asked: BTreeSet<QueryId>,
}

impl VmAddresses {
    pub(crate) fn open(server: ServerId) -> Result<Self, AgentError> {
        let address = SocketAddr::from((server.addr(), 0));
        let open = || {
            let socket = UdpSocket::bind(address)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        let socket = open().map_err(|source| AgentError::Socket {
            protocol: "UDP",
            address,
            source,
        })?;
        Ok(Self {
            socket,
            asked: BTreeSet::new(),
        })
    }

    fn is_first(&mut self, query: QueryId) -> bool {
        let first = self.asked.insert(query);
        if self.asked.len() > ASKED {
            // Their numbers rise.
            self.asked.pop_first();
        }
        first
    }
}

/// A number of permits per second, of which a second's worth can be saved up.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: u32,
    left: f64,
    filled: Instant,
}

impl Bucket {
    /// A full bucket. One that is too small for a single request to `least` is made as large as that.
    pub(crate) fn new(per_second: u32, least: usize) -> Self {
        let least = u32::try_from(least).unwrap_or(u32::MAX);
        let per_second = per_second.max(least);
        Self {
            per_second,
            left: per_second.into(),
            filled: Instant::now(),
        }
    }

    /// Takes all of `count` permits, or none if there are fewer.
    fn take(&mut self, count: u32) -> bool {
        let now = Instant::now();
        let whole = f64::from(self.per_second);
        let new = now.duration_since(self.filled).as_secs_f64() * whole;
        self.left = (self.left + new).min(whole);
        self.filled = now;
        let enough = self.left >= f64::from(count);
        if enough {
            self.left -= f64::from(count);
        }
        enough
    }
}

/// Delivers tokens, one connection each, until the other end of `tokens` is dropped. Only the newest counts: a
/// server that swallows its connection does not make those after it late.
pub(crate) fn deliver(tokens: &Receiver<Parcel>, here: ServerId, port: u16, deadline: Duration) {
    while let Ok(mut parcel) = tokens.recv() {
        while let Ok(newer) = tokens.try_recv() {
            parcel = newer;
        }
        let Parcel { server, frame } = parcel;
        let address = SocketAddrV4::new(server.addr(), port);
        if let Err(error) = deliver_one(here, address.into(), &frame, deadline) {
            tracing::warn!(%server, %error, "the token could not be delivered");
        }
    }
}

/// Connects from this server's own address, by which the receiver knows an agent from a stranger.
fn deliver_one(here: ServerId, to: SocketAddr, frame: &[u8], deadline: Duration) -> io::Result<()> {
    let started = Instant::now();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from((here.addr(), 0)).into())?;
    socket.connect_timeout(&to.into(), deadline)?;
    let mut stream = std::net::TcpStream::from(socket);
    stream.set_nodelay(true)?;
    let mut rest = frame;
    while !rest.is_empty() {
        let left = deadline.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_write_timeout(Some(left))?;
        let written = stream.write(rest)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest = &rest[written..];
    }
    // The receiver has all of it or the acknowledgement does not come; nobody waits here.
    SockRef::from(&stream).shutdown(std::net::Shutdown::Write)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn a_question_that_comes_again_was_not_answered() {
        let mut vms = VmAddresses::open(Ipv4Addr::LOCALHOST.into()).unwrap();
        let mut first = |query| vms.is_first(QueryId::new(query));
        assert!([7, 8, 9].into_iter().all(&mut first));
        assert!(!first(8), "all servers are asked instead");
        assert!((10..10 + ASKED as u64).all(&mut first));
        assert!(first(7), "what is long ago is forgotten");
    }

    #[test]
    fn a_server_that_swallows_connections_delays_the_newest_token_once() {
        let [here, silent, healthy] = [1, 2, 3].map(|host| Ipv4Addr::new(127, 78, 90, host));
        let listener = TcpListener::bind((healthy, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let swallower = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        let address = SocketAddr::from((silent, port));
        swallower.bind(&address.into()).unwrap();
        swallower.listen(0).unwrap();
        let connect = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100));
        let filled: Vec<_> = (0..4).map(|_| connect()).collect();
        assert!(filled.iter().any(Result::is_err), "its queue is full");

        let deadline = Duration::from_millis(500);
        let (tokens, waiting) = sync_channel(16);
        let send = |server: Ipv4Addr, frame: &'static [u8]| {
            let (server, frame) = (server.into(), Bytes::from_static(frame));
            tokens.send(Parcel { server, frame }).unwrap();
        };
        send(silent, b"1");
        let thread = std::thread::spawn(move || deliver(&waiting, here.into(), port, deadline));
        std::thread::sleep(Duration::from_millis(50));
        let began = Instant::now();
        for _ in 0..8 {
            send(silent, b"stale");
        }
        send(healthy, b"stale");
        send(healthy, b"newest");
        let (mut stream, _) = listener.accept().unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        assert_eq!(received, b"newest");
        assert!(began.elapsed() < 3 * deadline, "{:?}", began.elapsed());
        drop(tokens);
        thread.join().unwrap();
    }
}
