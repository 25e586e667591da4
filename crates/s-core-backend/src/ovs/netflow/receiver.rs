//! The socket that the switch exports to, and the thread that reads it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::net::sockopt::set_socket_recv_buffer_size;

use super::ledger::Ledger;
use super::wire::LONGEST;

/// Room for the records of some 80,000 flows that are exported at once; the system gives what it allows.
const BUFFER: usize = 4 << 20;

/// How often the thread looks whether it is to end.
const TICK: Duration = Duration::from_millis(100);

/// Reads datagrams into a ledger until it is dropped.
#[derive(Debug)]
pub(super) struct Receiver {
    address: SocketAddrV4,
    ledger: Arc<Mutex<Ledger>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Listens on loopback, at a port that the system chooses.
    pub(super) fn start(ledger: Ledger) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        set_socket_recv_buffer_size(&socket, BUFFER)?;
        socket.set_read_timeout(Some(TICK))?;
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, socket.local_addr()?.port());
        let ledger = Arc::new(Mutex::new(ledger));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (Arc::clone(&ledger), Arc::clone(&stop));
        let thread = thread::Builder::new()
            .name("s-core-netflow".into())
            .spawn(move || read(&socket, &shared, &stopped))?;
        Ok(Self {
            address,
            ledger,
            stop,
            thread: Some(thread),
        })
    }

    pub(super) fn address(&self) -> SocketAddrV4 {
        self.address
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // If it panicked, that was said already.
            drop(thread.join());
        }
    }
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    // It is whole after every record.
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(socket: &UdpSocket, ledger: &Mutex<Ledger>, stop: &AtomicBool) {
    // A byte more, so that what is too long is seen to be.
    let mut bytes = [0; LONGEST + 1];
    while !stop.load(Ordering::Relaxed) {
        match socket.recv_from(&mut bytes) {
            Ok((length, from)) => lock(ledger).add(&bytes[..length], is_local(from)),
            Err(error) if is_timeout(&error) => {}
            Err(error) => {
                tracing::debug!(%error, "cannot receive NetFlow");
                thread::sleep(TICK);
            }
        }
    }
}

fn is_local(from: SocketAddr) -> bool {
    matches!(from.ip(), IpAddr::V4(ip) if ip.is_loopback())
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
