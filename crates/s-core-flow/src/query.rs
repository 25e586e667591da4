//! The flow table: what can be asked of it.

use alloc::vec::Vec;
use core::iter::successors;
use core::net::Ipv4Addr;
use core::time::Duration;

use crate::entry::{EachWay, Entry, Flow};
use crate::key::FlowKey;
use crate::mac::MacAddr;
use crate::slab::NIL;
use crate::table::FlowTable;
use crate::window::{Window, nanos};

impl FlowTable {
    /// The flow `key`: one direction.
    pub fn flow(&self, key: FlowKey) -> Option<Flow> {
        let (undirected, direction) = key.undirected();
        let index = self.find(undirected.hash(&self.hash), &undirected)?;
        self.entries[index].flow(direction)
    }

    /// The flow `key` and its reverse together, if either was recorded; the answer bears the name
    /// `key`.
    pub fn bidirectional(&self, key: FlowKey) -> Option<Flow> {
        let (undirected, direction) = key.undirected();
        let index = self.find(undirected.hash(&self.hash), &undirected)?;
        Some(self.entries[index].both(direction))
    }

    /// All flows from or to `ip`, in the order in which their entries were made; a flow and its
    /// reverse are neighbours.
    pub fn flows_of(&self, ip: Ipv4Addr) -> impl Iterator<Item = Flow> + '_ {
        self.entries_of(ip).flat_map(Entry::flows)
    }

    /// All flows, those that have gone longest without a record first; a flow and its reverse are
    /// neighbours.
    pub fn flows(&self) -> impl Iterator<Item = Flow> + '_ {
        successors(self.entry(self.by_recency.head), |entry| {
            self.entry(entry.recency.next)
        })
        .flat_map(Entry::flows)
    }

    /// The MAC address seen last as the source of a packet from `ip`, if a flow of `ip` is still
    /// known (thesis 4.2.4).
    pub fn mac_of(&self, ip: Ipv4Addr) -> Option<MacAddr> {
        self.endpoints.mac_of(&self.hash, ip)
    }

    /// The IP address seen last with the source MAC address `mac`, if a flow of it is still known.
    ///
    /// Several addresses may share a MAC address, as those behind a router do;
    /// [`mac_of`](Self::mac_of) tells it of each.
    pub fn ip_of(&self, mac: MacAddr) -> Option<Ipv4Addr> {
        self.endpoints.ip_of(&self.hash, mac)
    }

    /// The length of time that rates asked for `now` are averages over: between half and whole of
    /// the configured window, or what has passed since the table was made if that is less.
    pub fn covered(&self, now: Duration) -> Duration {
        let (window, now) = self.window_at(now);
        Duration::from_nanos(now - window.start().max(self.born))
    }

    /// Bytes per second between `ip` and each of its peers, both directions together, averaged over
    /// the time [`covered`](Self::covered): the aggregate throughput of thesis 4.2.5, the λ(u, v)
    /// of Eq. 3.1.
    ///
    /// Peers come in ascending order and are those with traffic in the window; traffic of `ip` with
    /// itself is left out. The answer is empty as long as no time is covered. Traffic from before a
    /// flow was first recorded counts as none.
    pub fn rates(&self, ip: Ipv4Addr, now: Duration) -> Vec<(Ipv4Addr, f64)> {
        let mut rates = Vec::new();
        self.rates_into(ip, now, &mut rates);
        rates
    }

    /// Like [`rates`](Self::rates), but replaces the contents of `rates`, and allocates only if its
    /// capacity is below the number of `ip`'s entries.
    pub fn rates_into(&self, ip: Ipv4Addr, now: Duration, rates: &mut Vec<(Ipv4Addr, f64)>) {
        rates.clear();
        let bytes = self.window_bytes(ip, now);
        let bytes = bytes.map(|(peer, bytes)| (peer, bytes as f64));
        sum_by_peer(bytes, rates, |sum, bytes| *sum += bytes);
        self.average(now, rates, |rate, seconds| *rate /= seconds);
    }

    /// Like [`rates`](Self::rates), with what `ip` sends to each peer and what it receives from it
    /// told apart. Their sum is the rate, but for rounding.
    pub fn rates_each_way(&self, ip: Ipv4Addr, now: Duration) -> Vec<(Ipv4Addr, EachWay<f64>)> {
        let mut rates = Vec::new();
        let bytes = self.window_bytes_each_way(ip, now).map(|(peer, bytes)| {
            let [sent, received] = [bytes.sent as f64, bytes.received as f64];
            (peer, EachWay { sent, received })
        });
        sum_by_peer(bytes, &mut rates, |sum, bytes: EachWay<f64>| {
            sum.sent += bytes.sent;
            sum.received += bytes.received;
        });
        self.average(now, &mut rates, |rate, seconds| {
            rate.sent /= seconds;
            rate.received /= seconds;
        });
        rates
    }

    /// Turns the bytes of the window into rates; there are none as long as no time is covered.
    fn average<T>(
        &self,
        now: Duration,
        bytes: &mut Vec<(Ipv4Addr, T)>,
        divide: impl Fn(&mut T, f64),
    ) {
        let covered = self.covered(now);
        if covered.is_zero() {
            bytes.clear();
        }
        for (_, bytes) in bytes {
            divide(bytes, covered.as_secs_f64());
        }
    }

    /// What [`rates`](Self::rates) adds up: for each entry of `ip` with traffic in the window, the
    /// peer and the bytes of both directions. A peer comes once per entry, in the order in which
    /// the entries were made. Allocates nothing.
    pub fn window_bytes(
        &self,
        ip: Ipv4Addr,
        now: Duration,
    ) -> impl Iterator<Item = (Ipv4Addr, u64)> + '_ {
        let bytes = self.window_bytes_each_way(ip, now);
        bytes.map(|(peer, bytes)| (peer, bytes.sent.saturating_add(bytes.received)))
    }

    fn window_bytes_each_way(
        &self,
        ip: Ipv4Addr,
        now: Duration,
    ) -> impl Iterator<Item = (Ipv4Addr, EachWay<u64>)> + '_ {
        let (window, _) = self.window_at(now);
        self.entries_of(ip)
            .map(move |entry| (entry.peer_of(ip), entry.window_bytes(ip, &window)))
            .filter(move |(peer, bytes)| *peer != ip && *bytes != EachWay::default())
    }

    /// The window as seen from `now` or the latest time known, and that time.
    fn window_at(&self, now: Duration) -> (Window, u64) {
        let now = self.now.max(nanos(now));
        (self.window.at(now), now)
    }

    fn entries_of(&self, ip: Ipv4Addr) -> impl Iterator<Item = &Entry> {
        let head = self.endpoints.first_entry(&self.hash, ip);
        successors(head.and_then(|head| self.entry(head)), move |entry| {
            self.entry(entry.chain(ip).next)
        })
    }

    /// The entry that a list leads to, if it has not ended.
    fn entry(&self, index: u32) -> Option<&Entry> {
        (index != NIL).then(|| &self.entries[index])
    }
}

/// Adds up what belongs to one peer, into peers that ascend.
fn sum_by_peer<T: Copy>(
    parts: impl Iterator<Item = (Ipv4Addr, T)>,
    sums: &mut Vec<(Ipv4Addr, T)>,
    add: impl Fn(&mut T, T),
) {
    for (peer, part) in parts {
        // A peer's entries often follow each other.
        match sums.last_mut() {
            Some((last, sum)) if *last == peer => add(sum, part),
            _ => sums.push((peer, part)),
        }
    }
    sums.sort_unstable_by_key(|&(peer, _)| peer.to_bits());
    sums.dedup_by(|(peer, part), (first, sum)| {
        let same = peer == first;
        if same {
            add(sum, *part);
        }
        same
    });
}
