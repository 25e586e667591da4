//! One migration decision (thesis 4.2.5): evaluation of a VM with 10, 100 and 1000 peers.
//!
//! The peers are on random servers of the 2560 of thesis 5.1, so that there are about as many candidates.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use s_core_model::{CostModel, Levels, LinkWeights, MigrationCost, Rate, ServerIndex};
use s_core_proto::{Evaluation, TargetChoice};
use s_core_topology::CanonicalTree;

fn random_peers(count: usize, servers: u32) -> Vec<(ServerIndex, Rate)> {
    let mut random = Pcg64Mcg::seed_from_u64(1);
    let mut peer = || {
        let server = ServerIndex::new(random.random_range(0..servers));
        let bytes = random.random_range(1..10_000_000);
        (server, Rate::from_bytes_over(bytes, 10_000_000_000))
    };
    (0..count).map(|_| peer()).collect()
}

fn decision(c: &mut Criterion) {
    let tree = CanonicalTree::thesis();
    let servers = tree.server_count() as u32;
    let model = CostModel::new(LinkWeights::thesis(), tree).expect("four weights, four levels");
    let mut group = c.benchmark_group("decision");
    for count in [10, 100, 1000] {
        let peers = random_peers(count, servers);
        group.throughput(Throughput::Elements(count as u64));
        for choice in [TargetChoice::FirstFit, TargetChoice::BestFit] {
            let mut evaluation = Evaluation::default();
            group.bench_with_input(
                BenchmarkId::new(choice.name(), count),
                &peers,
                |b, peers| {
                    b.iter(|| {
                        let peers = black_box(peers).iter().copied();
                        evaluation.evaluate(&model, ServerIndex::new(0), peers);
                        let threshold = MigrationCost::ZERO.threshold(evaluation.cost());
                        black_box(evaluation.worthwhile(threshold, choice).first().copied())
                    });
                },
            );
        }
    }
    group.finish();
}

criterion_group!(benches, decision);
criterion_main!(benches);
