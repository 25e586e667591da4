//! Memory and operation times of the flow table (thesis 5.2.2, Figs. 5.6 and 5.7).

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_pcg::Pcg64Mcg;
use s_core_examples::Failure;
use s_core_flow::{FlowKey, FlowTable, FlowTableConfig};

use crate::measure::{Spread, cpu_seconds, heap_growth};
use crate::progress::Progress;

/// The flows of one measurement are spread over tables so that there are at least so many: a clock is too coarse for a few.
const AT_LEAST: u32 = 20_000;

/// The thesis's sets of flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlowSet {
    /// Type 1: each flow has a source address of its own.
    One,
    /// Type 2: a thousand flows to a source address.
    Two,
}

impl FlowSet {
    pub(crate) const ALL: [Self; 2] = [Self::One, Self::Two];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::One => "type 1",
            Self::Two => "type 2",
        }
    }

    const fn per_source(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Two => 1_000,
        }
    }
}

/// A table with so many flows: its memory, and CPU seconds to add, look up and delete all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) set: FlowSet,
    pub(crate) flows: u32,
    /// Allocated by the full table, room for growth included.
    pub(crate) bytes: usize,
    pub(crate) add: Spread,
    pub(crate) look_up: Spread,
    pub(crate) delete: Spread,
}

/// Both sets at growing sizes, and the memory of a server's table with 16 VMs that have 10 and 100 flows each.
#[derive(Debug)]
pub(crate) struct FlowTables {
    pub(crate) measured: Vec<Measured>,
    pub(crate) server_bytes: [usize; 2],
}

/// Measures tables of up to `most` flows, each `repeats` times.
pub(crate) fn measure(
    most: u32,
    repeats: usize,
    progress: &Progress,
) -> Result<FlowTables, Failure> {
    let mut measured = Vec::new();
    for set in FlowSet::ALL {
        for flows in sizes(most) {
            progress.step(&format!("flow table, {}: {flows} flows", set.name()))?;
            measured.push(measure_one(set, flows, repeats));
        }
    }
    let server = |per_vm| full_table(&flows(16 * per_vm, per_vm)).1;
    Ok(FlowTables {
        measured,
        server_bytes: [server(10), server(100)],
    })
}

/// 1, 2, 5, 10, 20, … up to `most`.
fn sizes(most: u32) -> impl Iterator<Item = u32> {
    let decades = (0..=9).map(|exponent| 10_u32.pow(exponent));
    let sizes = decades.flat_map(|decade| [1, 2, 5].map(|of| of * u64::from(decade)));
    sizes
        .map_while(|size| u32::try_from(size).ok())
        .take_while(move |size| *size <= most)
}

fn measure_one(set: FlowSet, count: u32, repeats: usize) -> Measured {
    let keys = flows(count, set.per_source());
    let (_, bytes) = full_table(&keys);
    let mut times: [Vec<f64>; 3] = Default::default();
    for _ in 0..repeats.max(1) {
        for (all, time) in times.iter_mut().zip(times_of(&keys)) {
            all.push(time);
        }
    }
    let [add, look_up, delete] =
        times.map(|times| Spread::of(times).expect("it is repeated at least once"));
    Measured {
        set,
        flows: count,
        bytes,
        add,
        look_up,
        delete,
    }
}

/// CPU seconds to add all of these flows to an empty table, to look each up, and to delete all.
fn times_of(keys: &[FlowKey]) -> [f64; 3] {
    let copies = AT_LEAST.div_ceil(keys.len().max(1) as u32);
    let mut tables: Vec<_> = (0..copies).map(|_| empty_table()).collect();
    let mut sources: Vec<_> = keys.iter().map(|key| key.src).collect();
    sources.sort_unstable();
    sources.dedup();
    let ((), add) = cpu_seconds(|| {
        for table in &mut tables {
            record_all(table, keys);
        }
    });
    let (_, look_up) = cpu_seconds(|| {
        let of = |table: &FlowTable| -> u64 {
            let bytes = |key: &FlowKey| table.flow(*key).map_or(0, |flow| flow.bytes);
            keys.iter().map(bytes).sum()
        };
        black_box(tables.iter().map(of).sum::<u64>())
    });
    let ((), delete) = cpu_seconds(|| {
        for table in &mut tables {
            for source in &sources {
                table.clear(*source);
            }
        }
    });
    [add, look_up, delete].map(|time| time / f64::from(copies))
}

/// A table with these flows and the bytes that it takes.
fn full_table(keys: &[FlowKey]) -> (FlowTable, usize) {
    heap_growth(|| {
        let mut table = empty_table();
        record_all(&mut table, keys);
        table
    })
}

fn empty_table() -> FlowTable {
    let config = FlowTableConfig {
        limit: 2_000_000,
        window: Duration::from_secs(60),
        idle_timeout: Duration::from_secs(120),
        seed: 0x5eed,
    };
    FlowTable::new(config, Duration::ZERO).expect("the parameters are in range")
}

fn record_all(table: &mut FlowTable, keys: &[FlowKey]) {
    for key in keys {
        table.record(Duration::from_secs(1), *key, 1_500, None);
    }
}

/// `count` different flows in random order, `per_source` to a source address.
fn flows(count: u32, per_source: u32) -> Vec<FlowKey> {
    let key = |n: u32| FlowKey {
        src: Ipv4Addr::from_bits(0x0a00_0000 + n / per_source),
        dst: Ipv4Addr::from_bits(0x0b00_0000 + n % 1_000),
        protocol: 6,
        src_port: 40_000,
        dst_port: 80,
    };
    let mut keys: Vec<_> = (0..count).map(key).collect();
    keys.shuffle(&mut Pcg64Mcg::seed_from_u64(1));
    keys
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn sizes_grow_by_steps_of_a_decade() {
        let check = |most, wanted: &[u32]| assert_eq!(sizes(most).collect::<Vec<_>>(), wanted);
        check(0, &[]);
        check(1, &[1]);
        check(99, &[1, 2, 5, 10, 20, 50]);
        assert_eq!(sizes(1_000_000).last(), Some(1_000_000));
        assert_eq!(sizes(u32::MAX).last(), Some(2_000_000_000));
    }

    #[test]
    fn the_sets_are_those_of_the_thesis() {
        let check = |set: FlowSet, count, sources: usize| {
            let keys = flows(count, set.per_source());
            let distinct: BTreeSet<_> = keys.iter().map(|key| (key.src, key.dst)).collect();
            let found: BTreeSet<_> = keys.iter().map(|key| key.src).collect();
            assert_eq!((distinct.len(), found.len()), (count as usize, sources));
            assert_eq!(full_table(&keys).0.len(), count as usize);
        };
        check(FlowSet::One, 5_000, 5_000);
        check(FlowSet::Two, 5_000, 5);
    }
}
