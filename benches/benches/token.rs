//! The token of a data centre of 100,000 and of 500,000 VMs: on the wire, and from VM to VM.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use s_core_model::{Level, VmId};
use s_core_token::{Limits, Mark, PolicyKind, Statistic, Token, TokenView};

const SIZES: [u32; 2] = [100_000, 500_000];
/// The levels of the thesis's canonical tree are 0 to 4.
const LEVELS: u8 = 5;
/// Peers whose level a holder looks at.
const PEERS: usize = 10;

/// What a holder does before it hands the token on.
fn visit(token: &mut Token, rng: &mut impl Rng) {
    token.set_own_level(Level::new(rng.random_range(0..LEVELS)));
    token.set_own_statistic(Statistic::from_f64(rng.random_range(0.0..1e8)));
    for _ in 0..PEERS {
        let peer = VmId::new(rng.random_range(0..token.len() as u32));
        let position = token.position_of(peer).expect("ids are dense");
        token.raise_level(position, Level::new(rng.random_range(0..LEVELS)));
    }
}

/// A token in the middle of its life.
fn token(kind: PolicyKind, slots: u32) -> Token {
    let policy = kind.build();
    let mut rng = Pcg64Mcg::seed_from_u64(1);
    let ids: Vec<VmId> = (0..slots).map(VmId::new).collect();
    let mut token = Token::new(&ids, policy.as_ref(), Mark::default(), Limits::default())
        .expect("distinct ids within the limits");
    for _ in 0..slots / 4 {
        visit(&mut token, &mut rng);
        token.pass(policy.as_ref(), false);
    }
    token
}

fn wire(c: &mut Criterion) {
    let mut group = c.benchmark_group("token/wire");
    for (kind, slots) in [PolicyKind::Distributed, PolicyKind::Global]
        .into_iter()
        .flat_map(|kind| SIZES.map(|slots| (kind, slots)))
    {
        let token = token(kind, slots);
        let frame = token.encode();
        let view = TokenView::new_checked(&frame[..], Limits::default()).expect("a good frame");
        let id = |name: &str| BenchmarkId::new(format!("{name}/{kind}"), slots);
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function(id("encode"), |b| b.iter(|| black_box(&token).encode()));
        group.bench_function(id("check"), |b| {
            b.iter(|| TokenView::new_checked(black_box(&frame[..]), Limits::default()).is_ok());
        });
        group.bench_function(id("decode"), |b| b.iter(|| Token::decode(black_box(&view))));
    }
    group.finish();
}

fn patch(c: &mut Criterion) {
    let mut group = c.benchmark_group("token/patch");
    for slots in SIZES {
        let frame = token(PolicyKind::Distributed, slots).encode();
        let mut view = TokenView::new_checked(frame, Limits::default()).expect("a good frame");
        let mut rng = Pcg64Mcg::seed_from_u64(2);
        group.bench_function(BenchmarkId::from_parameter(slots), |b| {
            b.iter(|| {
                for _ in 0..PEERS {
                    let level = Level::new(rng.random_range(0..LEVELS));
                    view.raise_level(rng.random_range(0..slots as usize), level)
                        .expect("in range");
                }
                view.set_mark(view.mark().next().unwrap_or_default());
                view.set_holder(rng.random_range(0..slots as usize))
                    .expect("in range");
            });
        });
    }
    group.finish();
}

/// One visit and the step after it, by a token that stays in the process.
fn next(c: &mut Criterion) {
    let mut group = c.benchmark_group("token/visit and next");
    for (kind, slots) in PolicyKind::ALL
        .into_iter()
        .flat_map(|kind| SIZES.map(|slots| (kind, slots)))
    {
        let policy = kind.build();
        let mut token = token(kind, slots);
        let mut rng = Pcg64Mcg::seed_from_u64(3);
        group.bench_function(BenchmarkId::new(kind.name(), slots), |b| {
            b.iter(|| {
                visit(&mut token, &mut rng);
                token.pass(policy.as_ref(), false)
            });
        });
    }
    group.finish();
}

/// One host's whole work on a received frame: check, decode, visit, step, encode.
fn hop(c: &mut Criterion) {
    let mut group = c.benchmark_group("token/hop");
    group.sample_size(20);
    for (kind, slots) in PolicyKind::ALL
        .into_iter()
        .flat_map(|kind| SIZES.map(|slots| (kind, slots)))
    {
        let policy = kind.build();
        let frame = token(kind, slots).encode();
        let mut rng = Pcg64Mcg::seed_from_u64(4);
        group.bench_function(BenchmarkId::new(kind.name(), slots), |b| {
            b.iter_batched_ref(
                || frame.clone(),
                |frame| {
                    let view = TokenView::new_checked(&frame[..], Limits::default()).expect("good");
                    let mut token = Token::decode(&view);
                    visit(&mut token, &mut rng);
                    token.pass(policy.as_ref(), false);
                    token.encode()
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, wire, patch, next, hop);
criterion_main!(benches);
