//! The addresses that the table's flows join, and their MAC addresses.

use core::net::Ipv4Addr;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Bucket;

use crate::entry::Entry;
use crate::hash::SeededHash;
use crate::list::List;
use crate::mac::MacAddr;
use crate::slab::Slab;

/// An address at the end of at least one entry.
#[derive(Clone, Copy)]
struct Endpoint {
    ip: Ipv4Addr,
    /// The MAC address seen last with this IP address.
    mac: Option<MacAddr>,
    /// Whether this IP address is also the one seen last with that MAC address.
    latest: bool,
    /// The entries that end here, oldest first.
    chain: List,
}

/// Endpoints by IP address and by MAC address. They come with their first entry and go with their
/// last, so there are at most twice as many as entries.
#[derive(Clone)]
pub(crate) struct Endpoints {
    endpoints: Slab<Endpoint>,
    by_ip: HashTable<u32>,
    /// For each MAC address the endpoint whose `latest` is set.
    by_mac: HashTable<u32>,
}

impl Endpoints {
    pub(crate) const fn new() -> Self {
        Self {
            endpoints: Slab::new(),
            by_ip: HashTable::new(),
            by_mac: HashTable::new(),
        }
    }

    fn find(&self, hash: &SeededHash, ip: Ipv4Addr) -> Option<u32> {
        let found = |&i: &u32| self.endpoints[i].ip == ip;
        self.by_ip.find(ip_hash(hash, ip), found).copied()
    }

    /// The entry at the head of an address's chain.
    pub(crate) fn first_entry(&self, hash: &SeededHash, ip: Ipv4Addr) -> Option<u32> {
        let endpoint = self.find(hash, ip)?;
        Some(self.endpoints[endpoint].chain.head)
    }

    /// The MAC address seen last with `ip`.
    pub(crate) fn mac_of(&self, hash: &SeededHash, ip: Ipv4Addr) -> Option<MacAddr> {
        self.endpoints[self.find(hash, ip)?].mac
    }

    /// The IP address seen last with `mac`.
    pub(crate) fn ip_of(&self, hash: &SeededHash, mac: MacAddr) -> Option<Ipv4Addr> {
        let found = |&i: &u32| self.endpoints[i].mac == Some(mac);
        let endpoint = self.by_mac.find(mac_hash(hash, mac), found)?;
        Some(self.endpoints[*endpoint].ip)
    }

    /// Puts an entry at the end of the chain of `ip`, one of its two ends.
    pub(crate) fn attach(
        &mut self,
        hash: &SeededHash,
        entries: &mut Slab<Entry>,
        entry: u32,
        ip: Ipv4Addr,
    ) {
        let Self {
            endpoints, by_ip, ..
        } = self;
        let bucket = by_ip.entry(
            ip_hash(hash, ip),
            |&i| endpoints[i].ip == ip,
            |&i| ip_hash(hash, endpoints[i].ip),
        );
        let endpoint = match bucket {
            Bucket::Occupied(bucket) => *bucket.get(),
            Bucket::Vacant(bucket) => {
                let endpoint = endpoints.insert(Endpoint {
                    ip,
                    mac: None,
                    latest: false,
                    chain: List::EMPTY,
                });
                bucket.insert(endpoint);
                endpoint
            }
        };
        let chain = &mut endpoints[endpoint].chain;
        chain.push_back(entries, entry, |e| e.chain_mut(ip));
    }

    /// Takes an entry out of the chain of `ip`, one of its two ends.
    pub(crate) fn detach(
        &mut self,
        hash: &SeededHash,
        entries: &mut Slab<Entry>,
        entry: u32,
        ip: Ipv4Addr,
    ) {
        let found = |&i: &u32| self.endpoints[i].ip == ip;
        let bucket = self
            .by_ip
            .find_entry(ip_hash(hash, ip), found)
            .expect("an entry's ends are known as long as it is");
        let endpoint = *bucket.get();
        let chain = &mut self.endpoints[endpoint].chain;
        chain.remove(entries, entry, |e| e.chain_mut(ip));
        if chain.is_empty() {
            bucket.remove();
            self.forget_mac(hash, endpoint);
            self.endpoints.remove(endpoint);
        }
    }

    /// Notes that `ip`, an address in use, was seen with `mac`.
    pub(crate) fn learn(&mut self, hash: &SeededHash, ip: Ipv4Addr, mac: MacAddr) {
        let Some(endpoint) = self.find(hash, ip) else {
            return;
        };
        let known = &self.endpoints[endpoint];
        if known.mac == Some(mac) && known.latest {
            return;
        }
        self.forget_mac(hash, endpoint);
        let Self {
            endpoints, by_mac, ..
        } = self;
        let bucket = by_mac.entry(
            mac_hash(hash, mac),
            |&i| endpoints[i].mac == Some(mac),
            |&i| endpoints[i].mac.map_or(0, |mac| mac_hash(hash, mac)),
        );
        match bucket {
            Bucket::Occupied(mut bucket) => {
                let before = core::mem::replace(bucket.get_mut(), endpoint);
                endpoints[before].latest = false;
            }
            Bucket::Vacant(bucket) => {
                bucket.insert(endpoint);
            }
        }
        let known = &mut endpoints[endpoint];
        known.mac = Some(mac);
        known.latest = true;
    }

    fn forget_mac(&mut self, hash: &SeededHash, endpoint: u32) {
        let known = &mut self.endpoints[endpoint];
        if let Some(mac) = known.mac.take()
            && known.latest
            && let Ok(bucket) = self
                .by_mac
                .find_entry(mac_hash(hash, mac), |&i| i == endpoint)
        {
            known.latest = false;
            bucket.remove();
        }
    }

    /// Bytes allocated.
    pub(crate) fn memory_usage(&self) -> usize {
        self.endpoints.memory_usage() + self.by_ip.allocation_size() + self.by_mac.allocation_size()
    }
}

fn ip_hash(hash: &SeededHash, ip: Ipv4Addr) -> u64 {
    hash.word(u64::from(ip.to_bits()))
}

fn mac_hash(hash: &SeededHash, mac: MacAddr) -> u64 {
    let [a, b, c, d, e, f] = mac.octets();
    hash.word(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
}
