//! The same seed makes the same data centre on every machine: checksums of all there is in it.

use s_core_model::{TrafficMatrix, VmIndex};
use s_core_sim::traffic::{Dynamics, Flow, HomeRacks, Pattern, flows};
use s_core_sim::{DataCentre, InitialPlacement};

use super::small;

/// FNV-1a, 64 bits.
fn checksum(words: impl IntoIterator<Item = u64>) -> u64 {
    let bytes = words.into_iter().flat_map(u64::to_le_bytes);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn matrix(traffic: &TrafficMatrix) -> u64 {
    checksum(traffic.pairs().flat_map(|(u, v, rate)| {
        [
            u64::from(u.get()),
            u64::from(v.get()),
            rate.bytes_per_second().to_bits(),
        ]
    }))
}

fn hosts(data_centre: &DataCentre) -> u64 {
    let snapshot = data_centre.generate().unwrap();
    let allocation = snapshot.allocation();
    checksum(
        allocation
            .vms()
            .map(|vm| u64::from(allocation.host(vm).get())),
    )
}

#[test]
fn the_first_flows() {
    let first = flows(HomeRacks::new(100, 10), &Pattern::default(), 1).unwrap();
    let first: Vec<_> = first.take(3).collect();
    let flow = |(a, b, bytes)| Flow {
        a: VmIndex::new(a),
        b: VmIndex::new(b),
        bytes,
    };
    assert_eq!(first, FIRST_FLOWS.map(flow));
}

const FIRST_FLOWS: [(u32, u32, u64); 3] = [(56, 52, 9051), (61, 67, 2660), (21, 4, 472_376_820)];

#[test]
fn the_data_centre_of_the_thesis() {
    let [random, local] = [InitialPlacement::Random, InitialPlacement::RackLocal]
        .map(|placement| DataCentre::thesis(placement, 1));
    let traffic = random.generate().unwrap().traffic().clone();
    assert_eq!(traffic, *local.generate().unwrap().traffic());
    assert_eq!(matrix(&traffic), 11_287_773_420_152_645_656);
    assert_eq!(hosts(&random), 12_559_238_991_658_876_519);
    assert_eq!(hosts(&local), 2_816_612_335_578_751_381);
    let other = DataCentre::thesis(InitialPlacement::Random, 2);
    assert_ne!(
        matrix(other.generate().unwrap().traffic()),
        matrix(&traffic)
    );
}

#[test]
fn dynamic_traffic() {
    let mut data_centre = small(InitialPlacement::Random, 100, 3);
    data_centre.pattern.windows = 3;
    data_centre.pattern.vms_per_application = Some(4);
    let dynamics = Dynamics {
        large_flow_windows: 2,
        pair_windows: 5,
    };
    let mut traffic = data_centre.dynamic_traffic(dynamics).unwrap();
    let windows = [(); 6].map(|()| matrix(&traffic.next_window()));
    assert_eq!(checksum(windows), 3_515_362_004_656_292_281);
}
