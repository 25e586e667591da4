//! What the programs in the VMs have sent and received.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use s_core_model::VmId;

/// The most ordered pairs that are counted.
const MOST_PAIRS: usize = 1 << 18;

/// What one VM's programs have sent to another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Payload {
    /// Bytes of payload that the sender's kernel has taken.
    pub sent: u64,
    /// Bytes of payload that the receiver has read, if it is in this process.
    pub received: u64,
    /// TCP connections that were made.
    pub connections: u64,
    /// TCP connections that could not be made, or broke before all was sent.
    pub broken: u64,
}

/// The counters behind a [`Payload`].
#[derive(Debug, Default)]
pub(super) struct Count {
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) broken: AtomicU64,
}

/// Adds to a counter.
pub(super) fn add(counter: &AtomicU64, number: usize) {
    let number = u64::try_from(number).unwrap_or(u64::MAX);
    counter.fetch_add(number, Ordering::Relaxed);
}

impl Count {
    pub(super) fn read(&self) -> Payload {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Payload {
            sent: read(&self.sent),
            received: read(&self.received),
            connections: read(&self.connections),
            broken: read(&self.broken),
        }
    }
}

/// The counters of all ordered pairs: sender, receiver.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<BTreeMap<(Ipv4Addr, Ipv4Addr), Arc<Count>>>);

impl Counts {
    /// The counter of a pair. With too many pairs, one that nobody reads.
    pub(super) fn of(&self, from: Ipv4Addr, to: Ipv4Addr) -> Arc<Count> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_PAIRS && !all.contains_key(&(from, to)) {
            return Arc::default();
        }
        Arc::clone(all.entry((from, to)).or_default())
    }

    pub(super) fn read(&self) -> BTreeMap<(VmId, VmId), Payload> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = all.iter();
        read.map(|((from, to), count)| ((VmId::from(*from), VmId::from(*to)), count.read()))
            .collect()
    }
}
