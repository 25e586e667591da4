//! From counters that only a switch understands to bytes that came since the last look.

use core::fmt;

use hashbrown::HashTable;

use crate::hash::SeededHash;

/// For how many incomplete polls in a row a counter that they do not show is remembered.
const UNSEEN: u32 = 4;

/// What a counter counted between two looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Delta {
    /// Packets.
    pub packets: u64,
    /// Bytes, as the switch counts them.
    pub bytes: u64,
}

/// The last reading of one datapath flow's counter.
#[derive(Clone, Copy)]
struct Reading {
    id: u64,
    packets: u64,
    bytes: u64,
    /// The poll that it was read in.
    poll: u32,
}

/// Turns the cumulative counters of datapath flows into deltas, so that no byte is lost or counted
/// twice.
///
/// A switch counts per datapath flow, from zero, and forgets a flow that is idle; the same flow may
/// return and starts at zero again (Open vSwitch: after 5 to 10 s, thesis 4.2.2). A flow is named
/// by an `id` of the caller's choice that is the same in every poll, such as its ufid or a hash of
/// its match.
///
/// ```
/// use s_core_flow::CounterDeltas;
///
/// let mut counters = CounterDeltas::new(100_000, 0x5eed);
/// let mut poll = counters.begin_poll();
/// assert_eq!(poll.delta(7, 1000, 900_000).bytes, 0); // counted since who knows when
/// poll.end();
///
/// let mut poll = counters.begin_poll();
/// assert_eq!(poll.delta(7, 1010, 915_000).bytes, 15_000);
/// assert_eq!(poll.delta(8, 2, 120).bytes, 120); // new since the last poll: all of it
/// poll.end();
///
/// let mut poll = counters.begin_poll();
/// assert_eq!(poll.delta(7, 3, 400).bytes, 400); // fell: it started again
/// poll.end();
/// ```
///
/// # What a reading means
///
/// - **A known counter that rose**: the difference.
/// - **A known counter of which packets or bytes fell**: it restarted, and the whole new value is
///   the delta.
/// - **An unknown counter**: its flow began after the last poll, and the whole value is the delta.
///   A flow that was missing in a whole poll is unknown, so one that vanishes and returns loses
///   nothing.
/// - **An unknown counter while history is unknown**: zero; the reading only sets the baseline.
///   That is so in the first poll, since the counters may have been counting for a week, and these
///   bytes belong to no window. Rates therefore begin with the second poll. It is so again in the
///   poll after one that overflowed or was [incomplete](OpenPoll::end_incomplete).
/// - **A second reading of an id in one poll**: a later reading of the same counter; a dump of
///   flows that change meanwhile may show one twice. What it rose by is the delta; one that fell is
///   out of date and changes nothing. *Different counters must have different ids*, even where the
///   switch shows one flow once per thread: their sum would not do, because when one of them ends,
///   the sum falls although the other did not restart.
///
/// What no reading shows cannot be told: bytes between a flow's last reading and its end or restart
/// are lost, and a restarted counter that has passed its old value by the next reading looks like
/// one that rose.
///
/// # Bounds
///
/// At most `limit` counters are remembered. An unknown counter beyond that is not: its delta is
/// zero, in this poll and in all until there is room, because a value that is not remembered would
/// be counted again each time. [`overflowed`](Self::overflowed) counts such readings. When there is
/// room again, the poll after takes the baseline of counters it does not know, for their history is
/// unknown. A flow that ended keeps its place until the end of the poll that misses it, so allow for
/// the flows of two polls.
#[derive(Clone)]
pub struct CounterDeltas {
    limit: usize,
    hash: SeededHash,
    readings: HashTable<Reading>,
    poll: u32,
    /// Whether a counter that is not remembered may have counted before the last poll.
    history_unknown: bool,
    overflowed: u64,
}

impl CounterDeltas {
    /// Remembers no counter yet, and never more than `limit`. Nothing is allocated in advance.
    ///
    /// `seed` seeds the hash; draw it at random at each start, as tenants may choose what the ids
    /// are made of.
    pub const fn new(limit: usize, seed: u64) -> Self {
        Self {
            limit,
            hash: SeededHash::new(seed),
            readings: HashTable::new(),
            poll: 0,
            history_unknown: true,
            overflowed: 0,
        }
    }

