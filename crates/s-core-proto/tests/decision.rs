//! The decision against a plain one: for each server, two sums over all peers.

mod common;

use common::{Pairs, rate};
use proptest::prelude::*;
use s_core_model::{CostModel, Levels, LinkWeights, ServerIndex};
use s_core_proto::{Evaluation, TargetChoice};

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
