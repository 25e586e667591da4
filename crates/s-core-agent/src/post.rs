//! Sending: datagrams at once, tokens through a thread of their own.

use std::io::{self, Write as _};
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use s_core_model::{Levels as _, ServerId, ServerIndex};
use s_core_proto::wire::Codec;
use s_core_proto::{Destination, Message};
use s_core_topology::LocationTable;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::clock::Throttle;
use crate::config::Addressing;

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
    pub(crate) addressing: Addressing,
    pub(crate) asks: Bucket,
    pub(crate) losses: Throttle,
}

impl Post {
    pub(crate) fn send(&mut self, to: Destination, message: &Message) {
        let receiver = match to {
            Destination::Server(server) => Some(server),
            Destination::HostOf(_) => None,
        };
        let frame = self.codec.seal(receiver, message);
        match to {
            Destination::Server(server) if message.wants_stream() => {
                let parcel = Parcel { server, frame };
                if let Err(TrySendError::Full(_)) = self.tokens.try_send(parcel) {
                    self.lost("too many tokens wait to be delivered");
                }
            }
            Destination::Server(server) => self.datagram(server.addr(), &frame),
            Destination::HostOf(vm) if self.addressing == Addressing::Vms => {
                self.datagram(vm.addr(), &frame);
            }
            Destination::HostOf(_) => self.ask_everybody(&frame),
        }
    }

    fn ask_everybody(&mut self, frame: &Bytes) {
        let servers = Arc::clone(&self.servers);
        let count = u32::try_from(servers.server_count()).unwrap_or(u32::MAX);
        if !self.asks.take(count) {
            return self.lost("more requests to all servers than asks_per_second allows");
        }
        for server in (0..count).map(ServerIndex::new) {
            let server = servers.server_at(server);
            if server != self.here {
                self.datagram(server.addr(), frame);
            }
        }
    }

    fn datagram(&mut self, address: std::net::Ipv4Addr, frame: &Bytes) {
        if let Err(error) = self.udp.send_to(frame, (address, self.port)) {
            tracing::debug!(%address, %error, "a datagram could not be sent");
        }
    }

    fn lost(&mut self, why: &str) {
        if self.losses.permits() {
            tracing::warn!(why, "a message was not sent");
        }
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

/// Delivers tokens, one connection each, until the other end of `tokens` is dropped.
pub(crate) fn deliver(tokens: &Receiver<Parcel>, here: ServerId, port: u16, deadline: Duration) {
    for Parcel { server, frame } in tokens {
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
