//! The traffic matrix and the allocation against naive models.

use std::collections::BTreeMap;

use proptest::prelude::*;
use s_core_model::{
    Allocation, AllocationError, Capacity, Placement, Rate, ServerId, ServerIndex, TrafficError,
    TrafficMatrix, VmId, VmIndex,
};

fn pair(a: u32, b: u32, rate: f64) -> (VmIndex, VmIndex, Rate) {
    (
        VmIndex::new(a),
        VmIndex::new(b),
        Rate::new(rate).expect("a rate"),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_matrix_is_the_sum_of_its_pairs_from_either_end(
        vms in 2u32..30,
        pairs in prop::collection::vec((0u32..30, 0u32..30, 0u32..1000), 0..200),
    ) {
        let pairs: Vec<_> = pairs
            .into_iter()
            .map(|(a, b, rate)| (a % vms, b % vms, rate))
            .filter(|(a, b, _)| a != b)
            .collect();
        let mut naive = BTreeMap::new();
        for (a, b, rate) in &pairs {
            *naive.entry((a.min(b), a.max(b))).or_insert(0) += rate;
        }
        naive.retain(|_, rate| *rate > 0);
        let matrix = TrafficMatrix::from_pairs(
            vms as usize,
            pairs.iter().map(|(a, b, rate)| pair(*a, *b, f64::from(*rate))),
        ).unwrap();
        prop_assert_eq!(matrix.vm_count(), vms as usize);
        prop_assert_eq!(matrix.pair_count(), naive.len());
        let listed: Vec<_> = matrix.pairs().collect();
        let wanted: Vec<_> = naive.iter().map(|((a, b), rate)| pair(**a, **b, f64::from(*rate))).collect();
        prop_assert_eq!(listed, wanted);
        for u in (0..vms).map(VmIndex::new) {
            let mut load = 0.0;
            for v in (0..vms).map(VmIndex::new) {
                prop_assert_eq!(matrix.rate(u, v), matrix.rate(v, u));
                load += matrix.rate(u, v).bytes_per_second();
            }
            prop_assert_eq!(matrix.load(u).bytes_per_second(), load);
            prop_assert!(matrix.peers(u).is_sorted_by(|a, b| a.0 < b.0));
        }
    }

    #[test]
    fn capacity_is_never_exceeded_and_always_given_back(
        vms in prop::collection::vec((0u32..4, 1u32..5), 1..12),
        moves in prop::collection::vec((0usize..12, 0u32..4), 0..60),
    ) {
        let room = Capacity { vm_slots: 4, memory_mib: 10 };
        let built = Allocation::new(
            (0..4).map(|s| (ServerId::new(s), room)),
            (0..).zip(&vms).map(|(vm, (server, memory_mib))| Placement {
                vm: VmId::new(vm), server: ServerId::new(*server), memory_mib: *memory_mib,
            }),
        );
        let mut home: Vec<u32> = vms.iter().map(|(server, _)| *server).collect();
        let used = |home: &[u32], server: u32| {
            let here = || home.iter().zip(&vms).filter(move |(h, _)| **h == server);
            (here().count(), here().map(|(_, (_, memory))| u64::from(*memory)).sum::<u64>())
        };
        let fits = |home: &[u32]| (0..4).all(|s| used(home, s).0 <= 4 && used(home, s).1 <= 10);
        prop_assert_eq!(built.is_ok(), fits(&home));
        let Ok(mut allocation) = built else { return Ok(()) };
        for (vm, target) in moves {
            let vm = vm % vms.len();
            let source = std::mem::replace(&mut home[vm], target);
            let moved = allocation.migrate(VmIndex::new(vm.try_into().unwrap()), ServerIndex::new(target));
            prop_assert_eq!(moved.is_ok(), fits(&home));
            if moved.is_err() {
                home[vm] = source;
            }
            for server in 0..4 {
                let (slots, memory) = used(&home, server);
                let free = allocation.free(ServerIndex::new(server));
                prop_assert_eq!(free.vm_slots as usize, 4 - slots);
                prop_assert_eq!(free.memory_mib, 10 - memory);
            }
        }
    }
}

#[test]
fn bad_pairs_are_named() {
    let check = |pairs: &[(VmIndex, VmIndex, Rate)], wanted: TrafficError| {
        assert_eq!(
            TrafficMatrix::from_pairs(3, pairs.iter().copied()),
            Err(wanted)
        );
    };
    check(&[pair(1, 1, 5.0)], TrafficError::SelfPair(VmIndex::new(1)));
    check(
        &[pair(0, 1, 5.0), pair(2, 3, 5.0)],
        TrafficError::UnknownVm {
            vm: VmIndex::new(3),
            vm_count: 3,
        },
    );
}

#[test]
fn bad_allocations_are_named() {
    let room = Capacity {
        vm_slots: 1,
        memory_mib: 100,
    };
    let on = |vm, server, memory_mib| Placement {
        vm: VmId::new(vm),
        server: ServerId::new(server),
        memory_mib,
    };
    let check = |servers: &[u32], vms: &[Placement], wanted: AllocationError| {
        let servers = servers.iter().map(|s| (ServerId::new(*s), room));
        assert_eq!(Allocation::new(servers, vms.iter().copied()), Err(wanted));
    };
    check(
        &[1, 2, 1],
        &[],
        AllocationError::DuplicateServer(ServerId::new(1)),
    );
    check(
        &[1, 2],
        &[on(7, 1, 1), on(7, 2, 1)],
        AllocationError::DuplicateVm(VmId::new(7)),
    );
    check(
        &[1],
        &[on(7, 2, 1)],
        AllocationError::UnknownServer {
            vm: VmId::new(7),
            server: ServerId::new(2),
        },
    );
    check(
        &[1],
        &[on(7, 1, 101)],
        AllocationError::OverCapacity {
            server: ServerId::new(1),
            vm: VmId::new(7),
            memory_mib: 101,
            free: room,
        },
    );
}

/// A million VMs with five million pairs must fit in well under 1 GiB; measured at a hundredth.
#[test]
fn a_pair_takes_24_bytes_and_a_vm_4() {
    let (vms, degree) = (10_000u32, 5u32);
    let pairs = (0..vms).flat_map(|a| (1..=degree).map(move |d| pair(a, (a + d) % vms, 1.0)));
    let matrix = TrafficMatrix::from_pairs(vms as usize, pairs).unwrap();
    assert_eq!(matrix.pair_count(), 50_000);
    assert!(matrix.memory_usage() <= 24 * 50_000 + 4 * (10_000 + 1));
}

#[test]
fn rearranging_counts_room_from_what_servers_host_in_all() {
    let room = Capacity {
        vm_slots: 2,
        memory_mib: 2048,
    };
    let [x, y] = [1, 2].map(ServerId::new);
    let placed = |vm, server| Placement {
        vm: VmId::new(vm),
        server,
        memory_mib: 1024,
    };
    let allocation = Allocation::new(
        [(x, room), (y, room)],
        [placed(1, x), placed(2, x), placed(3, y)],
    )
    .unwrap();
    let hosts = |hosts: [u32; 3]| hosts.map(ServerIndex::new);
    let swapped = allocation.rearranged(&hosts([1, 1, 0])).unwrap();
    let wanted = Allocation::new(
        [(x, room), (y, room)],
        [placed(1, y), placed(2, y), placed(3, x)],
    );
    assert_eq!(Ok(swapped), wanted);
    let error = allocation.rearranged(&hosts([0, 0, 0])).unwrap_err();
    assert!(
        matches!(error, AllocationError::OverCapacity { server, .. } if server == x),
        "{error}"
    );
}
