//! The generated matrix, measured: flows per VM, shares, sizes, hot racks and their partners, as in Fig. 5.1.

use std::collections::BTreeMap;

use s_core_model::{Level, Levels};
use s_core_sim::snapshot::Snapshot;
use s_core_sim::traffic::{Flow, HomeRacks, Pattern, flows};
use s_core_sim::{DataCentre, InitialPlacement};

const SEEDS: std::ops::RangeInclusive<u64> = 1..=5;
const RACKS: usize = 128;

fn thesis(placement: InitialPlacement, seed: u64) -> Snapshot {
    DataCentre::thesis(placement, seed).generate().unwrap()
}

fn thesis_homes() -> HomeRacks {
    HomeRacks::new(32_768, RACKS as u32)
}

fn thesis_flows(seed: u64) -> Vec<Flow> {
    flows(thesis_homes(), &Pattern::default(), seed)
        .unwrap()
        .collect()
}

fn racks_of(flow: &Flow) -> [usize; 2] {
    [flow.a, flow.b].map(|vm| thesis_homes().rack_of(vm.get()) as usize)
}

fn assert_near(what: &str, value: f64, wanted: f64, tolerance: f64) {
    let near = (value - wanted).abs() <= tolerance;
    assert!(near, "{what} is {value}, not {wanted} ± {tolerance}");
}

/// The standard deviation of a share of 163,840 flows is at most 0.001.
#[test]
fn shares_of_flows_are_those_of_the_thesis() {
    for seed in SEEDS {
        let all = thesis_flows(seed);
        assert_eq!(all.len(), 32_768 * 10 / 2); // two ends each, so 10 per VM
        let share = |of: &dyn Fn(&Flow) -> bool| {
            all.iter().filter(|flow| of(flow)).count() as f64 / all.len() as f64
        };
        let within = share(&|flow| racks_of(flow)[0] == racks_of(flow)[1]);
        assert_near("within the rack", within, 0.8, 0.005);
        assert_near("small", share(&|flow| flow.bytes < 10_000), 0.9, 0.005);
        assert!(all.iter().all(|flow| flow.a != flow.b && flow.bytes > 0));
        let traffic = thesis(InitialPlacement::Random, seed).traffic().clone();
        let peers = 2.0 * traffic.pair_count() as f64 / 32_768.0;
        assert_near("peers per VM", peers, 9.87, 0.03);
        let bytes: f64 = all.iter().map(|flow| flow.bytes as f64).sum();
        let rates: f64 = traffic
            .pairs()
            .map(|(.., rate)| rate.bytes_per_second())
            .sum();
        assert_near("rate", rates, bytes / 10.0, 1e-6 * rates);
    }
}

/// The mode is at 128 MiB, and as in VL2 at least nine tenths of the bytes are in flows of 100 MB to 1 GB.
#[test]
fn large_flows_have_their_mode_at_128_mib() {
    let all: Vec<_> = SEEDS
        .flat_map(thesis_flows)
        .map(|flow| flow.bytes)
        .collect();
    let sum = |of: &dyn Fn(u64) -> bool| all.iter().filter(|b| of(**b)).sum::<u64>() as f64;
    let total = sum(&|_| true);
    assert!(sum(&|bytes| bytes < 10_000) < 0.001 * total);
    assert!(sum(&|bytes| (100_000_000..1_000_000_000).contains(&bytes)) > 0.9 * total);
    let mut sixteenths = [0u32; 16];
    for bytes in all.iter().filter(|bytes| **bytes >= 10_000) {
        sixteenths[((bytes - 1) >> 26) as usize] += 1;
    }
    // The density falls evenly from the mode on: by 1/14 of it from one sixteenth of a GiB to the next.
    assert_eq!(
        sixteenths.iter().max(),
        Some(&sixteenths[2]),
        "{sixteenths:?}"
    );
    let share = |of: usize| f64::from(sixteenths[of]) / f64::from(sixteenths.iter().sum::<u32>());
    for (sixteenth, wanted) in [
        (0, 0.0312),
        (1, 0.0938),
        (2, 0.1205),
        (8, 0.067),
        (15, 0.0045),
    ] {
        assert_near("share of sizes", share(sixteenth), wanted, 0.005);
    }
}

/// Rack-to-rack bytes, each pair once with the lower rack first.
fn between_racks(all: &[Flow]) -> BTreeMap<[usize; 2], f64> {
    let mut matrix = BTreeMap::new();
    for flow in all {
        let mut racks = racks_of(flow);
        racks.sort_unstable();
        if racks[0] != racks[1] {
            *matrix.entry(racks).or_insert(0.0) += flow.bytes as f64;
        }
    }
    matrix
}

