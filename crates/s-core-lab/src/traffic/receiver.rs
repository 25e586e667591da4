//! What takes in all that is sent to a VM.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use super::counts::{Count, Counts, add};

/// The most connections that a VM takes at a time; more wait in the kernel's queue.
const MOST_INBOUND: usize = 1024;
/// The most reads of one socket before the others have their turn.
const MOST_READS: usize = 64;

/// Reads and counts what comes over TCP and UDP.
#[derive(Debug)]
pub(super) struct Receiver {
    vm: Ipv4Addr,
    listener: TcpListener,
    inbound: Vec<(TcpStream, Arc<Count>)>,
    counts: Arc<Counts>,
    senders: BTreeMap<Ipv4Addr, Arc<Count>>,
    buffer: Vec<u8>,
}

impl Receiver {
    pub(super) fn new(vm: Ipv4Addr, listener: TcpListener, counts: Arc<Counts>) -> Self {
        Self {
            vm,
            listener,
            inbound: Vec::new(),
            counts,
            senders: BTreeMap::new(),
            buffer: vec![0; 1 << 16],
        }
    }

    /// The sockets that wait to be read: the listener, if there is room for a connection, then the connections.
    pub(super) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let room = self.inbound.len() < MOST_INBOUND;
        let listener = room.then(|| self.listener.as_fd());
        let inbound = self.inbound.iter().map(|(stream, _)| stream.as_fd());
        listener.into_iter().chain(inbound)
    }

    /// Reads all that there is; `ready` says which of [`sockets`](Self::sockets) have something.
    pub(super) fn read(&mut self, ready: &[bool]) {
        let room = self.inbound.len() < MOST_INBOUND;
        let (accept, inbound) = match ready.split_first() {
            Some((first, rest)) if room => (*first, rest),
            _ => (false, ready),
        };
        let buffer = &mut self.buffer;
        let mut ready = inbound.iter().copied();
        self.inbound.retain_mut(|(stream, count)| {
            !ready.next().unwrap_or(true) || drain(stream, count, buffer)
        });
        if accept {
            self.accept();
        }
    }

    fn accept(&mut self) {
        while self.inbound.len() < MOST_INBOUND {
            // An error is one connection's, or there is none.
            let Ok((stream, from)) = self.listener.accept() else {
                return;
            };
            if let (Some(count), Ok(())) = (self.sender(from), stream.set_nonblocking(true)) {
                self.inbound.push((stream, count));
            }
        }
    }

    /// Reads the datagrams that there are.
    pub(super) fn read_datagrams(&mut self, udp: &UdpSocket) {
        for _ in 0..16 * MOST_READS {
            match udp.recv_from(&mut self.buffer) {
                Ok((length, from)) => {
                    if let Some(count) = self.sender(from) {
                        add(&count.received, length);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // The answer to a datagram that did not arrive.
                Err(_) => {}
            }
        }
    }

    fn sender(&mut self, from: SocketAddr) -> Option<Arc<Count>> {
        let IpAddr::V4(from) = from.ip() else {
            return None;
        };
        if let Some(count) = self.senders.get(&from) {
            return Some(Arc::clone(count));
        }
        let count = self.counts.of(from, self.vm);
        if self.senders.len() < MOST_INBOUND {
            self.senders.insert(from, Arc::clone(&count));
        }
        Some(count)
    }
}

/// Reads what there is; whether more may come.
fn drain(stream: &mut TcpStream, count: &Count, buffer: &mut [u8]) -> bool {
    for _ in 0..MOST_READS {
        match stream.read(buffer) {
            Ok(0) => return false,
            Ok(length) => add(&count.received, length),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    true
}
