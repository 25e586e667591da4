//! Which IPv4 address goes with which MAC address.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use foldhash::quality::FixedState;
use s_core_flow::MacAddr;

use crate::{End, FlowCounter};

/// For how many polls a MAC address that showed two IPv4 addresses at once is not trusted.
const DISTRUST: u64 = 60;

/// The IPv4 addresses of the stations of a layer-2 network, by MAC address.
///
/// With them a flow that the switch keeps only MAC addresses for becomes one between two IP
/// addresses ([`attribute`]). Addresses are learnt from flows that show both of a *source*: what
/// others write as their destination proves nothing.
///
/// A router puts its own MAC address on the packets of everybody behind it, so a MAC address that
/// shows two IPv4 addresses in one poll is taken for no station's until that has not happened for
/// 60 polls. A MAC address that the switch's database names as a VM's ([`MacTable::attach`]) is
/// that VM's however many addresses it shows; the lowest of a poll stands for it.
/// An address seen in a later poll replaces an earlier one.
///
/// ```
/// use s_core_backend::ovs::MacTable;
///
/// let mut table = MacTable::new(1000, 7);
/// let mac = "02:00:0a:00:01:01".parse()?;
/// table.begin_poll();
/// table.learn(mac, [10, 0, 1, 1].into());
/// assert_eq!(table.address(mac), Some([10, 0, 1, 1].into()));
/// table.learn(mac, [10, 0, 9, 9].into());
/// assert_eq!(table.address(mac), None);
/// # Ok::<(), s_core_flow::InvalidMac>(())
/// ```
#[derive(Clone, Debug)]
pub struct MacTable {
    stations: HashMap<MacAddr, Station, FixedState>,
    limit: usize,
    poll: u64,
    refused: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Station {
    address: Option<Ipv4Addr>,
    learnt: u64,
    contradicted: Option<u64>,
    attached: bool,
}

impl MacTable {
    /// An empty table that holds at most `limit` stations.
    ///
    /// `seed` seeds the hash of the MAC addresses, which tenants choose.
    pub fn new(limit: usize, seed: u64) -> Self {
        Self {
            stations: HashMap::with_hasher(FixedState::with_seed(seed)),
            limit,
            poll: 0,
            refused: 0,
        }
    }

    /// Says that what is learnt from here on comes from another poll.
    pub fn begin_poll(&mut self) {
        self.poll += 1;
    }

    /// Says that this is the MAC address of a VM's interface (`attached-mac` in OVSDB).
    ///
    /// Such a station is taken in even when the table is full.
    pub fn attach(&mut self, mac: MacAddr) {
        if !mac.is_multicast() {
            self.stations.entry(mac).or_default().attached = true;
        }
    }

    /// Learns that a station with this MAC address sent with this IPv4 address.
    ///
    /// A group address, and a new station when the table is full, are refused.
    pub fn learn(&mut self, mac: MacAddr, address: Ipv4Addr) {
        if mac.is_multicast() {
            return;
        }
        if self.stations.len() >= self.limit && !self.stations.contains_key(&mac) {
            self.refused += 1;
            return;
        }
        let poll = self.poll;
        let station = self.stations.entry(mac).or_default();
        let same_poll = station.address.filter(|_| station.learnt == poll);
        station.address = match same_poll {
            Some(earlier) if earlier != address => {
                station.contradicted = Some(poll);
                Some(earlier.min(address))
            }
            _ => Some(address),
        };
        station.learnt = poll;
    }

    /// The IPv4 address of the station with this MAC address, if one is known.
    pub fn address(&self, mac: MacAddr) -> Option<Ipv4Addr> {
        let station = self.stations.get(&mac)?;
        let trusted = station.attached
            || station
                .contradicted
                .is_none_or(|poll| self.poll - poll >= DISTRUST);
        station.address.filter(|_| trusted)
    }

    /// These two ends, MAC addresses turned into IPv4 addresses where both are known; see
    /// [`attribute`].
    pub fn resolve(&self, src: End, dst: End) -> (End, End) {
        let address = |end| match end {
            End::Mac(mac) => self.address(mac).map(End::Ipv4),
            End::Ipv4(_) | End::Ipv6(_) => None,
        };
        address(src)
            .zip(address(dst))
            .filter(|(src, dst)| src != dst)
            .unwrap_or((src, dst))
    }

    /// How many stations are known.
    pub fn len(&self) -> usize {
        self.stations.len()
    }

    /// Whether no station is known.
    pub fn is_empty(&self) -> bool {
        self.stations.is_empty()
    }

    /// How often a station was not taken in because the table was full.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

/// The two ends of a flow, MAC addresses turned into IPv4 addresses where `stations` knows both.
///
/// ```
/// use s_core_backend::ovs::{MacTable, attribute, dump};
///
/// let text = "eth(src=02:00:00:00:00:01,dst=ff:ff:ff:ff:ff:ff),arp(sip=10.9.0.1,op=1), packets:0, bytes:0, used:never, actions:2\n\
///     eth(src=02:00:00:00:00:02,dst=ff:ff:ff:ff:ff:ff),arp(sip=10.9.0.2,op=1), packets:0, bytes:0, used:never, actions:1\n\
///     eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02), packets:1, bytes:98, used:0.100s, actions:2\n";
/// let mut stations = MacTable::new(1000, 7);
/// let reading = dump::read_dump(text, 7, &mut stations)?;
/// let (src, dst) = attribute(&reading.poll.counters[0], &stations);
/// assert_eq!(format!("{src} {dst}"), "10.9.0.1 10.9.0.2");
/// # Ok::<(), dump::NotADump>(())
/// ```
pub fn attribute(flow: &FlowCounter, stations: &MacTable) -> (End, End) {
    stations.resolve(flow.src, flow.dst)
}