    /// Begins a poll. [`OpenPoll::end`] ends it; dropping it says that the poll failed half-way.
    pub const fn begin_poll(&mut self) -> OpenPoll<'_> {
        self.poll = self.poll.wrapping_add(1);
        OpenPoll {
            counters: self,
            overflowed: false,
        }
    }

    fn forget_unseen_for(&mut self, polls: u32) {
        let now = self.poll;
        self.readings
            .retain(|known| now.wrapping_sub(known.poll) <= polls);
    }

    /// How many readings were given no delta for lack of room, since the start.
    pub const fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// How many counters are remembered.
    pub fn len(&self) -> usize {
        self.readings.len()
    }

    /// Whether no counter is remembered.
    pub fn is_empty(&self) -> bool {
        self.readings.is_empty()
    }

    /// Bytes of memory allocated, room for growth included.
    pub fn memory_usage(&self) -> usize {
        size_of::<Self>() + self.readings.allocation_size()
    }
}

impl fmt::Debug for CounterDeltas {
    // Neither the seed, which is a secret, nor the readings, which may be a million.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CounterDeltas")
            .field("counters", &self.len())
            .field("limit", &self.limit)
            .field("history_unknown", &self.history_unknown)
            .field("overflowed", &self.overflowed)
            .finish_non_exhaustive()
    }
}

/// One look at all counters of a switch, while it is going on; see [`CounterDeltas::begin_poll`].
///
/// If it is dropped before [`end`](Self::end), the poll failed: the deltas already given stand, and
/// no counter is forgotten, since one that was not reached may well be there.
#[derive(Debug)]
#[must_use = "a poll that is dropped counts as failed"]
pub struct OpenPoll<'a> {
    counters: &'a mut CounterDeltas,
    overflowed: bool,
}

impl OpenPoll<'_> {
    /// What the counter `id`, which now reads `packets` and `bytes`, has counted since it was last
    /// read. See [`CounterDeltas`](CounterDeltas#what-a-reading-means) for counters that fall,
    /// vanish, return or come twice.
    #[must_use = "the reading is remembered, so these bytes are told only once"]
    pub fn delta(&mut self, id: u64, packets: u64, bytes: u64) -> Delta {
        let CounterDeltas {
            limit,
            hash,
            readings,
            poll,
            history_unknown,
            overflowed,
        } = &mut *self.counters;
        let reading = Reading {
            id,
            packets,
            bytes,
            poll: *poll,
        };
        let found = |known: &Reading| known.id == id;
        if let Some(known) = readings.find_mut(hash.word(id), found) {
            return update(known, reading);
        }
        if readings.len() >= *limit {
            self.overflowed = true;
            *overflowed = overflowed.saturating_add(1);
            return Delta::default();
        }
        readings.insert_unique(hash.word(id), reading, |known| hash.word(known.id));
        if *history_unknown {
            Delta::default()
        } else {
            Delta { packets, bytes }
        }
    }

    /// Ends a poll that has reached every counter, and forgets those that it did not show: their
    /// flows are gone.
    pub fn end(self) {
        let counters = self.counters;
        counters.forget_unseen_for(0);
        counters.history_unknown = self.overflowed;
    }

    /// Ends a poll that shows some counters but not, or not legibly, all of them.
    ///
    /// A counter that it did not show may be one of those, so it is remembered, through four such polls in a
    /// row. One that was unknown before may have been counting since who knows when: in the next
    /// poll, what is unknown only sets its baseline.
    pub fn end_incomplete(self) {
        let counters = self.counters;
        counters.forget_unseen_for(UNSEEN);
        counters.history_unknown = true;
    }
}

/// Replaces the last reading of a counter and tells what came in between.
const fn update(known: &mut Reading, new: Reading) -> Delta {
    let rise = match (
        new.packets.checked_sub(known.packets),
        new.bytes.checked_sub(known.bytes),
    ) {
        (Some(packets), Some(bytes)) => Delta { packets, bytes },
        _ if known.poll == new.poll => {
            return Delta {
                packets: 0,
                bytes: 0,
            };
        }
        _ => Delta {
            packets: new.packets,
            bytes: new.bytes,
        },
    };
    *known = new;
    rise
}
