//! A decision without any network: the holder's rates from the flow table, then Eq. 3.1 and 3.2 for each candidate.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use s_core_flow::{FlowKey, FlowTable, FlowTableConfig};
use s_core_model::{CostModel, Levels as _, LinkWeights, MigrationCost, Rate, ServerIndex};
use s_core_proto::{Evaluation, TargetChoice};
use s_core_topology::CanonicalTree;

use crate::measure::cpu_seconds;

/// How often it is done; the mean counts.
const REPEATS: u32 = 200;

/// CPU seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bare {
    /// To read the rates from the flow table.
    pub(crate) rates: f64,
    /// To evaluate the costs.
    pub(crate) evaluation: f64,
}

/// A VM whose peers are on random servers of the thesis's 2,560.
pub(crate) fn measure(peers: u16) -> Bare {
    let vm = Ipv4Addr::new(10, 0, 0, 1);
    let table = table(vm, peers);
    let mut rates = Vec::new();
    let ((), read) = cpu_seconds(|| {
        for _ in 0..REPEATS {
            table.rates_into(black_box(vm), Duration::from_secs(5), &mut rates);
        }
    });
    let tree = CanonicalTree::thesis();
    let servers = u32::try_from(tree.server_count()).expect("2,560");
    let model = CostModel::new(LinkWeights::thesis(), tree).expect("four weights, four levels");
    let mut random = Pcg64Mcg::seed_from_u64(1);
    let of = |(_, rate): &(Ipv4Addr, f64)| {
        let server = ServerIndex::new(random.random_range(0..servers));
        (
            server,
            Rate::new(*rate).expect("bytes over time are a rate"),
        )
    };
    let found: Vec<_> = rates.iter().map(of).collect();
    let mut evaluation = Evaluation::default();
    let ((), evaluated) = cpu_seconds(|| {
        for _ in 0..REPEATS {
            evaluation.evaluate(&model, ServerIndex::new(0), found.iter().copied());
            let threshold = MigrationCost::ZERO.threshold(evaluation.cost());
            let worthwhile = evaluation.worthwhile(threshold, TargetChoice::FirstFit);
            black_box(worthwhile.first().copied());
        }
    });
    let [rates, evaluation] = [read, evaluated].map(|seconds| seconds / f64::from(REPEATS));
    Bare { rates, evaluation }
}

/// The flow table of a host whose VM `vm` has these many peers.
fn table(vm: Ipv4Addr, peers: u16) -> FlowTable {
    let config = FlowTableConfig {
        limit: 200_000,
        window: Duration::from_secs(60),
        idle_timeout: Duration::from_secs(120),
        seed: 0x5eed,
    };
    let mut table = FlowTable::new(config, Duration::ZERO).expect("the parameters are in range");
    for n in 0..u32::from(peers) {
        let key = FlowKey::ip_pair(vm, Ipv4Addr::from_bits(0x0b00_0000 + n));
        table.record(Duration::from_secs(1), key, 1_500, None);
        table.record(Duration::from_secs(1), key.reversed(), 100, None);
    }
    table
}
