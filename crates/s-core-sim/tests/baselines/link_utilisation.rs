//! Loads and utilisation of links.

use proptest::prelude::*;
use s_core_model::{Rate, VmIndex};
use s_core_sim::{LinkCapacities, link_loads};

use crate::parts::{LOCATIONS, Parts, any_parts};

/// Every link that a pair's packets pass, found by comparing the racks' names.
#[test]
fn utilisation_is_that_of_a_naive_walk() {
    let pairs = [
        (0, 1, 3),
        (0, 2, 5),
        (1, 3, 7),
        (2, 3, 11),
        (4, 0, 13),
        (4, 3, 17),
    ];
    let parts = Parts::new(2, &[0, 3, 4, 7, 1], &pairs);
    let capacities = LinkCapacities {
        server_link: Rate::new(10.0).unwrap(),
        over_subscription: 2.0,
    };
    let links = parts.links(&parts.allocation, capacities);
    let prefix = |vm: u32, level: usize| {
        let location = LOCATIONS[parts.allocation.host(VmIndex::new(vm)).usize()];
        if level == 1 { location } else { &location[..1] }
    };
    for (level, names) in [(1, &["a/1", "a/2", "b/1", "b/2"][..]), (2, &["a", "b"])] {
        let load = |name: &&str| -> f64 {
            let crosses = |(a, b, _): &&(u32, u32, u32)| {
                (prefix(*a, level) == *name) != (prefix(*b, level) == *name)
            };
            pairs
                .iter()
                .filter(crosses)
                .map(|(_, _, rate)| f64::from(*rate))
                .sum()
        };
        let naive: Vec<f64> = names.iter().map(load).collect();
        let found: Vec<f64> = links
            .loads(level as u8)
            .map(Rate::bytes_per_second)
            .collect();
        assert_eq!(found, naive, "level {level}");
        // 2 servers × 10 ÷ 2, and 4 servers × 10 ÷ 4.
        let utilisations: Vec<f64> = links.utilisations(level as u8).collect();
        assert_eq!(
            utilisations,
            naive
                .iter()
                .map(|load| load / [10.0, 10.0][level - 1])
                .collect::<Vec<_>>()
        );
        let mut sorted = utilisations.clone();
        sorted.sort_by(f64::total_cmp);
        assert_eq!(links.maximum(level as u8), sorted[sorted.len() - 1]);
        for (q, rank) in [
            (0.0, 0),
            (0.5, sorted.len() / 2 - 1),
            (1.0, sorted.len() - 1),
        ] {
            assert_eq!(links.quantile(level as u8, q), sorted[rank]);
        }
    }
    assert_eq!(
        (
            links.level_count(),
            links.link_count(1),
            links.link_count(2)
        ),
        (2, 4, 2)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A pair loads two links of each level that it climbs.
    #[test]
    fn links_agree_with_the_loads_of_levels(parts in any_parts()) {
        let links = parts.links(&parts.allocation, LinkCapacities::default());
        let loads = link_loads(parts.model.levels(), &parts.allocation, &parts.traffic);
        for (level, load) in (1..).zip(loads) {
            let sum: f64 = links.loads(level).map(Rate::bytes_per_second).sum();
            prop_assert_eq!(sum, 2.0 * load.bytes_per_second());
        }
    }
}
