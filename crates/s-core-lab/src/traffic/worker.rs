//! The thread that sends and receives for one VM.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::counts::Counts;
use super::error::TrafficError;
use super::mix::{Kind, PairTraffic};
use super::receiver::Receiver;
use super::run::Shared;
use super::source::{Sender, Source};

/// Between two looks at the sockets: many VMs on few cores must not wake for each packet.
const TICK: Duration = Duration::from_millis(5);
/// At the latest then it looks whether it is to end.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Everything that a VM sends and receives.
#[derive(Debug)]
pub(super) struct Worker {
    vm: Ipv4Addr,
    shared: Arc<Shared>,
    counts: Arc<Counts>,
    udp: UdpSocket,
    receiver: Receiver,
    sources: Vec<Source>,
    generation: u64,
    start: Instant,
}

impl Worker {
    /// Opens the sockets in the network of the calling thread.
    pub(super) fn open(
        vm: Ipv4Addr,
        shared: Arc<Shared>,
        counts: Arc<Counts>,
    ) -> Result<Self, TrafficError> {
        let at = SocketAddrV4::new(vm, shared.settings.port);
        let error = |protocol| {
            move |source| TrafficError::Socket {
                protocol,
                at,
                source,
            }
        };
        let udp = UdpSocket::bind(at).map_err(error("UDP"))?;
        udp.set_nonblocking(true).map_err(error("UDP"))?;
        let listener = TcpListener::bind(at).map_err(error("TCP"))?;
        listener.set_nonblocking(true).map_err(error("TCP"))?;
        Ok(Self {
            vm,
            receiver: Receiver::new(vm, listener, Arc::clone(&counts)),
            shared,
            counts,
            udp,
            sources: Vec::new(),
            generation: 0,
            start: Instant::now(),
        })
    }

    /// Works until it is told to stop, or the time is over.
    pub(super) fn run(mut self) -> Result<(), TrafficError> {
        while !self.shared.is_over() {
            let begun = Instant::now();
            let now = begun - self.start;
            self.take_plan(now);
            let sender = Sender {
                port: self.shared.settings.port,
                udp: &self.udp,
                sizes: self.shared.settings.sizes,
            };
            for source in &mut self.sources {
                source.advance(now, &sender);
            }
            let vm = self.vm;
            let ready = self.wait(now);
            let ready = ready.map_err(|source| TrafficError::Wait { vm, source })?;
            let (datagrams, streams) = ready.split_first().unwrap_or((&false, &[]));
            if *datagrams {
                self.receiver.read_datagrams(&self.udp);
            }
            self.receiver.read(streams);
            thread::sleep(TICK.saturating_sub(begun.elapsed()));
        }
        Ok(())
    }

    /// Waits until a socket is ready or something is due; which of those that are read are ready: UDP, then the
    /// receiver's.
    fn wait(&self, now: Duration) -> io::Result<Vec<bool>> {
        let read = std::iter::once(self.udp.as_fd()).chain(self.receiver.sockets());
        let read = read.map(|socket| (socket, PollFlags::IN));
        let write = self.sources.iter().flat_map(Source::interests);
        let mut sockets: Vec<_> = read
            .chain(write)
            .map(|(socket, flags)| PollFd::from_borrowed_fd(socket, flags))
            .collect();
        let due = self.sources.iter().filter_map(Source::due).min();
        let wait = due.map_or(LONGEST_WAIT, |due| due.saturating_sub(now));
        let wait = wait.min(LONGEST_WAIT);
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: wait.subsec_nanos().into(),
        };
        match poll(&mut sockets, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let readable = PollFlags::IN | PollFlags::ERR | PollFlags::HUP;
        let ready = sockets.iter().map(|fd| fd.revents().intersects(readable));
        // Those that are written look for themselves.
        Ok(ready.take(1 + self.receiver.sockets().count()).collect())
    }

    /// Takes over a new plan: streams that go on keep their connections.
    fn take_plan(&mut self, now: Duration) {
        let Some((generation, pairs)) = self.shared.plan_after(self.generation) else {
            return;
        };
        self.generation = generation;
        let old = std::mem::take(&mut self.sources);
        let mut old: BTreeMap<(Ipv4Addr, Kind), Source> = old
            .into_iter()
            .map(|source| (source.key(), source))
            .collect();
        let settings = &self.shared.settings;
        let mine = |pair: &PairTraffic| pair.streams(self.vm, &settings.sizes);
        for stream in pairs.iter().flat_map(mine) {
            let source = match old.remove(&(stream.to, stream.kind)) {
                Some(mut source) => {
                    source.change(stream, &settings.sizes, now);
                    source
                }
                None => {
                    let count = self.counts.of(self.vm, stream.to);
                    let seed = seed(settings.seed, self.vm, stream.to, stream.kind);
                    Source::new(stream, seed, count, &settings.sizes, now)
                }
            };
            self.sources.push(source);
        }
    }
}

/// Each stream draws from a seed of its own.
fn seed(seed: u64, from: Ipv4Addr, to: Ipv4Addr, kind: Kind) -> u64 {
    let [from, to] = [from, to].map(|end| u64::from(end.to_bits()));
    let stream = (from << 32 | to).wrapping_mul(3) + kind as u64;
    seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
