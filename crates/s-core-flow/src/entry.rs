//! What the table stores: a flow together with its reverse.

use core::net::Ipv4Addr;
use core::time::Duration;

use crate::key::{Direction, FlowKey, UndirectedKey};
use crate::list::Link;
use crate::window::{Buckets, Window};

/// What is known of a flow.
///
/// A flow and its reverse are stored as one entry and share its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// What names the flow.
    pub key: FlowKey,
    /// Bytes recorded since [`first_seen`](Self::first_seen).
    pub bytes: u64,
    /// When the flow or its reverse was first recorded, since the caller's origin of time.
    pub first_seen: Duration,
    /// When the flow or its reverse was last recorded, since the caller's origin of time.
    pub last_seen: Duration,
}

impl Flow {
    /// How long the flow has been recorded: from the first record to the last (thesis 4.2.2, flow
    /// duration).
    pub fn duration(&self) -> Duration {
        self.last_seen.saturating_sub(self.first_seen)
    }

    /// How long ago the flow was first recorded.
    pub fn age(&self, now: Duration) -> Duration {
        now.max(self.last_seen).saturating_sub(self.first_seen)
    }
}

/// What an address sends to a peer and what it receives from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct EachWay<T> {
    /// To the peer.
    pub sent: T,
    /// From the peer.
    pub received: T,
}

/// A flow and its reverse: their statistics, once, and their places in three lists.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    key: UndirectedKey,
    /// Which of the two directions have been recorded.
    seen: [bool; 2],
    bytes: [u64; 2],
    windows: [Buckets; 2],
    first_seen: u64,
    last_seen: u64,
    /// Places in the chains of the lower and the higher end; the second is unused where they are
    /// one address.
    chains: [Link; 2],
    /// Place in the order of last records.
    pub(crate) recency: Link,
}

impl Entry {
    pub(crate) const fn new(key: UndirectedKey, now: u64) -> Self {
        Self {
            key,
            seen: [false; 2],
            bytes: [0; 2],
            windows: [Buckets::EMPTY; 2],
            first_seen: now,
            last_seen: now,
            chains: [Link::NONE; 2],
            recency: Link::NONE,
        }
    }

    pub(crate) const fn key(&self) -> &UndirectedKey {
        &self.key
    }

    pub(crate) const fn last_seen(&self) -> u64 {
        self.last_seen
    }

    /// Adds `bytes` that were seen at `now`, a moment of `window`'s running bucket.
    pub(crate) fn add(&mut self, window: &Window, now: u64, direction: Direction, bytes: u64) {
        self.windows = self
            .windows
            .map(|buckets| buckets.seen_from(window, self.last_seen));
        self.last_seen = now;
        let direction = direction as usize;
        self.windows[direction].add(bytes);
        self.seen[direction] = true;
        self.bytes[direction] = self.bytes[direction].saturating_add(bytes);
    }

    /// Bytes of both directions since the entry was made.
    pub(crate) const fn total_bytes(&self) -> u64 {
        self.bytes[0].saturating_add(self.bytes[1])
    }

    /// Bytes within `window` that `ip`, which is one of the two ends, sent to the other and received from it.
    pub(crate) fn window_bytes(&self, ip: Ipv4Addr, window: &Window) -> EachWay<u64> {
        let [upward, downward] = self
            .windows
            .map(|buckets| buckets.seen_from(window, self.last_seen).total());
        let (sent, received) = if self.key.low() == ip {
            (upward, downward)
        } else {
            (downward, upward)
        };
        EachWay { sent, received }
    }

    /// The flow of one direction, if it was ever recorded.
    pub(crate) fn flow(&self, direction: Direction) -> Option<Flow> {
        self.seen[direction as usize].then(|| self.view(direction, self.bytes[direction as usize]))
    }

    /// The flow and its reverse together, under the name of one direction.
    pub(crate) const fn both(&self, direction: Direction) -> Flow {
        self.view(direction, self.total_bytes())
    }

    /// Every direction recorded.
    pub(crate) fn flows(&self) -> impl Iterator<Item = Flow> + use<> {
        [self.flow(Direction::Upward), self.flow(Direction::Downward)]
            .into_iter()
            .flatten()
    }

    const fn view(&self, direction: Direction, bytes: u64) -> Flow {
        Flow {
            key: self.key.directed(direction),
            bytes,
            first_seen: Duration::from_nanos(self.first_seen),
            last_seen: Duration::from_nanos(self.last_seen),
        }
    }

    /// The address at the other end from `ip`, which is one of the two.
    pub(crate) fn peer_of(&self, ip: Ipv4Addr) -> Ipv4Addr {
        if self.key.low() == ip {
            self.key.high()
        } else {
            self.key.low()
        }
    }

    /// The place in the chain of `ip`, which is one of the two ends.
    pub(crate) fn chain(&self, ip: Ipv4Addr) -> &Link {
        &self.chains[usize::from(self.key.low() != ip)]
    }

    pub(crate) fn chain_mut(&mut self, ip: Ipv4Addr) -> &mut Link {
        &mut self.chains[usize::from(self.key.low() != ip)]
    }
}
