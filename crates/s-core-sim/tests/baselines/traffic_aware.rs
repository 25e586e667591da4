//! Traffic-aware placement cuts light pairs.

use proptest::prelude::*;
use s_core_sim::baselines::TrafficAware;

use crate::parts::{Parts, any_parts};

#[test]
fn traffic_aware_cuts_light_pairs() {
    let costs = |slots, hosts: &[u32], pairs: &[(u32, u32, u32)]| {
        let proposal = Parts::new(slots, hosts, pairs).run(&TrafficAware);
        assert!(proposal.migrations.is_empty());
        (proposal.cost, proposal.moved)
    };
    // Two pairs across the core go to a rack each: nothing is left to pay.
    assert_eq!(costs(1, &[0, 4, 2, 6], &[(0, 1, 9), (2, 3, 9)]).0, 0.0);
    // A chain of four in racks of two: the light pair is cut, and spans one pod: 2 × 1 × c_1.
    assert_eq!(
        costs(1, &[0, 2, 4, 6], &[(0, 1, 9), (1, 2, 1), (2, 3, 9)]).0,
        2.0
    );
    // A clique of three fits a rack of two servers with two slots each.
    assert_eq!(
        costs(2, &[0, 2, 4], &[(0, 1, 9), (1, 2, 1), (0, 2, 3)]).0,
        0.0
    );
    // Five in a chain fill a rack; the fifth is cut off at the lightest pair.
    assert_eq!(
        costs(
            2,
            &[0, 2, 4, 6, 1],
            &[(0, 1, 9), (1, 2, 8), (2, 3, 7), (3, 4, 1)]
        )
        .0,
        2.0
    );
    // Nothing cheaper: everything stays.
    assert_eq!(costs(2, &[6, 7, 6], &[(0, 1, 9)]), (0.0, 0));
    assert_eq!(costs(2, &[], &[]), (0.0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// It is never dearer, and the same each time.
    #[test]
    fn placement_is_never_dearer(parts in any_parts()) {
        let proposal = parts.run(&TrafficAware);
        prop_assert!(proposal.cost <= parts.model.total_cost(&parts.allocation, &parts.traffic));
        prop_assert_eq!(proposal.allocation, parts.run(&TrafficAware).allocation);
    }
}
