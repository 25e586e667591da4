//! Any numbers that pass the checks make flows between two different VMs.

use std::time::Duration;

use proptest::prelude::*;
use s_core_model::Levels;
use s_core_sim::InitialPlacement;
use s_core_sim::traffic::{DynamicTraffic, Dynamics, HomeRacks, Pattern, flows};

use super::small;

#[test]
fn home_racks_divide_the_vms() {
    for (vms, racks) in [
        (0, 0),
        (1, 0),
        (9, 0),
        (1, 1),
        (1, 5),
        (5, 5),
        (7, 3),
        (1000, 128),
        (128, 127),
        (32_768, 128),
    ] {
        let homes = HomeRacks::new(vms, racks);
        let mut all = 0;
        for rack in 0..homes.rack_count() {
            let range = homes.vms_of(rack);
            assert_eq!(range.start, all, "{vms} {racks}");
            assert!(range.len().abs_diff((vms / homes.rack_count()) as usize) <= 1);
            assert!(!range.is_empty());
            all = range.end;
            assert!(range.into_iter().all(|vm| homes.rack_of(vm) == rack));
        }
        assert_eq!(all, vms);
    }
}

#[test]
fn odd_numbers_of_vms_make_data_centres() {
    for vms in [0, 1, 2, 3, 11, 119, 120] {
        for placement in [InitialPlacement::Random, InitialPlacement::RackLocal] {
            let snapshot = small(placement, vms, 1).generate().unwrap();
            assert_eq!(snapshot.allocation().vm_count(), vms as usize);
            assert_eq!(snapshot.locations().server_count(), 40);
        }
    }
}

prop_compose! {
    fn any_pattern()(
        flows_per_vm in 1..20u32,
        shares in prop::array::uniform5(prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0]),
        small_bytes in 2..10u64,
        (above_small, above_mode) in (0..3u64, 0..3u64),
        partners in 1..6u32,
        windows in 1..4u32,
        vms_per_application in prop::option::of(prop_oneof![2..9u32, Just(u32::MAX)]),
    ) -> Pattern {
        let [small, within, hot, with_partners, first] = shares;
        Pattern {
            flows_per_vm,
            share_of_small: small,
            small_bytes,
            large_mode_bytes: small_bytes + above_small,
            large_most_bytes: small_bytes + above_small + above_mode,
            share_within_rack: within,
            share_of_hot_racks: hot,
            partners,
            share_with_partners: with_partners,
            share_of_first_partner: first,
            window: Duration::from_secs(1),
            windows,
            vms_per_application,
        }
    }
}

proptest! {
    #[test]
    fn flows_are_between_two_vms(
        pattern in any_pattern(), vms in 0..40u32, racks in 0..12u32, seed: u64,
    ) {
        let homes = HomeRacks::new(vms, racks);
        let all: Vec<_> = flows(homes, &pattern, seed).unwrap().collect();
        let wanted = if vms < 2 { 0 } else { vms * pattern.flows_per_vm / 2 * pattern.windows };
        prop_assert_eq!(all.len() as u64, u64::from(wanted));
        for flow in all {
            prop_assert!(flow.a != flow.b && flow.a.get() < vms && flow.b.get() < vms);
            prop_assert!((1..=pattern.large_most_bytes).contains(&flow.bytes));
        }
        let dynamics = Dynamics { large_flow_windows: 2, pair_windows: 3 };
        let mut dynamic = DynamicTraffic::new(homes, &pattern, dynamics, seed).unwrap();
        for _ in 0..5 {
            let matrix = dynamic.next_window();
            prop_assert_eq!(matrix.vm_count(), vms as usize);
            prop_assert_eq!(matrix.pair_count() == 0, wanted == 0);
        }
    }
}