#[test]
fn the_matrix_of_racks_is_sparse_with_few_hot_spots() {
    for seed in SEEDS {
        let matrix = between_racks(&thesis_flows(seed));
        let mut entries: Vec<f64> = matrix.values().copied().collect();
        entries.sort_by(|a, b| b.total_cmp(a));
        let total: f64 = entries.iter().sum();
        // 26 hot racks with 3 partners each are 39 pairs of the 8128.
        let heaviest: f64 = entries.iter().take(39).sum();
        assert!(heaviest > 0.85 * total, "{}", heaviest / total);
        let hot_spots = entries.iter().filter(|bytes| **bytes > 0.05 * entries[0]);
        assert!(
            (30..=45).contains(&hot_spots.clone().count()),
            "{}",
            hot_spots.count()
        );
    }
}

#[test]
fn a_fifth_of_the_racks_is_hot_and_talks_mostly_with_a_few_others() {
    for seed in SEEDS {
        let all = thesis_flows(seed);
        let mut ends = vec![BTreeMap::<usize, u32>::new(); RACKS];
        for [a, b] in all.iter().map(racks_of).filter(|[a, b]| a != b) {
            *ends[a].entry(b).or_default() += 1;
            *ends[b].entry(a).or_default() += 1;
        }
        let sums: Vec<u32> = ends.iter().map(|others| others.values().sum()).collect();
        let mean = sums.iter().sum::<u32>() / RACKS as u32;
        let hot: Vec<usize> = (0..RACKS).filter(|rack| sums[*rack] > mean).collect();
        assert_eq!(hot.len(), 26);
        for rack in 0..RACKS {
            let few: u32 = {
                let mut others: Vec<_> = ends[rack].values().copied().collect();
                others.sort_unstable_by(|a, b| b.cmp(a));
                others.iter().take(3).sum()
            };
            if hot.contains(&rack) {
                let share = f64::from(few) / f64::from(sums[rack]);
                assert!((0.9..0.99).contains(&share), "rack {rack}: {share}");
            } else {
                assert!(10 * sums[rack] < mean, "rack {rack}: {}", sums[rack]);
                assert!(ends[rack].keys().all(|other| hot.contains(other)));
            }
        }
    }
}

/// The share of the bytes at each level.
fn shares_of_levels(snapshot: &Snapshot) -> [f64; 5] {
    let (allocation, levels) = (snapshot.allocation(), snapshot.locations());
    let mut sums = [0.0; 5];
    for (u, v, rate) in snapshot.traffic().pairs() {
        let level: Level = levels.level(allocation.host(u), allocation.host(v));
        sums[usize::from(level.get())] += rate.bytes_per_second();
    }
    let total: f64 = sums.iter().sum();
    sums.map(|sum| sum / total)
}

#[test]
fn most_of_what_leaves_racks_climbs_to_the_upper_levels() {
    for seed in SEEDS {
        let local = shares_of_levels(&thesis(InitialPlacement::RackLocal, seed));
        assert_near("level 0, rack-local", local[0], 0.8, 0.02);
        let upper = (local[3] + local[4]) / (1.0 - local[0]);
        assert!(upper > 0.75, "{upper} of what leaves racks");
        let random = shares_of_levels(&thesis(InitialPlacement::Random, seed));
        // A server is in another quarter of the data centre with 3/4, in the same rack with 1/128.
        assert_near("level 4, random", random[4], 0.75, 0.02);
        assert_near("level 0, random", random[0], 0.0078, 0.005);
    }
}

#[test]
fn more_windows_make_a_denser_matrix_of_the_same_rate() {
    let measure = |windows| {
        let pattern = Pattern {
            windows,
            ..Pattern::default()
        };
        let homes = HomeRacks::new(4096, 16);
        let all: Vec<_> = flows(homes, &pattern, 1).unwrap().collect();
        let rate: f64 = all
            .iter()
            .map(|flow| pattern.rate(*flow).bytes_per_second())
            .sum();
        (all.len(), rate)
    };
    let ((one, rate_of_one), (five, rate_of_five)) = (measure(1), measure(5));
    assert_eq!((one, five), (20_480, 102_400));
    assert_near("rate", rate_of_five, rate_of_one, 0.05 * rate_of_one);
}

#[test]
fn flows_within_a_rack_stay_within_their_application() {
    let homes = HomeRacks::new(1030, 10); // 103 VMs each: the last application of a rack has 3
    let pattern = Pattern {
        vms_per_application: Some(20),
        ..Pattern::default()
    };
    let all: Vec<_> = flows(homes, &pattern, 1).unwrap().collect();
    let places = all.iter().map(|flow| [flow.a, flow.b].map(|vm| vm.get()));
    let application = |vm: u32| (vm - homes.vms_of(homes.rack_of(vm)).start) / 20;
    let mut within = 0;
    for [a, b] in places.filter(|[a, b]| homes.rack_of(*a) == homes.rack_of(*b)) {
        assert_eq!(application(a), application(b), "{a} {b}");
        within += 1;
    }
    assert_near(
        "within the rack",
        f64::from(within) / all.len() as f64,
        0.8,
        0.02,
    );
}
