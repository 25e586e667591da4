//! Starling moves a VM to where it exchanges most.

use proptest::prelude::*;
use s_core_model::Rate;
use s_core_sim::baselines::Starling;

use crate::parts::{Parts, any_parts, hosts};

pub(crate) fn starling(threshold: u32) -> Starling {
    Starling {
        threshold: Rate::new(f64::from(threshold)).unwrap(),
    }
}

#[test]
fn starling_moves_to_where_it_talks_most() {
    for (name, slots, threshold, from, pairs, to) in [
        (
            "to the peer of most traffic",
            4,
            0,
            &[0, 2, 4][..],
            &[(0, 1, 5), (0, 2, 9)][..],
            &[4, 4, 4][..],
        ),
        (
            "not for as much as it has",
            4,
            0,
            &[0, 0, 4, 4],
            &[(0, 1, 5), (2, 3, 5), (0, 2, 5)],
            &[0, 0, 4, 4],
        ),
        (
            "not below the threshold",
            4,
            9,
            &[0, 4],
            &[(0, 1, 9)],
            &[0, 4],
        ),
        ("above the threshold", 4, 8, &[0, 4], &[(0, 1, 9)], &[4, 4]),
        // The first VM to have its turn moves; the others' benefit is then what it was not before.
        (
            "the lower server of equals",
            4,
            0,
            &[7, 2, 4],
            &[(0, 1, 5), (0, 2, 5)],
            &[2, 2, 2],
        ),
        (
            "only where there is room",
            1,
            0,
            &[0, 4],
            &[(0, 1, 9)],
            &[0, 4],
        ),
        (
            "second best if that has room",
            2,
            0,
            &[0, 2, 4, 4],
            &[(0, 1, 5), (0, 2, 9), (2, 3, 99)],
            &[2, 2, 4, 4],
        ),
        // It knows no racks: next door and across the core are the same to it.
        (
            "away from its rack",
            2,
            0,
            &[0, 1, 6],
            &[(0, 1, 8), (0, 2, 9)],
            &[6, 1, 6],
        ),
        ("no traffic", 4, 0, &[0, 1, 6], &[], &[0, 1, 6]),
    ] {
        let parts = Parts::new(slots, from, pairs);
        let proposal = parts.run(&starling(threshold));
        assert_eq!(hosts(&proposal.allocation), to, "{name}");
        parts.replay(&proposal);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn starlings_co_located_traffic_never_falls(parts in any_parts(), threshold in 0u32..50) {
        let proposal = parts.run(&starling(threshold));
        let together: Vec<f64> = parts.replay(&proposal).iter().map(|at| parts.co_located(at)).collect();
        for pair in together.windows(2) {
            prop_assert!(pair[1] > pair[0] + f64::from(threshold));
        }
    }
}
