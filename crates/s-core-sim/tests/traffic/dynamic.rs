//! Flows that start and end: what persists from window to window, and what stays on average.

use s_core_model::{Rate, TrafficMatrix};
use s_core_sim::InitialPlacement;
use s_core_sim::traffic::{DynamicTraffic, Dynamics, HomeRacks, Pattern};

use super::small;

fn homes() -> HomeRacks {
    HomeRacks::new(3200, 50)
}

fn windows(pattern: &Pattern, dynamics: Dynamics, count: usize) -> Vec<TrafficMatrix> {
    let mut traffic = DynamicTraffic::new(homes(), pattern, dynamics, 9).unwrap();
    (0..count).map(|_| traffic.next_window()).collect()
}

fn total(matrix: &TrafficMatrix) -> f64 {
    matrix
        .pairs()
        .map(|(.., rate)| rate.bytes_per_second())
        .sum()
}

/// Of the traffic of `from`, the share between VMs that keep it up in `to` (`same_rate`: at the same rate, but for
/// small flows).
fn persistence(from: &TrafficMatrix, to: &TrafficMatrix, same_rate: bool) -> f64 {
    let large = Rate::new(1000.0).unwrap();
    let persists = |then: Rate, now: Rate| {
        if same_rate {
            (then.bytes_per_second() - now.bytes_per_second()).abs() < 5000.0
        } else {
            now >= large
        }
    };
    let kept = (from.pairs())
        .filter(|(u, v, rate)| persists(*rate, to.rate(*u, *v)))
        .map(|(.., rate)| rate.bytes_per_second());
    kept.sum::<f64>() / total(from)
}

#[test]
fn the_first_window_is_that_of_the_static_traffic() {
    for placement in [InitialPlacement::Random, InitialPlacement::RackLocal] {
        let data_centre = small(placement, 100, 4);
        let mut traffic = data_centre.dynamic_traffic(Dynamics::default()).unwrap();
        assert_eq!(
            traffic.next_window(),
            *data_centre.generate().unwrap().traffic()
        );
    }
}

/// In a window a third of 1600 large flows ends, and their pairs mostly go on with another.
#[test]
fn most_traffic_persists_from_window_to_window() {
    let all = windows(&Pattern::default(), Dynamics::default(), 30);
    for pair in all.windows(2) {
        let (pairs, rates) = (
            persistence(&pair[0], &pair[1], false),
            persistence(&pair[0], &pair[1], true),
        );
        assert!(pairs > 0.99, "{pairs}");
        assert!((0.58..0.75).contains(&rates), "{rates}");
        let small = |m: &TrafficMatrix| m.pair_count() as f64;
        assert!((small(&pair[0]) / small(&pair[1]) - 1.0).abs() < 0.02);
    }
    let last = persistence(&all[0], &all[29], true);
    assert!(last < 0.01, "{last}");
    assert!(persistence(&all[0], &all[29], false) > 0.98);
}

/// Every window, one in six of the large flows' pairs gives way to another.
#[test]
fn pairs_change_as_often_as_asked() {
    let dynamics = Dynamics {
        large_flow_windows: 2,
        pair_windows: 6,
    };
    for pair in windows(&Pattern::default(), dynamics, 20).windows(2) {
        let kept = persistence(&pair[0], &pair[1], false);
        assert!((0.79..0.88).contains(&kept), "{kept}");
    }
}

#[test]
fn the_mean_over_windows_is_the_pattern_s() {
    let dynamics = Dynamics {
        large_flow_windows: 3,
        pair_windows: 9,
    };
    let all = windows(&Pattern::default(), dynamics, 90);
    let mean = all.iter().map(total).sum::<f64>() / 90.0;
    // 16,000 flows, a tenth of them large, of (10 KB + 128 MiB + 1 GiB) / 3 on average within 10 s.
    let wanted = 1600.0 * (10_000.0 + 1152.0 * 1_048_576.0) / 3.0 / 10.0;
    assert!((mean / wanted - 1.0).abs() < 0.05, "{mean} {wanted}");
    let of_rack = |vm: s_core_model::VmIndex| homes().rack_of(vm.get());
    let within = all.iter().flat_map(TrafficMatrix::pairs);
    let within = within.filter(|(u, v, _)| of_rack(*u) == of_rack(*v));
    let within: f64 = within.map(|(.., rate)| rate.bytes_per_second()).sum();
    assert!((within / 90.0 / mean - 0.8).abs() < 0.02, "{within}");
}

#[test]
fn rates_are_averaged_over_the_last_windows() {
    let single = windows(&Pattern::default(), Dynamics::default(), 7);
    let pattern = Pattern {
        windows: 4,
        ..Pattern::default()
    };
    for (now, averaged) in windows(&pattern, Dynamics::default(), 7).iter().enumerate() {
        let last = &single[now.saturating_sub(3)..=now];
        let sum: f64 = last.iter().map(total).sum();
        let wanted = sum / last.len() as f64;
        assert!(
            (total(averaged) / wanted - 1.0).abs() < 1e-9,
            "window {now}"
        );
        for (u, v, rate) in averaged.pairs() {
            let sum: f64 = last.iter().map(|m| m.rate(u, v).bytes_per_second()).sum();
            let mean = sum / last.len() as f64;
            assert!((rate.bytes_per_second() - mean).abs() <= 1e-9 * mean);
        }
    }
}
