//! The flow table: recording, dropping and bounding flows.

use core::fmt;
use core::net::Ipv4Addr;
use core::time::Duration;

use hashbrown::HashTable;

use crate::config::{FlowTableConfig, InvalidFlowTableConfig};
use crate::endpoint::Endpoints;
use crate::entry::Entry;
use crate::hash::SeededHash;
use crate::key::{FlowKey, UndirectedKey};
use crate::list::List;
use crate::mac::MacAddr;
use crate::slab::{NIL, Slab};
use crate::window::{Window, nanos};

/// How much was dropped from a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Entries; a flow and its reverse are one.
    pub entries: u64,
    /// Bytes recorded in them, both directions together.
    pub bytes: u64,
}

impl Dropped {
    const fn add(&mut self, entry: &Entry) {
        self.entries = self.entries.saturating_add(1);
        self.bytes = self.bytes.saturating_add(entry.total_bytes());
    }
}

/// The bidirectional flow table of thesis section 4.2.2.
///
/// A flow and its reverse are one *entry*: their statistics are stored once and both are found with
/// one probe of one hash table. Each address chains its entries, so the flows of a VM are found
/// without looking at those of others.
///
/// **Time** is an argument: a [`Duration`] since an origin of the caller's choice, as fine as
/// nanoseconds. A time that lies before one already given counts as that one.
///
/// **Bounds**: at [`limit`](FlowTableConfig::limit) entries a new one replaces the entry that has
/// gone longest without a record (of several with the same time, the one that reached that time
/// first); [`evicted`](Self::evicted) counts what was lost.
///
/// **Cost**: recording, finding and dropping an entry take constant time; asking for an address's
/// flows or rates takes time proportional to the entries of that address.
///
/// # Rates
///
/// [`rates`](Self::rates) are averages over a window of the configured length W, kept as two
/// buckets of W/2 on a fixed grid. The window reaches from the start of the bucket before the
/// running one until now, so it is between W/2 and W long, but never reaches back before the table
/// was made; [`covered`](Self::covered) tells its length. The bytes of the window are exact sums
/// and are divided by exactly the length covered, so the one error is that of the polls: a delta
/// counts whole at the moment it is recorded, though its traffic was spread over the poll interval
/// p before, which shifts a rate by at most the bytes of one p.
#[derive(Clone)]
pub struct FlowTable {
    pub(crate) config: FlowTableConfig,
    pub(crate) hash: SeededHash,
    pub(crate) entries: Slab<Entry>,
    /// Entries by their undirected key.
    by_key: HashTable<u32>,
    pub(crate) endpoints: Endpoints,
    /// All entries, longest without a record first.
    pub(crate) by_recency: List,
    evicted: Dropped,
    /// When the table was made: nothing is known of the time before.
    pub(crate) born: u64,
    /// The latest time that the table was told.
    pub(crate) now: u64,
    pub(crate) window: Window,
}

impl FlowTable {
    /// Makes an empty table whose measurement begins `now`.
    ///
    /// Make it when the baseline of the counters is taken (see
    /// [`CounterDeltas`](crate::CounterDeltas)): rates are divided by the time since, as long as
    /// that is shorter than the window.
    ///
    /// # Errors
    ///
    /// [`InvalidFlowTableConfig`] if a parameter is out of its range.
    pub fn new(config: FlowTableConfig, now: Duration) -> Result<Self, InvalidFlowTableConfig> {
        config.validate()?;
        let now = nanos(now);
        Ok(Self {
            config,
            hash: SeededHash::new(config.seed),
            entries: Slab::new(),
            by_key: HashTable::new(),
            endpoints: Endpoints::new(),
            by_recency: List::EMPTY,
            evicted: Dropped::default(),
            born: now,
            now,
            window: Window::new(config.window, now),
        })
    }

    /// Records that `bytes` more were seen `now` in the flow `key`, which is added if it is new.
    ///
    /// `bytes` is what came since the flow's last record ([`CounterDeltas`](crate::CounterDeltas)
    /// tells it); a record of zero bytes says that the flow is still there. Sums saturate.
    ///
    /// `src_mac` is the source's MAC address where the switch tells it. It replaces the one known
    /// so far; group addresses, which are no VM's own, are ignored.
    pub fn record(&mut self, now: Duration, key: FlowKey, bytes: u64, src_mac: Option<MacAddr>) {
        self.advance(now);
        let (undirected, direction) = key.undirected();
        let hash = undirected.hash(&self.hash);
        let index = match self.find(hash, &undirected) {
            Some(index) => {
                self.refresh(index);
                index
            }
            None => self.insert(hash, undirected),
        };
        self.entries[index].add(&self.window, self.now, direction, bytes);
        if let Some(mac) = src_mac
            && !mac.is_multicast()
        {
            self.endpoints.learn(&self.hash, key.src, mac);
        }
    }

