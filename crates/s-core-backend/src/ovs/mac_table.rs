//! Which IPv4 address goes with which MAC address.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::Ipv4Addr;

use foldhash::quality::FixedState;
use s_core_flow::MacAddr;

use crate::{End, FlowCounter};

/// For how many polls an address that is not shown any more, and a contradiction, are remembered.
const MEMORY: u64 = 60;

/// How many stations are looked at, at most, for one whose place a new one can have.
const LOOKS: usize = 8;

/// The IPv4 addresses of the stations of a layer-2 network, by MAC address.
///
/// With them a flow that the switch keeps only MAC addresses for becomes one between two IP
/// addresses ([`attribute`]). There are three kinds of stations:
///
/// - **Configured** ([`MacTable::configure`]): the address is given, and nobody else's is learnt to be it.
/// - **Attached** ([`MacTable::attach`]): the switch's database names the MAC address as a VM's. The address is
///   learnt. However many others the VM shows, it is that one: the first, of several in one poll the lowest.
/// - **All others**: the address is learnt, but a router puts its own MAC address on the packets of everybody
///   behind it. So a MAC address that shows two IPv4 addresses is taken for no station's until that
///   has not happened for 60 polls.
///
/// Addresses are learnt from flows that show both of a *source*: what others write as their destination
/// proves nothing. An address gives way to another only when it was not shown for 60 polls.
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
/// table.configure(mac, [10, 0, 1, 1].into());
/// assert_eq!(table.address(mac), Some([10, 0, 1, 1].into()));
/// # Ok::<(), s_core_flow::InvalidMac>(())
/// ```
#[derive(Clone, Debug)]
pub struct MacTable {
    configured: BTreeMap<MacAddr, Ipv4Addr>,
    /// The addresses of `configured`.
    taken: BTreeSet<Ipv4Addr>,
    stations: HashMap<MacAddr, Station, FixedState>,
    /// The stations that nobody attached, each once, with the poll in which it was last found in use; those at the
    /// front were longest not looked at. Those attached later leave when they come to the front.
    queue: VecDeque<(u64, MacAddr)>,
    limit: usize,
    poll: u64,
    refused: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Station {
    address: Option<Ipv4Addr>,
    /// The polls that showed this address first and last.
    first: u64,
    last: u64,
    /// The latest poll that showed another.
    contradicted: Option<u64>,
    attached: bool,
}

impl MacTable {
    /// An empty table that learns the addresses of at most `limit` stations.
    ///
    /// `seed` seeds the hash of the MAC addresses, which tenants choose.
    pub fn new(limit: usize, seed: u64) -> Self {
        Self {
            configured: BTreeMap::new(),
            taken: BTreeSet::new(),
            stations: HashMap::with_hasher(FixedState::with_seed(seed)),
            queue: VecDeque::new(),
            limit,
            poll: 0,
            refused: 0,
        }
    }

    /// Says that the VM whose interface has this MAC address is this one, whatever flows show.
    pub fn configure(&mut self, mac: MacAddr, address: Ipv4Addr) {
        self.configured.insert(mac, address);
        self.taken.insert(address);
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
    /// Of a configured station, a configured address or a group address nothing is learnt. When the table is
    /// full, a station that was not seen in this poll nor since it was last looked at gives up its place, unless it
    /// is attached; only eight are looked at, and if none of them does, the new station is refused.
    pub fn learn(&mut self, mac: MacAddr, address: Ipv4Addr) {
        let known = self.configured.contains_key(&mac) || self.taken.contains(&address);
        if known || mac.is_multicast() {
            return;
        }
        let poll = self.poll;
        if !self.stations.contains_key(&mac) {
            if self.stations.len() >= self.limit && !self.make_room() {
                self.refused += 1;
                return;
            }
            self.queue.push_back((poll, mac));
        }
        let station = self.stations.entry(mac).or_default();
        match station.address {
            Some(own) if own == address => station.last = poll,
            Some(own) if poll - station.last < MEMORY => {
                station.contradicted = Some(poll);
                if station.first == poll {
                    station.address = Some(own.min(address));
                }
            }
            _ => {
                station.address = Some(address);
                (station.first, station.last) = (poll, poll);
            }
        }
    }

    /// Forgets a station that is not in use; `false` if none was found.
    fn make_room(&mut self) -> bool {
        for _ in 0..LOOKS {
            let Some((looked_at, mac)) = self.queue.pop_front() else {
                return false;
            };
            match self.stations.get(&mac) {
                Some(station) if station.attached => {}
                Some(station) if station.last > looked_at || station.last == self.poll => {
                    self.queue.push_back((station.last, mac));
                }
                _ => return self.stations.remove(&mac).is_some(),
            }
        }
        false
    }

    /// The IPv4 address of the station with this MAC address, if one is known.
    pub fn address(&self, mac: MacAddr) -> Option<Ipv4Addr> {
        self.own_address(mac).or_else(|| {
            let station = self.stations.get(&mac)?;
            let poll = station.contradicted;
            let trusted = poll.is_none_or(|poll| self.poll - poll >= MEMORY);
            station.address.filter(|_| trusted)
        })
    }

    /// The same of a station that is a VM's interface, so that whatever it sends is that VM's.
    fn own_address(&self, mac: MacAddr) -> Option<Ipv4Addr> {
        let attached = || {
            let station = self.stations.get(&mac)?;
            station.address.filter(|_| station.attached)
        };
        self.configured.get(&mac).copied().or_else(attached)
    }

    /// These two ends, MAC addresses turned into IPv4 addresses where both are known; see
    /// [`attribute`].
    pub fn resolve(&self, src: End, dst: End) -> (End, End) {
        self.ends((src, None), (dst, None))
    }

    fn ends(&self, src: Side, dst: Side) -> (End, End) {
        match (self.end(src), self.end(dst)) {
            (End::Ipv4(a), End::Ipv4(b)) if a != b => (End::Ipv4(a), End::Ipv4(b)),
            // Two interfaces that have one address are still two stations.
            (End::Ipv4(_), End::Ipv4(_)) => (by_mac(src), by_mac(dst)),
            _ => (src.0, dst.0),
        }
    }

    fn end(&self, (end, mac): Side) -> End {
        let address = match end {
            End::Mac(mac) => self.address(mac),
            End::Ipv4(_) | End::Ipv6(_) => mac.and_then(|mac| self.own_address(mac)),
        };
        address.map_or(end, End::Ipv4)
    }

    /// How many stations are known, without those configured.
    pub fn len(&self) -> usize {
        self.stations.len()
    }

    /// Whether no station is known but those configured.
    pub fn is_empty(&self) -> bool {
        self.stations.is_empty()
    }

    /// How often a station was not taken in because the table was full.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

/// An end as the switch tells it, and its MAC address where that is known too.
type Side = (End, Option<MacAddr>);

fn by_mac((end, mac): Side) -> End {
    mac.map_or(end, End::Mac)
}

/// The two VMs that a flow is between, as far as `stations` knows them.
///
/// The MAC address of a configured or attached interface tells the VM, also where the flow shows IP addresses: what a
/// VM writes as its own address does not make it another. Any other MAC address counts only where the
/// switch keeps no IP address for the flow. A pair of MAC addresses stays as it is unless both are known.
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
    stations.ends((flow.src, flow.src_mac), (flow.dst, flow.dst_mac))
}
