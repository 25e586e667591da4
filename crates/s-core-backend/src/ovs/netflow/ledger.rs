//! Exported bytes, added up per pair.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher as _;
use std::net::Ipv4Addr;

use foldhash::quality::FixedState;
use s_core_flow::MacAddr;

use super::wire::{Datagram, Record};
use crate::{End, FlowCounter, NoEnds, Poll, Skipped, UnattributedCounter};

/// For how many polls a pair is remembered of which nothing is exported.
const MEMORY: u64 = 60;

/// What became of the datagrams that came, since the source was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exports {
    /// Datagrams that were understood.
    pub datagrams: u64,
    /// Records in them.
    pub records: u64,
    /// Records that the switch sent and that did not come.
    pub lost: u64,
    /// Records of pairs for which there was no room.
    pub no_room: u64,
    /// Datagrams that were not understood, or did not come from this machine.
    pub refused: u64,
}

/// One direction between two ends, and the interfaces behind them where they are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Way {
    src: Ipv4Addr,
    dst: Ipv4Addr,
    src_mac: Option<MacAddr>,
    dst_mac: Option<MacAddr>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    packets: u64,
    bytes: u64,
    /// The poll before which it last grew.
    grew: u64,
}

impl Account {
    fn add(&mut self, record: &Record, poll: u64) {
        self.packets = self.packets.saturating_add(record.packets.into());
        self.bytes = self.bytes.saturating_add(record.bytes.into());
        self.grew = poll;
    }
}

/// The sums of at most so many ways, and what the switch's ports are.
#[derive(Debug)]
pub(super) struct Ledger {
    hash: FixedState,
    ways: HashMap<Way, Account, FixedState>,
    multicast: Account,
    limit: usize,
    ports: BTreeMap<u16, MacAddr>,
    poll: u64,
    /// The number of the record that is to come next.
    next: Option<u32>,
    exports: Exports,
}

impl Ledger {
    pub(super) fn new(limit: usize, seed: u64) -> Self {
        let hash = FixedState::with_seed(seed);
        Self {
            ways: HashMap::with_hasher(hash.clone()),
            hash,
            multicast: Account::default(),
            limit,
            ports: BTreeMap::new(),
            poll: 0,
            next: None,
            exports: Exports::default(),
        }
    }

    /// Says which interface is at each OpenFlow port from now on.
    pub(super) fn know(&mut self, ports: BTreeMap<u16, MacAddr>) {
        self.ports = ports;
    }

    pub(super) fn exports(&self) -> Exports {
        self.exports
    }

    /// Adds a datagram that came from this machine (`local`) or not.
    pub(super) fn add(&mut self, bytes: &[u8], local: bool) {
        let Some(datagram) = Datagram::read(bytes).ok().filter(|_| local) else {
            self.exports.refused += 1;
            return;
        };
        // A switch that was started again counts from 0: less than was expected is no loss.
        let missing = self
            .next
            .map_or(0, |next| datagram.first().wrapping_sub(next));
        if missing <= u32::MAX / 2 {
            self.exports.lost += u64::from(missing);
        }
        self.next = Some(datagram.next());
        self.exports.datagrams += 1;
        for record in datagram.records() {
            self.exports.records += 1;
            self.add_record(&record);
        }
    }

    fn add_record(&mut self, record: &Record) {
        let to_group = |ip: Ipv4Addr| ip.is_multicast() || ip.is_broadcast();
        if to_group(record.src) || to_group(record.dst) || record.src == record.dst {
            self.multicast.add(record, self.poll);
            return;
        }
        let way = Way {
            src: record.src,
            dst: record.dst,
            src_mac: self.ports.get(&record.input).copied(),
            dst_mac: self.ports.get(&record.output).copied(),
        };
        if self.ways.len() >= self.limit && !self.ways.contains_key(&way) {
            self.exports.no_room += 1;
            return;
        }
        self.ways.entry(way).or_default().add(record, self.poll);
    }

