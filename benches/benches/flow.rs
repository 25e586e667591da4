//! The flow table under the thesis's workloads (5.2.2): flows of type 1, each with a source address
//! of its own, and of type 2, a thousand to a source; and the rates of a VM with 10, 100 and 1000
//! peers, with which its migration decision begins.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;
use s_core_flow::{FlowKey, FlowTable, FlowTableConfig};

const SIZES: [u32; 3] = [1_000, 100_000, 1_000_000];
const TYPES: [(&str, u32); 2] = [("type 1", 1), ("type 2", 1_000)];

fn table() -> FlowTable {
    let config = FlowTableConfig {
        limit: 2_000_000,
        window: Duration::from_secs(60),
        idle_timeout: Duration::from_secs(120),
        seed: 0x5eed,
    };
    FlowTable::new(config, Duration::ZERO).expect("the parameters are in range")
}

/// `count` flows in random order, `per_source` to a source address, all to different destinations.
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

fn record_all(table: &mut FlowTable, now: u64, keys: &[FlowKey]) {
    for &key in keys {
        table.record(Duration::from_secs(now), key, 1_500, None);
    }
}

fn operations(c: &mut Criterion) {
    for (name, per_source) in TYPES {
        let mut group = c.benchmark_group(format!("flow/{name}"));
        group.sample_size(10);
        group.warm_up_time(Duration::from_millis(500));
        group.measurement_time(Duration::from_secs(2));
        for size in SIZES {
            let keys = flows(size, per_source);
            group.throughput(Throughput::Elements(u64::from(size)));
            group.bench_function(BenchmarkId::new("insert", size), |b| {
                b.iter_batched_ref(table, |t| record_all(t, 1, &keys), BatchSize::PerIteration);
            });

            let mut full = table();
            record_all(&mut full, 1, &keys);
            println!(
                "flow/{name}: {:.1} bytes of memory per flow at {size}",
                full.memory_usage() as f64 / f64::from(size)
            );
            let mut now = 1;
            group.bench_function(BenchmarkId::new("update", size), |b| {
                b.iter(|| {
                    now += 1;
                    record_all(&mut full, now, &keys);
                });
            });
            group.bench_function(BenchmarkId::new("look up", size), |b| {
                b.iter(|| {
                    keys.iter()
                        .map(|&k| full.flow(k).map_or(0, |f| f.bytes))
                        .sum::<u64>()
                });
            });
            group.bench_function(BenchmarkId::new("delete", size), |b| {
                let clear_all = |t: &mut FlowTable| {
                    for source in 0..size / per_source {
                        t.clear(Ipv4Addr::from_bits(0x0a00_0000 + source));
                    }
                };
                b.iter_batched_ref(|| full.clone(), clear_all, BatchSize::PerIteration);
            });
        }
        group.finish();
    }
}

fn rates(c: &mut Criterion) {
    let mut group = c.benchmark_group("flow/rates");
    group.sample_size(10);
    for peers in [10u32, 100, 1_000] {
        let vm = Ipv4Addr::new(10, 0, 0, 1);
        let mut table = table();
        for n in 0..peers {
            let key = FlowKey::ip_pair(
                vm,
                Ipv4Addr::from_bits(0x0b00_0000 + n.wrapping_mul(7_919) % peers),
            );
            table.record(Duration::from_secs(1), key, 1_500, None);
            table.record(Duration::from_secs(1), key.reversed(), 100, None);
        }
        let mut rates = Vec::new();
        group.throughput(Throughput::Elements(u64::from(peers)));
        group.bench_function(BenchmarkId::from_parameter(peers), |b| {
            b.iter(|| {
                table.rates_into(black_box(vm), Duration::from_secs(5), &mut rates);
                rates.len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, operations, rates);
criterion_main!(benches);