    /// Drops the entries that have gone without a record for
    /// [`idle_timeout`](FlowTableConfig::idle_timeout) or longer, in time proportional to what
    /// goes. Rates do not change by it.
    pub fn expire(&mut self, now: Duration) -> Dropped {
        self.advance(now);
        let mut dropped = Dropped::default();
        let timeout = nanos(self.config.idle_timeout);
        while self.by_recency.head != NIL
            && self.now - self.entries[self.by_recency.head].last_seen() >= timeout
        {
            dropped.add(&self.remove(self.by_recency.head));
        }
        dropped
    }

    /// Drops every entry at one end of which `ip` is, and with them what was known of its MAC
    /// address.
    ///
    /// For a VM that has left this server. (The thesis also clears a VM that stays, after each
    /// decision, to begin its throughput anew; the window of the rates takes that place here.)
    pub fn clear(&mut self, ip: Ipv4Addr) -> Dropped {
        let mut dropped = Dropped::default();
        while let Some(index) = self.endpoints.first_entry(&self.hash, ip) {
            dropped.add(&self.remove(index));
        }
        dropped
    }

    /// What was dropped because the table was full, since it was made.
    pub const fn evicted(&self) -> Dropped {
        self.evicted
    }

    /// The number of entries; a flow and its reverse are one.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The parameters that the table was made with.
    pub const fn config(&self) -> &FlowTableConfig {
        &self.config
    }

    /// Bytes of memory allocated, room for growth included.
    pub fn memory_usage(&self) -> usize {
        size_of::<Self>()
            + self.entries.memory_usage()
            + self.by_key.allocation_size()
            + self.endpoints.memory_usage()
    }

    fn advance(&mut self, now: Duration) {
        self.now = self.now.max(nanos(now));
        self.window = self.window.at(self.now);
    }

    pub(crate) fn find(&self, hash: u64, key: &UndirectedKey) -> Option<u32> {
        let found = |&i: &u32| self.entries[i].key() == key;
        self.by_key.find(hash, found).copied()
    }

    /// Moves an entry to the end of the order of last records.
    fn refresh(&mut self, index: u32) {
        // Within one moment, which is a whole poll, the order does not matter.
        if self.entries[index].last_seen() == self.now {
            return;
        }
        self.by_recency
            .remove(&mut self.entries, index, |e| &mut e.recency);
        self.by_recency
            .push_back(&mut self.entries, index, |e| &mut e.recency);
    }

    /// Adds an entry that is not there yet, at the cost of the oldest if the table is full.
    fn insert(&mut self, hash: u64, key: UndirectedKey) -> u32 {
        if self.len() >= self.config.limit {
            let oldest = self.remove(self.by_recency.head);
            self.evicted.add(&oldest);
        }
        let index = self.entries.insert(Entry::new(key, self.now));
        let Self { entries, .. } = self;
        self.by_key
            .insert_unique(hash, index, |&i| entries[i].key().hash(&self.hash));
        self.by_recency
            .push_back(entries, index, |e| &mut e.recency);
        for ip in key.ends() {
            self.endpoints.attach(&self.hash, entries, index, ip);
        }
        index
    }

    /// Takes an entry out of all lists and indices.
    fn remove(&mut self, index: u32) -> Entry {
        let key = *self.entries[index].key();
        self.by_key
            .find_entry(key.hash(&self.hash), |&i| i == index)
            .expect("an entry is indexed as long as it is")
            .remove();
        self.by_recency
            .remove(&mut self.entries, index, |e| &mut e.recency);
        for ip in key.ends() {
            self.endpoints
                .detach(&self.hash, &mut self.entries, index, ip);
        }
        self.entries.remove(index)
    }
}

impl fmt::Debug for FlowTable {
    // Neither the seed, which is a secret, nor the flows, which may be a million.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowTable")
            .field("entries", &self.len())
            .field("limit", &self.config.limit)
            .field("evicted", &self.evicted)
            .field("now", &Duration::from_nanos(self.now))
            .finish_non_exhaustive()
    }
}
