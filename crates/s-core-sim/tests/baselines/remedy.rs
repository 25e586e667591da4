//! Remedy relieves hot links.

use proptest::prelude::*;
use s_core_model::{Allocation, Rate};
use s_core_sim::baselines::Remedy;
use s_core_sim::{Instance, LinkCapacities, Strategy};

use crate::parts::{Parts, any_parts, hosts};

/// One server sends all over the core: its VM belongs under the other switch; 100 B/s is what a server's link carries.
fn remedy() -> Remedy {
    Remedy {
        capacities: LinkCapacities {
            server_link: Rate::new(100.0).unwrap(),
            over_subscription: 1.0,
        },
        horizon: 1e6,
        ..Remedy::default()
    }
}

#[test]
fn remedy_relieves_hot_links() {
    let pays = remedy();
    for (name, remedy, slots, from, pairs, to) in [
        // 150 of 200 on the links of racks a/1 and b/1: hot. Moved into each other's rack there is none left.
        (
            "away from a hot link",
            pays,
            2,
            &[0, 4][..],
            &[(0, 1, 150)][..],
            &[5, 4][..],
        ),
        (
            "not from one that is not",
            pays,
            2,
            &[0, 4],
            &[(0, 1, 139)],
            &[0, 4],
        ),
        (
            "not where it does not pay",
            Remedy {
                horizon: 1e3,
                ..pays
            },
            2,
            &[0, 4],
            &[(0, 1, 150)],
            &[0, 4],
        ),
        (
            "nor if pages are dirtied too fast",
            Remedy {
                horizon: 1e4,
                dirtied: 0.5,
                ..pays
            },
            2,
            &[0, 4],
            &[(0, 1, 150)],
            &[0, 4],
        ),
        (
            "not without rounds",
            Remedy { rounds: 0, ..pays },
            2,
            &[0, 4],
            &[(0, 1, 150)],
            &[0, 4],
        ),
        // No room in either rack: in any other, another link would be as hot as this one.
        (
            "not to congest another",
            pays,
            1,
            &[0, 4, 5, 1],
            &[(0, 1, 150)],
            &[0, 4, 5, 1],
        ),
        ("no traffic", pays, 1, &[0, 4, 5], &[], &[0, 4, 5]),
    ] {
        let parts = Parts::new(slots, from, pairs);
        let proposal = parts.run(&remedy);
        assert_eq!(hosts(&proposal.allocation), to, "{name}");
        parts.replay(&proposal);
    }
}

#[test]
fn remedy_says_what_is_out_of_range() {
    let parts = Parts::new(1, &[0], &[]);
    let instance = Instance::new(&parts.model, &parts.traffic, &parts.allocation).unwrap();
    let link = |server_link, over_subscription| LinkCapacities {
        server_link,
        over_subscription,
    };
    let default = Remedy::default();
    let good = default.capacities;
    for (remedy, message) in [
        (
            Remedy {
                hot: -0.1,
                ..default
            },
            "remedy: hot is -0.1; take a number from 0",
        ),
        (
            Remedy {
                hot: f64::NAN,
                ..default
            },
            "remedy: hot is NaN; take a number from 0",
        ),
        (
            Remedy {
                horizon: 0.0,
                ..default
            },
            "remedy: the horizon is 0; take seconds above 0",
        ),
        (
            Remedy {
                dirtied: 1.0,
                ..default
            },
            "remedy: the share dirtied is 1; take a share from 0 and below 1",
        ),
        (
            Remedy {
                capacities: link(Rate::ZERO, 4.0),
                ..default
            },
            "remedy: the server link is 0; take a rate above 0",
        ),
        (
            Remedy {
                capacities: link(good.server_link, 0.0),
                ..default
            },
            "remedy: the over-subscription is 0; take a number above 0",
        ),
    ] {
        assert_eq!(remedy.run(&instance, &()).unwrap_err().to_string(), message);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn remedys_highest_utilisation_never_rises(parts in any_parts()) {
        let proposal = parts.run(&remedy());
        let highest = |allocation: &Allocation| {
            let links = parts.links(allocation, remedy().capacities);
            links.maximum(1).max(links.maximum(2))
        };
        let highest: Vec<f64> = parts.replay(&proposal).iter().map(highest).collect();
        for pair in highest.windows(2) {
            prop_assert!(pair[1] <= pair[0] + 1e-9 || pair[1] <= remedy().hot + 1e-9);
        }
    }
}
