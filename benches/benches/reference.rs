//! The multilevel reference: thesis 5.1 with 32,768 VMs, and 1,048,576 VMs on 65,536 servers: CPU seconds, and the most memory that
//! it takes beside the data centre, counted by the allocator.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use peak_alloc::PeakAlloc;
use s_core_sim::reference::Multilevel;
use s_core_sim::{DataCentre, InitialPlacement, Instance, Strategy};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

fn reference(c: &mut Criterion) {
    let thesis = DataCentre::thesis(InitialPlacement::Random, 1);
    let million = DataCentre {
        topology: "tree:8,8,8,8x16".parse().expect("a tree"),
        vms: 1 << 20,
        vm_slots: 20,
        ..thesis.clone()
    };
    let mut group = c.benchmark_group("multilevel");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(1));
    for data_centre in [thesis, million] {
        let snapshot = data_centre.generate().expect("fewer VMs than slots");
        let model = snapshot.cost_model();
        let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation())
            .expect("parts of one snapshot");
        let before = HEAP.current_usage();
        HEAP.reset_peak_usage();
        group.throughput(Throughput::Elements(snapshot.traffic().pair_count() as u64));
        group.bench_function(BenchmarkId::from_parameter(data_centre.vms), |b| {
            // CPU time, as the figures that it is held against.
            b.iter_custom(|runs| {
                let run = |_| Multilevel::default().run(&instance, &());
                let proposals = (0..runs).map(run);
                proposals.map(|p| p.expect("a tree").cpu_time).sum()
            });
        });
        let most = HEAP.peak_usage().saturating_sub(before);
        println!("{} VMs: {} MiB at most", data_centre.vms, most >> 20);
    }
    group.finish();
}

criterion_group!(benches, reference);
criterion_main!(benches);