    /// All sums. What has not grown for long is forgotten, sooner where room is short.
    pub(super) fn poll(&mut self) -> Poll {
        let memory = if self.ways.len() > self.limit / 4 * 3 {
            1
        } else {
            MEMORY
        };
        let now = self.poll;
        self.ways.retain(|_, account| now - account.grew <= memory);
        self.poll += 1;
        let counter = |(way, account): (&Way, &Account)| FlowCounter {
            id: self.hash.hash_one(way),
            src: End::Ipv4(way.src),
            dst: End::Ipv4(way.dst),
            src_mac: way.src_mac,
            dst_mac: way.dst_mac,
            transport: None,
            packets: account.packets,
            bytes: account.bytes,
        };
        let mut poll = Poll {
            counters: self.ways.iter().map(counter).collect(),
            ..Poll::default()
        };
        poll.counters.sort_unstable_by_key(|flow| flow.id);
        if self.multicast.packets > 0 {
            let Account { packets, bytes, .. } = self.multicast;
            poll.without_ends.push(UnattributedCounter {
                id: self.hash.hash_one("multicast"),
                reason: NoEnds::Multicast,
                packets,
                bytes,
            });
            poll.unattributed.multicast = Skipped { flows: 1, bytes };
        }
        poll
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A datagram whose last record has this number; each record: source, destination, bytes.
    fn datagram(last: u32, records: &[(u8, u8, u32)]) -> Vec<u8> {
        let mut bytes = vec![0; 24];
        bytes[1] = 5;
        bytes[3] = records.len() as u8;
        bytes[16..20].copy_from_slice(&last.to_be_bytes());
        for (src, dst, octets) in records {
            let mut record = [0; 48];
            record[..4].copy_from_slice(&[10, 0, 0, *src]);
            record[4..8].copy_from_slice(&[10, 0, 0, *dst]);
            record[13] = *src;
            record[15] = *dst;
            record[19] = 1;
            record[20..24].copy_from_slice(&octets.to_be_bytes());
            bytes.extend(record);
        }
        bytes
    }

    /// The bytes from one host of 10.0.0.0/24 to another.
    fn sum(poll: &Poll, src: u8, dst: u8) -> u64 {
        let end = |n| End::Ipv4([10, 0, 0, n].into());
        let flows = poll.counters.iter();
        let flows = flows.filter(|flow| (flow.src, flow.dst) == (end(src), end(dst)));
        flows.map(|flow| flow.bytes).sum()
    }

    #[test]
    fn records_of_a_pair_add_up_and_keep_their_id() {
        let mut ledger = Ledger::new(10, 7);
        ledger.add(&datagram(1, &[(1, 2, 100), (2, 1, 10)]), true);
        let before = ledger.poll();
        ledger.add(&datagram(3, &[(1, 2, 50), (1, 2, 1)]), true);
        let after = ledger.poll();
        assert_eq!((sum(&before, 1, 2), sum(&after, 1, 2)), (100, 151));
        assert_eq!((sum(&before, 2, 1), sum(&after, 2, 1)), (10, 10));
        let ids = |poll: &Poll| poll.counters.iter().map(|f| f.id).collect::<Vec<_>>();
        assert_eq!(ids(&before), ids(&after));
    }

    #[test]
    fn gaps_are_counted_and_restarts_are_none() {
        let check = |numbers: &[u32], lost: u64| {
            let mut ledger = Ledger::new(10, 7);
            for last in numbers {
                ledger.add(&datagram(*last, &[(1, 2, 1), (2, 1, 1)]), true);
            }
            assert_eq!(ledger.exports().lost, lost, "{numbers:?}");
        };
        check(&[1, 3, 5], 0);
        check(&[901, 903], 0);
        check(&[1, 5], 2);
        check(&[901, 1, 3], 0);
        check(&[u32::MAX, 1], 0);
        check(&[u32::MAX - 2, 3], 4);
    }

    #[test]
    fn what_is_not_the_switchs_changes_nothing() {
        let mut ledger = Ledger::new(10, 7);
        ledger.add(&datagram(1, &[(1, 2, 100)]), false);
        ledger.add(b"HTTP/1.1 400 Bad Request", true);
        assert_eq!(ledger.poll(), Poll::default());
        assert_eq!(ledger.exports().refused, 2);
    }

    #[test]
    fn ports_tell_interfaces_and_groups_are_no_pair() {
        let mac = |n| MacAddr::new([2, 0, 0, 0, 0, n]);
        let mut ledger = Ledger::new(10, 7);
        ledger.know(BTreeMap::from([(1, mac(1)), (2, mac(2))]));
        ledger.add(&datagram(0, &[(1, 2, 100)]), true);
        // The number belongs to another interface now: what it sends is not the first one's.
        ledger.know(BTreeMap::from([(1, mac(9))]));
        ledger.add(&datagram(1, &[(1, 2, 30)]), true);
        let mut group = datagram(2, &[(1, 2, 7)]);
        group[28..32].copy_from_slice(&[224, 0, 0, 1]);
        ledger.add(&group, true);
        let poll = ledger.poll();
        let mut found: Vec<_> = poll
            .counters
            .iter()
            .map(|f| (f.src_mac, f.dst_mac, f.bytes))
            .collect();
        found.sort();
        let first = (Some(mac(1)), Some(mac(2)), 100);
        assert_eq!(found, [first, (Some(mac(9)), None, 30)]);
        assert_eq!(poll.unattributed.multicast, Skipped { flows: 1, bytes: 7 });
    }

    #[test]
    fn room_is_bounded_and_comes_back() {
        let mut ledger = Ledger::new(4, 7);
        let all: Vec<_> = (1..=6).map(|n| (n, 100, 1)).collect();
        ledger.add(&datagram(5, &all), true);
        assert_eq!(ledger.poll().counters.len(), 4);
        assert_eq!(ledger.exports().no_room, 2);
        ledger.add(&datagram(6, &[(1, 100, 1)]), true);
        ledger.poll();
        // The others have not grown since the last poll but one.
        let left = ledger.poll();
        assert_eq!((left.counters.len(), sum(&left, 1, 100)), (1, 2));
        // Much room: a pair is remembered longer.
        for _ in 1..MEMORY {
            assert_eq!(ledger.poll().counters.len(), 1);
        }
        assert_eq!(ledger.poll().counters.len(), 0);
    }
}
