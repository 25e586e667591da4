//! The decision against a plain one: for each server, two sums over all peers.

mod common;

use common::{Pairs, rate};
use proptest::prelude::*;
use s_core_model::{
    CostModel, GainLimits, Level, Levels, LinkWeights, MigrationCost, ServerId, ServerIndex,
};
use s_core_proto::{Evaluation, Rules, TargetChoice};

const PATH: [f64; 3] = [0.0, 1.0, 4.0];

fn path(levels: Pairs, a: u32, b: u32) -> f64 {
    let level = levels.level(ServerIndex::new(a), ServerIndex::new(b));
    PATH[usize::from(level.get())]
}

/// The servers worth a move, in the order of 4.2.5 or by gain.
fn plainly(
    levels: Pairs,
    source: u32,
    peers: &[(u32, u32)],
    threshold: f64,
    choice: TargetChoice,
) -> Vec<u32> {
    let cost = |at: u32| -> f64 {
        let costs = peers
            .iter()
            .map(|(server, rate)| f64::from(*rate) * path(levels, at, *server));
        costs.sum()
    };
    let pair_cost = |at: u32| -> f64 {
        let there = peers.iter().filter(|(server, _)| *server == at);
        let costs = there.map(|(_, rate)| f64::from(*rate) * path(levels, source, at));
        costs.fold(0.0, f64::max)
    };
    let gain = |at: u32| 2.0 * (cost(source) - cost(at));
    let mut servers: Vec<u32> = peers.iter().map(|(server, _)| *server).collect();
    servers.sort_unstable();
    servers.dedup();
    servers.retain(|server| *server != source && gain(*server) > threshold);
    servers.sort_by(|a, b| pair_cost(*b).total_cmp(&pair_cost(*a)));
    if choice == TargetChoice::BestFit {
        servers.sort_by(|a, b| gain(*b).total_cmp(&gain(*a)));
    }
    servers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whole numbers of bytes, so that both ways of summing are exact.
    #[test]
    fn candidates_come_in_the_plain_order(
        source in 0u32..8,
        peers in prop::collection::vec((0u32..8, 1u32..50), 0..12),
        threshold in 0u32..60,
        best in any::<bool>(),
    ) {
        let levels = Pairs { servers: 8 };
        let model = CostModel::new(LinkWeights::new([1.0, 3.0]).expect("rising"), levels).expect("two levels");
        let choice = if best { TargetChoice::BestFit } else { TargetChoice::FirstFit };
        let threshold = f64::from(threshold);
        let located = peers.iter().map(|(server, bytes)| (ServerIndex::new(*server), rate(f64::from(*bytes))));
        let mut evaluation = Evaluation::default();
        evaluation.evaluate(&model, ServerIndex::new(source), located.clone());
        let offered: Vec<u32> =
            evaluation.worthwhile(threshold, choice).iter().map(|c| c.server.get()).collect();
        prop_assert_eq!(offered, plainly(levels, source, &peers, threshold, choice));
        // What was evaluated before leaves no trace.
        evaluation.evaluate(&model, ServerIndex::new(source), []);
        prop_assert!(evaluation.candidates().is_empty());
        prop_assert_eq!(evaluation.cost(), 0.0);
    }
}

/// 16 servers in racks of two under three levels of links: a hierarchy, unless it says that it is none.
#[derive(Clone, Copy, Debug)]
struct Racks {
    hierarchical: bool,
}

impl Levels for Racks {
    fn server_count(&self) -> usize {
        16
    }
    fn max_level(&self) -> Level {
        Level::new(3)
    }
    fn level(&self, a: ServerIndex, b: ServerIndex) -> Level {
        let apart = (a.get() ^ b.get()) >> 1;
        Level::new((u32::BITS - apart.leading_zeros()) as u8)
    }
    fn group(&self, server: ServerIndex, level: Level) -> Option<u32> {
        (self.hierarchical).then(|| server.get() >> 1 >> level.get())
    }
    fn index_of(&self, server: ServerId) -> Option<ServerIndex> {
        Some(ServerIndex::new(server.get()))
    }
    fn server_at(&self, index: ServerIndex) -> ServerId {
        ServerId::new(index.get())
    }
}

/// c_m in every form.
fn migration_costs() -> impl Strategy<Value = MigrationCost> {
    prop_oneof![
        2 => Just(MigrationCost::ZERO),
        1 => (0..400u32).prop_map(|cost| MigrationCost::Absolute(f64::from(cost) / 7.0)),
        1 => (0..=20u32).prop_map(|part| MigrationCost::RelativeToVm(f64::from(part) / 20.0)),
    ]
}

/// Servers and sevenths of bytes per second, few of them many.
fn peers(count: core::ops::Range<usize>) -> impl Strategy<Value = Vec<(u32, u32)>> {
    let sevenths = prop_oneof![4 => 1u32..50, 1 => 1000u32..2000];
    prop::collection::vec((0u32..16, sevenths), count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// To the last bit: sums of sevenths depend on their order.
    #[test]
    fn choosing_is_asking_in_order(
        source in 0u32..16,
        peers in prop_oneof![9 => peers(0..12), 1 => peers(60..70)],
        migration_cost in migration_costs(),
        min_gain in prop_oneof![2 => Just(0.0), 1 => (0..400u32).prop_map(|gain| f64::from(gain) / 7.0)],
        best in any::<bool>(),
        room in any::<u16>(),
        hierarchical in any::<bool>(),
    ) {
        let weights = LinkWeights::new([1.0, 2.5, 20.1]).expect("rising");
        let model = CostModel::new(weights, Racks { hierarchical }).expect("three levels");
        let target_choice = if best { TargetChoice::BestFit } else { TargetChoice::FirstFit };
        let rules = Rules { migration_cost, target_choice, min_gain };
        let source = ServerIndex::new(source);
        let located = peers
            .iter()
            .map(|(server, sevenths)| (ServerIndex::new(*server), rate(f64::from(*sevenths) / 7.0)));
        let has_room = |server: ServerIndex| room >> server.get() & 1 == 1;
        let mut evaluation = Evaluation::default();
        let asking = evaluation.choose_by_asking(&model, source, located.clone(), &rules, has_room);
        let gains: Vec<_> = evaluation.candidates().iter().map(|c| (c.server, c.gain)).collect();
        let chosen = evaluation.choose(&model, source, located.clone(), &rules, has_room);
        prop_assert_eq!(chosen, asking);
        let limits = model.gain_limits(source, located.clone());
        prop_assert_eq!(limits.is_some(), hierarchical && peers.len() <= GainLimits::MAX_PEERS);
        if let Some(limits) = limits {
            for (server, gain) in gains.into_iter().filter(|(_, gain)| *gain > 0.0) {
                prop_assert!(model.is_within(limits.above(0.0), source, server));
                prop_assert!(model.is_within(limits.above(gain.next_down()), source, server));
            }
        }
    }
}
