//! The flow table against a list of everything that was ever recorded.

use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;
use s_core_flow::{Dropped, EachWay, Flow, FlowKey, FlowTable, FlowTableConfig, MacAddr};

const WINDOW: u64 = 60;

#[derive(Clone, Debug)]
enum Op {
    Record {
        key: FlowKey,
        bytes: u64,
        mac: Option<MacAddr>,
    },
    Expire,
    Clear(Ipv4Addr),
}

struct Entry {
    key: FlowKey,
    records: Vec<(u64, FlowKey, u64)>,
    made: usize,
}

impl Entry {
    fn last(&self) -> u64 {
        self.records.last().map_or(0, |last| last.0)
    }

    fn bytes(&self, wanted: impl Fn(u64, FlowKey) -> bool) -> u64 {
        let wanted = self.records.iter().filter(|r| wanted(r.0, r.1));
        wanted.map(|r| r.2).sum()
    }

    fn ends_at(&self, ip: Ipv4Addr) -> bool {
        self.key.src == ip || self.key.dst == ip
    }

    /// The directions recorded, from the lower end (address, then port) first.
    fn flows(&self) -> Vec<Flow> {
        let mut keys = vec![self.key, self.key.reversed()];
        keys.sort_by_key(|key| (key.src, key.src_port));
        keys.dedup();
        keys.retain(|key| self.records.iter().any(|r| r.1 == *key));
        let flow = |key| Flow {
            key,
            bytes: self.bytes(|_, k| k == key),
            first_seen: Duration::from_secs(self.records[0].0),
            last_seen: Duration::from_secs(self.last()),
        };
        keys.into_iter().map(flow).collect()
    }
}

/// Entries in the order of their last records; sightings of MAC addresses, oldest first.
#[derive(Default)]
struct Model {
    entries: Vec<Entry>,
    made: usize,
    sightings: Vec<(Ipv4Addr, MacAddr, bool)>,
    evicted: Dropped,
}

impl Model {
    fn record(&mut self, limit: usize, now: u64, key: FlowKey, bytes: u64, mac: Option<MacAddr>) {
        let at = self
            .entries
            .iter()
            .position(|e| e.key == key || e.key == key.reversed());
        let at = at.unwrap_or_else(|| {
            if self.entries.len() == limit {
                let oldest = self.entries.remove(0);
                self.evicted.entries += 1;
                self.evicted.bytes += oldest.bytes(|_, _| true);
                self.forget_unused();
            }
            self.made += 1;
            let made = self.made;
            self.entries.push(Entry {
                key,
                records: vec![],
                made,
            });
            self.entries.len() - 1
        });
        // Entries that share a moment keep the order in which they reached it.
        let mut entry = self.entries.remove(at);
        let moved = entry.records.last().is_none_or(|last| last.0 < now);
        entry.records.push((now, key, bytes));
        let to = if moved { self.entries.len() } else { at };
        self.entries.insert(to, entry);
        self.sightings.extend(mac.map(|mac| (key.src, mac, true)));
    }

    fn drop_where(&mut self, drop: impl Fn(&Entry) -> bool) -> Dropped {
        let gone: Vec<_> = self.entries.extract_if(.., |e| drop(e)).collect();
        self.forget_unused();
        Dropped {
            entries: gone.len() as u64,
            bytes: gone.iter().map(|e| e.bytes(|_, _| true)).sum(),
        }
    }

    /// A sighting counts as long as its address has had flows ever since.
    fn forget_unused(&mut self) {
        for (ip, _, counts) in &mut self.sightings {
            *counts &= self.entries.iter().any(|e| e.ends_at(*ip));
        }
    }

    fn mac_of(&self, ip: Ipv4Addr) -> Option<MacAddr> {
        let last = self.sightings.iter().rfind(|s| s.0 == ip)?;
        last.2.then_some(last.1)
    }

    fn ip_of(&self, mac: MacAddr) -> Option<Ipv4Addr> {
        let last = self.sightings.iter().rfind(|s| s.1 == mac)?;
        (self.mac_of(last.0) == Some(mac)).then_some(last.0)
    }

    fn flows_of(&self, ip: Ipv4Addr) -> Vec<Flow> {
        let mut entries: Vec<_> = self.entries.iter().filter(|e| e.ends_at(ip)).collect();
        entries.sort_by_key(|e| e.made);
        entries.into_iter().flat_map(Entry::flows).collect()
    }

    /// Bytes of every single record, what `ip` sent and what it received, and the seconds that they are averaged over;
    /// the window begins at the half-window before the running one, or when the table was made.
    fn window(&self, ip: Ipv4Addr, born: u64, now: u64) -> (Vec<(Ipv4Addr, [u64; 2])>, f64) {
        let half = WINDOW / 2;
        let start = ((now / half).saturating_sub(1) * half).max(born);
        let bytes = |src: Ipv4Addr, dst: Ipv4Addr| -> u64 {
            let between = |at, key: FlowKey| at >= start && (key.src, key.dst) == (src, dst);
            self.entries.iter().map(|e| e.bytes(between)).sum()
        };
        let with_peers = addresses()
            .map(|peer: Ipv4Addr| (peer, [bytes(ip, peer), bytes(peer, ip)]))
            .filter(|(peer, bytes)| *peer != ip && *bytes != [0, 0] && now > start);
        (with_peers.collect(), (now - start) as f64)
    }

