//! Eq. 3.1 and Eq. 3.2 at the size of thesis 5.1: 40,960 VMs on 2560 servers, every VM slot taken.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use s_core_model::ServerIndex;
use s_core_sim::{DataCentre, InitialPlacement};

fn model(c: &mut Criterion) {
    let snapshot = DataCentre {
        vms: 40_960,
        ..DataCentre::thesis(InitialPlacement::Random, 1)
    }
    .generate()
    .expect("as many VMs as slots");
    let (allocation, traffic) = (snapshot.allocation(), snapshot.traffic());
    let model = snapshot.cost_model();
    let mut group = c.benchmark_group("model");
    group.throughput(Throughput::Elements(traffic.pair_count() as u64));
    group.bench_function("total_cost/40960", |b| {
        b.iter(|| model.total_cost(black_box(allocation), black_box(traffic)));
    });
    let vms: Vec<_> = allocation.vms().collect();
    let mut vms = vms.iter().copied().cycle();
    let target = ServerIndex::new(0);
    group.throughput(Throughput::Elements(1));
    group.bench_function("gain/40960", |b| {
        b.iter(|| {
            let vm = vms.next().expect("a cycle has no end");
            black_box(model.gain(allocation, traffic, vm, target))
        });
    });
    group.finish();
}

criterion_group!(benches, model);
criterion_main!(benches);
