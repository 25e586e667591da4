//! The data centre of thesis 5.1 from random placement to settled, and the same by the tests' plain oracle.
//!
//! Times are CPU seconds. At the end a table shows both side by side; the engine is to be at least four times as fast.

#[path = "../../crates/s-core-sim/tests/oracle/plain.rs"]
#[expect(dead_code, reason = "the tests look at more of it")]
mod plain;

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use plain::{Oracle, Plain};
use s_core_benches::cpu_time;
use s_core_sim::snapshot::Snapshot;
use s_core_sim::{
    DataCentre, InitialPlacement, Outcome, Rules, RunLimits, Simulation, THESIS_LINK_WEIGHTS,
};
use s_core_token::PolicyKind;

/// Of the tree of 5.1 (see `DataCentre::thesis`).
const FAN_OUTS: [u32; 4] = [4, 4, 4, 2];
const SERVERS_PER_RACK: usize = 20;

/// How many runs the table takes the fastest of.
const RUNS: usize = 3;

fn snapshot() -> Snapshot {
    DataCentre::thesis(InitialPlacement::Random, 1)
        .generate()
        .expect("the thesis's numbers make a data centre")
}

fn run(snapshot: &Snapshot, kind: PolicyKind) -> Outcome {
    let (model, policy) = (snapshot.cost_model(), kind.build());
    let (traffic, allocation) = (snapshot.traffic(), snapshot.allocation().clone());
    Simulation::new(&model, traffic, allocation, &*policy, Rules::default())
        .expect("the parts fit each other")
        .run_until_settled(RunLimits::default())
}

/// How many hops it took, and how long.
fn run_oracle(snapshot: &Snapshot, kind: PolicyKind) -> (u64, Duration) {
    let plain = Plain::of(
        snapshot.allocation(),
        snapshot.traffic(),
        &FAN_OUTS,
        SERVERS_PER_RACK,
        &THESIS_LINK_WEIGHTS,
    );
    let mut oracle = Oracle::new(plain, kind, Rules::default());
    cpu_time(|| {
        let mut hops = 0;
        while !oracle.is_settled() {
            oracle.step();
            hops += 1;
        }
        hops
    })
}

fn engine(c: &mut Criterion) {
    let snapshot = snapshot();
    let mut group = c.benchmark_group("simulation/32768");
    group.sample_size(10);
    for kind in PolicyKind::ALL {
        group.throughput(Throughput::Elements(run(&snapshot, kind).token_hops));
        group.bench_function(kind.name(), |b| {
            b.iter_custom(|count| (0..count).map(|_| run(&snapshot, kind).cpu_time).sum());
        });
    }
    group.finish();
}

fn beside_the_oracle(_: &mut Criterion) {
    if !std::env::args().any(|argument| argument == "--bench") {
        return; // where benches are only tested
    }
    let snapshot = snapshot();
    println!("policy       hops    engine      oracle   times");
    for kind in PolicyKind::ALL {
        let outcomes: Vec<_> = (0..RUNS).map(|_| run(&snapshot, kind)).collect();
        let engine = outcomes.iter().map(|outcome| outcome.cpu_time).min();
        let engine = engine.unwrap_or_default().as_secs_f64();
        let (hops, oracle) = run_oracle(&snapshot, kind);
        assert!(outcomes.iter().all(|outcome| outcome.token_hops == hops));
        let oracle = oracle.as_secs_f64();
        let times = oracle / engine;
        println!("{kind:11} {hops:6} {engine:7.3} s {oracle:9.3} s {times:7.1}");
    }
}

criterion_group!(benches, engine, beside_the_oracle);
criterion_main!(benches);
