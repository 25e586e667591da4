//! The level between two servers: the look-up under every term of Eq. 3.1.
//!
//! Random pairs of the 2560 servers of thesis 5.1, and of tables too large for the caches.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use s_core_model::{Levels, ServerIndex};
use s_core_topology::{CanonicalTree, FatTree, LeafSpine, LocationTable};

const PAIRS: usize = 1024;

fn random_pairs(servers: usize) -> Vec<(ServerIndex, ServerIndex)> {
    let mut random = Pcg64Mcg::seed_from_u64(1);
    let servers = u32::try_from(servers).expect("servers have 32-bit indices");
    let mut server = || ServerIndex::new(random.random_range(0..servers));
    (0..PAIRS).map(|_| (server(), server())).collect()
}

/// The tree's own paths as a table.
fn table(tree: &CanonicalTree) -> LocationTable {
    let servers = (0..tree.server_count() as u32).map(ServerIndex::new);
    LocationTable::new(servers.map(|s| (tree.server_at(s), tree.location(s).to_string())))
        .expect("a tree's paths make a table")
}

fn level(c: &mut Criterion) {
    let mut group = c.benchmark_group("level");
    group.throughput(Throughput::Elements(PAIRS as u64));
    let mut bench = |name: &str, levels: &dyn Fn(ServerIndex, ServerIndex) -> u8, servers| {
        let pairs = random_pairs(servers);
        group.bench_with_input(BenchmarkId::new(name, servers), &pairs, |b, pairs| {
            b.iter(|| {
                let levels = pairs.iter().map(|(x, y)| u64::from(levels(*x, *y)));
                black_box(levels.sum::<u64>())
            });
        });
    };
    let tree = CanonicalTree::thesis();
    let small = table(&tree);
    let large_tree = CanonicalTree::new(&[10, 10, 10, 25], 40).expect("a million servers");
    let large = table(&large_tree);
    let fat_tree = FatTree::new(24).expect("3456 servers");
    let leaves = LeafSpine::new(64, 40).expect("2560 servers");
    bench(
        "canonical-tree",
        &|x, y| tree.level(x, y).get(),
        tree.server_count(),
    );
    bench(
        "canonical-tree",
        &|x, y| large_tree.level(x, y).get(),
        large_tree.server_count(),
    );
    bench(
        "location-table",
        &|x, y| small.level(x, y).get(),
        small.server_count(),
    );
    bench(
        "location-table",
        &|x, y| large.level(x, y).get(),
        large.server_count(),
    );
    bench(
        "fat-tree",
        &|x, y| fat_tree.level(x, y).get(),
        fat_tree.server_count(),
    );
    bench(
        "leaf-spine",
        &|x, y| leaves.level(x, y).get(),
        leaves.server_count(),
    );
}

fn build(c: &mut Criterion) {
    let tree = CanonicalTree::thesis();
    let paths: Vec<_> = (0..tree.server_count() as u32)
        .map(ServerIndex::new)
        .map(|s| (tree.server_at(s), tree.location(s).to_string()))
        .collect();
    c.bench_function("location-table/build/2560", |b| {
        b.iter(|| LocationTable::new(paths.iter().map(|(id, path)| (*id, path))));
    });
}

criterion_group!(benches, level, build);
criterion_main!(benches);
