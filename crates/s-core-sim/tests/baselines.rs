//! Starling, Remedy and traffic-aware placement do what they are said to do; links' utilisation is that of a naive walk.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::strategy::Strategy as Generator;
use s_core_model::{
    Allocation, Capacity, CostModel, LinkWeights, Placement, Rate, ServerId, TrafficMatrix, VmId,
    VmIndex,
};
use s_core_sim::baselines::{Remedy, Starling, TrafficAware, iterate};
use s_core_sim::snapshot::Snapshot;
use s_core_sim::{
    DataCentre, InitialPlacement, Instance, LinkCapacities, LinkUtilisation, Proposal, Strategy,
    Watch, link_loads, link_utilisation,
};
use s_core_topology::LocationTable;

/// Servers 0 to 7 in racks of two, racks in pods of two.
const LOCATIONS: [&str; 8] = ["a/1", "a/1", "a/2", "a/2", "b/1", "b/1", "b/2", "b/2"];

struct Parts {
    model: CostModel<LocationTable>,
    traffic: TrafficMatrix,
    allocation: Allocation,
}

impl Parts {
    /// VM i of 1 MiB on server `hosts[i]`; every server has room for `slots`.
    fn new(slots: u32, hosts: &[u32], pairs: &[(u32, u32, u32)]) -> Self {
        let servers = (0..8).map(ServerId::new);
        let levels = LocationTable::new(servers.clone().zip(LOCATIONS)).unwrap();
        let room = Capacity {
            vm_slots: slots,
            memory_mib: u64::from(slots),
        };
        let placement = |(vm, host): (u32, &u32)| Placement {
            vm: VmId::new(vm),
            server: ServerId::new(*host),
            memory_mib: 1,
        };
        let pair = |(a, b, rate): &(u32, u32, u32)| {
            (
                VmIndex::new(*a),
                VmIndex::new(*b),
                Rate::new(f64::from(*rate)).unwrap(),
            )
        };
        Self {
            model: CostModel::new(LinkWeights::new([1.0, 10.0]).unwrap(), levels).unwrap(),
            traffic: TrafficMatrix::from_pairs(hosts.len(), pairs.iter().map(pair)).unwrap(),
            allocation: Allocation::new(
                servers.map(|server| (server, room)),
                (0..).zip(hosts).map(placement),
            )
            .unwrap(),
        }
    }

    fn run(&self, strategy: &dyn Strategy<LocationTable>) -> Proposal {
        let instance = Instance::new(&self.model, &self.traffic, &self.allocation).unwrap();
        let proposal = strategy.run(&instance, &()).unwrap();
        assert!(proposal.complete);
        let recomputed = self.model.total_cost(&proposal.allocation, &self.traffic);
        assert!((proposal.cost - recomputed).abs() <= 1e-9 * recomputed);
        proposal
    }

    /// The allocation after each migration, checked to be one that each migration found room in.
    fn replay(&self, proposal: &Proposal) -> Vec<Allocation> {
        let mut allocation = self.allocation.clone();
        let mut all = vec![allocation.clone()];
        for (step, migration) in (1..).zip(&proposal.migrations) {
            assert_eq!(migration.step, step);
            assert_eq!(allocation.host(migration.vm), migration.source);
            let gain = self
                .model
                .gain(&allocation, &self.traffic, migration.vm, migration.target);
            assert_eq!(gain, migration.gain);
            allocation.migrate(migration.vm, migration.target).unwrap();
            let cost = self.model.total_cost(&allocation, &self.traffic);
            assert!((cost - migration.total_cost).abs() <= 1e-6 * (cost + 1.0));
            all.push(allocation.clone());
        }
        assert_eq!(allocation, proposal.allocation);
        all
    }

    fn links(&self, allocation: &Allocation, capacities: LinkCapacities) -> LinkUtilisation {
        link_utilisation(self.model.levels(), allocation, &self.traffic, capacities).unwrap()
    }

    /// What VMs of one server exchange with each other.
    fn co_located(&self, allocation: &Allocation) -> f64 {
        let together =
            |(a, b, _): &(VmIndex, VmIndex, Rate)| allocation.host(*a) == allocation.host(*b);
        let pairs = self.traffic.pairs().filter(together);
        pairs.map(|(_, _, rate)| rate.bytes_per_second()).sum()
    }
}

fn hosts(allocation: &Allocation) -> Vec<u32> {
    allocation
        .vms()
        .map(|vm| allocation.host(vm).get())
        .collect()
}

