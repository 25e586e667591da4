//! Traffic, from its start to its end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use s_core_model::VmId;

use super::counts::{Count, Counts, Payload};
use super::endpoint::Endpoint;
use super::error::TrafficError;
use super::mix::PairTraffic;
use super::sizes::FlowSizes;
use super::worker::Worker;

/// The port, TCP and UDP, of all receivers.
pub const TRAFFIC_PORT: u16 = 7701;
/// The most VMs that a process sends for.
const MOST_ENDPOINTS: usize = 1024;
/// The most pairs.
const MOST_PAIRS: usize = 100_000;
/// How long what has been sent may take to arrive after the last was sent.
const DRAIN: Duration = Duration::from_millis(400);

/// How traffic is sent.
#[derive(Clone, Debug)]
pub struct TrafficSettings {
    /// The port, TCP and UDP, of all receivers.
    pub port: u16,
    /// What sizes of flows are drawn from.
    pub seed: u64,
    /// The sizes of flows.
    pub sizes: FlowSizes,
    /// After this time it ends by itself.
    pub limit: Duration,
}

impl Default for TrafficSettings {
    /// At [`TRAFFIC_PORT`], for an hour.
    fn default() -> Self {
        Self {
            port: TRAFFIC_PORT,
            seed: 1,
            sizes: FlowSizes::default(),
            limit: Duration::from_secs(3600),
        }
    }
}

/// What the threads of all VMs look at.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: TrafficSettings,
    until: Instant,
    stop: AtomicBool,
    generation: AtomicU64,
    plan: Mutex<(u64, Arc<[PairTraffic]>)>,
}

impl Shared {
    /// Whether the thread is to end.
    pub(super) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || Instant::now() >= self.until
    }

    /// The plan, if there is a newer one.
    pub(super) fn plan_after(&self, generation: u64) -> Option<(u64, Arc<[PairTraffic]>)> {
        if self.generation.load(Ordering::Acquire) == generation {
            return None;
        }
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        Some((plan.0, Arc::clone(&plan.1)))
    }

    fn change(&self, pairs: Arc<[PairTraffic]>) {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        *plan = (plan.0 + 1, pairs);
        self.generation.store(plan.0, Ordering::Release);
    }
}

/// VMs that send to each other, a thread per VM.
///
/// Ends when it is dropped, told to [`stop`](Self::stop), or at the limit of its settings. A connection that breaks,
/// or cannot be made because a VM is being migrated, is made again.
#[derive(Debug)]
pub struct Traffic {
    shared: Arc<Shared>,
    counts: Arc<Counts>,
    threads: Vec<JoinHandle<Result<(), TrafficError>>>,
}

impl Traffic {
    /// Opens the receivers of these VMs, then begins to send. Of a pair, each end sends that is among the
    /// endpoints; elsewhere another process sends and receives for it, at the same port.
    ///
    /// # Errors
    ///
    /// [`TrafficError`] if there are too many VMs or pairs, a network cannot be entered, or a socket not opened.
    pub fn start(
        endpoints: &[Endpoint],
        pairs: &[PairTraffic],
        settings: TrafficSettings,
    ) -> Result<Self, TrafficError> {
        bounded("endpoints", endpoints.len(), MOST_ENDPOINTS)?;
        bounded("pairs", pairs.len(), MOST_PAIRS)?;
        let most = Duration::from_secs(30 * 86_400);
        let shared = Arc::new(Shared {
            until: Instant::now() + settings.limit.min(most),
            settings,
            stop: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            plan: Mutex::default(),
        });
        let mut this = Self {
            shared,
            counts: Arc::default(),
            threads: Vec::with_capacity(endpoints.len()),
        };
        let (opened, ready) = mpsc::channel();
        for endpoint in endpoints {
            let (vm, opened) = (endpoint.address, opened.clone());
            let (shared, counts) = (Arc::clone(&this.shared), Arc::clone(&this.counts));
            this.threads.push(endpoint.spawn(move || {
                let worker = Worker::open(vm, shared, counts)?;
                // Who waits has gone only if it has failed.
                let _ = opened.send(());
                drop(opened);
                worker.run()
            })?);
        }
        drop(opened);
        if ready.iter().take(endpoints.len()).count() < endpoints.len() {
            // Says which.
            this.end()?;
        }
        this.shared.change(pairs.into());
        Ok(this)
    }

    /// Goes on with other pairs. Connections of pairs that stay are kept.
    ///
    /// # Errors
    ///
    /// [`TrafficError::Setting`] if there are too many; then nothing changes.
    pub fn change(&self, pairs: &[PairTraffic]) -> Result<(), TrafficError> {
        bounded("pairs", pairs.len(), MOST_PAIRS)?;
        self.shared.change(pairs.into());
        Ok(())
    }

    /// What the programs have sent so far, by sender and receiver.
    pub fn payload(&self) -> BTreeMap<(VmId, VmId), Payload> {
        self.counts.read()
    }

    /// Whether all threads have ended, at the limit of the settings or by an error.
    pub fn is_over(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    pub(super) fn count(&self, from: VmId, to: VmId) -> Arc<Count> {
        self.counts.of(from.addr(), to.addr())
    }

    /// Stops sending, lets arrive what is on its way, and ends.
    ///
    /// # Errors
    ///
    /// The first error that ended a VM's thread before.
    pub fn stop(mut self) -> Result<BTreeMap<(VmId, VmId), Payload>, TrafficError> {
        self.shared.change([].into());
        if !self.is_over() {
            thread::sleep(DRAIN);
        }
        self.end()?;
        Ok(self.counts.read())
    }

    fn end(&mut self) -> Result<(), TrafficError> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut result = Ok(());
        for thread in self.threads.drain(..) {
            match thread.join() {
                Ok(ended) => result = result.and(ended),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        result
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

/// Refuses more than there may be.
pub(super) fn bounded(what: &'static str, count: usize, most: usize) -> Result<(), TrafficError> {
    if count <= most {
        return Ok(());
    }
    let problem = format!("{count} are more than {most}");
    Err(TrafficError::Setting { what, problem })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use s_core_model::Rate;

    use super::*;
    use crate::traffic::Mix;

    /// Inside a real VM only one end is in this process.
    #[test]
    fn a_connection_that_breaks_is_made_again() {
        let [here, there] = [1, 2].map(|n| Ipv4Addr::new(127, 0, 0, n));
        let peer = TcpListener::bind((there, 0)).unwrap();
        let settings = TrafficSettings {
            port: peer.local_addr().unwrap().port(),
            limit: Duration::from_secs(20),
            ..TrafficSettings::default()
        };
        let rate = Rate::new(2e6).unwrap();
        let pairs = [PairTraffic::new(here.into(), there.into(), rate, Mix::BULK)];
        let traffic = Traffic::start(&[Endpoint::here(here)], &pairs, settings).unwrap();
        peer.set_nonblocking(true).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        for _ in 0..3 {
            let (stream, from) = loop {
                match peer.accept() {
                    Ok(accepted) => break accepted,
                    Err(_) => assert!(Instant::now() < deadline, "it does not come again"),
                }
                thread::sleep(Duration::from_millis(5));
            };
            assert_eq!(from.ip(), here);
            // Something has come that is not read: this resets the connection.
            stream.peek(&mut [0]).unwrap();
        }
        let ended = traffic.stop().unwrap();
        let payload = ended[&(here.into(), there.into())];
        assert!(
            payload.connections >= 2 && payload.broken >= 2,
            "{payload:?}"
        );
        assert!(payload.sent > 0 && payload.received == 0, "{payload:?}");
    }
}