    fn rates(&self, ip: Ipv4Addr, born: u64, now: u64) -> Vec<(Ipv4Addr, f64)> {
        let (bytes, seconds) = self.window(ip, born, now);
        let rate =
            |(peer, [sent, received]): (_, [u64; 2])| (peer, (sent + received) as f64 / seconds);
        bytes.into_iter().map(rate).collect()
    }

    fn rates_each_way(&self, ip: Ipv4Addr, born: u64, now: u64) -> Vec<(Ipv4Addr, EachWay<f64>)> {
        let (bytes, seconds) = self.window(ip, born, now);
        let rate = |(peer, bytes): (_, [u64; 2])| {
            let [sent, received] = bytes.map(|bytes| bytes as f64 / seconds);
            (peer, EachWay { sent, received })
        };
        bytes.into_iter().map(rate).collect()
    }
}

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

fn addresses() -> impl Iterator<Item = Ipv4Addr> {
    (0..5).map(ip)
}

fn mac(last: u8) -> MacAddr {
    MacAddr::new([2, 0, 0, 0, 0, last])
}

fn key() -> impl Strategy<Value = FlowKey> {
    (
        0u8..5,
        0u8..5,
        prop_oneof![3 => Just(None), 2 => (0u16..3, 0u16..3).prop_map(Some)],
    )
        .prop_map(|(src, dst, ports)| {
            let pair = FlowKey::ip_pair(ip(src), ip(dst));
            ports.map_or(pair, |(src_port, dst_port)| FlowKey {
                protocol: 6,
                src_port,
                dst_port,
                ..pair
            })
        })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (key(), 0u64..5000, prop::option::of((0u8..4).prop_map(mac)))
            .prop_map(|(key, bytes, mac)| Op::Record { key, bytes, mac }),
        2 => Just(Op::Expire),
        1 => (0u8..5).prop_map(|n| Op::Clear(ip(n))),
    ]
}

/// Mostly small steps, sometimes beyond the window or the idle timeout, sometimes backwards.
fn step() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 0i64..12, 1 => 25i64..140, 1 => -20i64..0]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_agrees_with_the_list(
        limit in 1usize..12,
        idle_timeout in WINDOW..120,
        seed: u64,
        born in 0u64..100,
        ops in prop::collection::vec((step(), op()), 1..80),
    ) {
        let config = FlowTableConfig {
            limit,
            window: Duration::from_secs(WINDOW),
            idle_timeout: Duration::from_secs(idle_timeout),
            seed,
        };
        let mut table = FlowTable::new(config, Duration::from_secs(born)).unwrap();
        let mut model = Model::default();
        let (mut clock, mut latest) = (born, born);
        for (step, op) in ops {
            clock = clock.saturating_add_signed(step);
            let now = Duration::from_secs(clock);
            match op {
                Op::Record { key, bytes, mac } => {
                    latest = latest.max(clock);
                    table.record(now, key, bytes, mac);
                    model.record(limit, latest, key, bytes, mac);
                }
                Op::Expire => {
                    latest = latest.max(clock);
                    let rates: Vec<_> = addresses().map(|ip| table.rates(ip, now)).collect();
                    let want = model.drop_where(|e| latest - e.last() >= idle_timeout);
                    prop_assert_eq!(table.expire(now), want);
                    let after: Vec<_> = addresses().map(|ip| table.rates(ip, now)).collect();
                    prop_assert_eq!(rates, after, "expiry changes no rate");
                }
                Op::Clear(ip) => prop_assert_eq!(table.clear(ip), model.drop_where(|e| e.ends_at(ip))),
            }
            agree(&table, &model, born, latest.max(clock))?;
        }
    }
}

fn agree(table: &FlowTable, model: &Model, born: u64, now: u64) -> Result<(), TestCaseError> {
    prop_assert_eq!(table.len(), model.entries.len());
    prop_assert_eq!(table.evicted(), model.evicted);
    let flows: Vec<_> = model.entries.iter().flat_map(Entry::flows).collect();
    prop_assert_eq!(table.flows().collect::<Vec<_>>(), flows.as_slice());
    for flow in flows {
        prop_assert_eq!(table.flow(flow.key), Some(flow));
    }
    for entry in &model.entries {
        let both = table.bidirectional(entry.key).map(|f| (f.key, f.bytes));
        prop_assert_eq!(both, Some((entry.key, entry.bytes(|_, _| true))));
    }
    for ip in addresses() {
        prop_assert_eq!(table.flows_of(ip).collect::<Vec<_>>(), model.flows_of(ip));
        prop_assert_eq!(table.mac_of(ip), model.mac_of(ip));
        let rates = table.rates(ip, Duration::from_secs(now));
        prop_assert_eq!(rates, model.rates(ip, born, now));
        let rates = table.rates_each_way(ip, Duration::from_secs(now));
        prop_assert_eq!(rates, model.rates_each_way(ip, born, now));
    }
    for n in 0..4 {
        prop_assert_eq!(table.ip_of(mac(n)), model.ip_of(mac(n)));
    }
    Ok(())
}