fn starling(threshold: u32) -> Starling {
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

/// Placement from scratch moves nearly everything whenever the traffic has changed.
#[test]
fn iterated_placement_moves_most_vms_each_time() {
    let data_centre = |seed| {
        let data_centre = DataCentre {
            topology: "tree:2,2,4x4".parse().unwrap(),
            vm_slots: 4,
            vms: 200,
            link_weights: vec![1.0, 3.0, 20.0],
            ..DataCentre::thesis(InitialPlacement::Random, seed)
        };
        data_centre.generate().unwrap()
    };
    let windows: Vec<Snapshot> = (1..4).map(data_centre).collect();
    let model = windows[0].cost_model();
    let traffic = || windows.iter().map(Snapshot::traffic);
    let moved = |strategy: &dyn Strategy<_>| -> Vec<usize> {
        let proposals = iterate(strategy, &model, traffic(), windows[0].allocation(), &()).unwrap();
        let mut before = windows[0].allocation();
        for (proposal, traffic) in proposals.iter().zip(traffic()) {
            assert!(proposal.cost <= model.total_cost(before, traffic));
            before = &proposal.allocation;
        }
        proposals.iter().map(|proposal| proposal.moved).collect()
    };
    let all_at_once = moved(&TrafficAware);
    assert_eq!(all_at_once.len(), 3);
    assert!(
        all_at_once.iter().all(|moved| *moved > 100),
        "{all_at_once:?}"
    );
    let few: usize = moved(&starling(1_000_000)).iter().sum();
    assert!(few < all_at_once.iter().sum(), "{few} {all_at_once:?}");
}

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

/// Up to 20 VMs, and servers that they do not all fill.
fn any_parts() -> impl Generator<Value = Parts> {
    (
        1u32..4,
        prop::collection::vec(0u32..8, 1..20),
        prop::collection::vec((0u32..20, 0u32..20, 1u32..200), 0..40),
    )
        .prop_map(|(slots, hosts, pairs)| {
            let mut taken = [0; 8];
            let room = |host: &u32| {
                let taken: &mut u32 = &mut taken[*host as usize];
                *taken += 1;
                *taken <= slots
            };
            let hosts: Vec<u32> = hosts.into_iter().filter(room).collect();
            let count = hosts.len() as u32;
            let pairs: Vec<_> = pairs
                .into_iter()
                .map(|(a, b, rate)| (a % count, b % count, rate))
                .filter(|(a, b, _)| a != b)
                .collect();
            Parts::new(slots, &hosts, &pairs)
        })
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:?} {:?}",
            hosts(&self.allocation),
            self.traffic.pairs().collect::<Vec<_>>()
        )
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

    /// A pair loads two links of each level that it climbs; traffic-aware placement is never dearer, and the same each time.
    #[test]
    fn links_and_placement_agree_with_the_cost(parts in any_parts()) {
        let proposal = parts.run(&TrafficAware);
        let before = parts.model.total_cost(&parts.allocation, &parts.traffic);
        prop_assert!(proposal.cost <= before);
        prop_assert_eq!(&proposal.allocation, &parts.run(&TrafficAware).allocation);
        let links = parts.links(&proposal.allocation, LinkCapacities::default());
        let loads = link_loads(parts.model.levels(), &proposal.allocation, &parts.traffic);
        for (level, load) in (1..).zip(loads) {
            let sum: f64 = links.loads(level).map(Rate::bytes_per_second).sum();
            prop_assert_eq!(sum, 2.0 * load.bytes_per_second());
        }
    }
}

/// Stops at the n-th question.
struct Stop(AtomicUsize, usize);

impl Watch for Stop {
    fn progress(&self, done: f64, cost: f64) {
        assert!((0.0..=1.0).contains(&done) && cost >= 0.0);
    }

    fn is_stopped(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) >= self.1
    }
}

#[test]
fn all_stop_with_what_they_have() {
    let snapshot = DataCentre {
        topology: "tree:2,2x2".parse().unwrap(),
        vm_slots: 4,
        vms: 24,
        link_weights: vec![1.0, 10.0],
        ..DataCentre::thesis(InitialPlacement::Random, 1)
    };
    let snapshot = snapshot.generate().unwrap();
    let model = snapshot.cost_model();
    let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation()).unwrap();
    let strategies: [&dyn Strategy<_>; 3] = [&starling(0), &Remedy::default(), &TrafficAware];
    for strategy in strategies {
        for limit in 0..3 {
            let stop = Stop(AtomicUsize::new(0), limit);
            let proposal = strategy.run(&instance, &stop).unwrap();
            assert!(!proposal.complete || limit > 1, "{}", strategy.name());
            assert!(limit > 0 || proposal.moved == 0);
        }
        let [one, other] = [(); 2].map(|()| strategy.run(&instance, &()).unwrap());
        assert!(one.complete);
        assert_eq!(
            (one.allocation, one.migrations),
            (other.allocation, other.migrations)
        );
    }
}
