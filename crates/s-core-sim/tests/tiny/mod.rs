//! Data centres made up at random, as odd as they may be, for the tests of reference optima.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use s_core_model::{Capacity, Placement, Rate, ServerId, VmId};
use s_core_sim::snapshot::{ServerEntry, Settings, Snapshot, TrafficEntry, VmEntry};

/// A server: location, VM slots, memory in MiB.
pub(crate) type Server<'a> = (&'a str, u32, u64);

/// A VM: number of its server, memory in MiB.
pub(crate) type Vm = (u32, u32);

/// A pair: numbers of VMs, bytes per second.
pub(crate) type Pair = (u32, u32, f64);

pub(crate) fn snapshot(servers: &[Server<'_>], vms: &[Vm], pairs: &[Pair]) -> Snapshot {
    let server_id = |number| ServerId::new(0x0a00_0001 + number);
    let vm_id = |number| VmId::new(0x0a80_0001 + number);
    let server = |(number, (location, vm_slots, memory_mib)): (u32, &Server<'_>)| ServerEntry {
        server: server_id(number),
        location: (*location).to_owned(),
        capacity: Capacity {
            vm_slots: *vm_slots,
            memory_mib: *memory_mib,
        },
    };
    let vm = |(number, (server, memory_mib)): (u32, &Vm)| VmEntry {
        placement: Placement {
            vm: vm_id(number),
            server: server_id(*server),
            memory_mib: *memory_mib,
        },
        name: String::new(),
    };
    let pair = |(a, b, rate): &Pair| TrafficEntry {
        vm_a: vm_id(*a),
        vm_b: vm_id(*b),
        rate: Rate::new(*rate).unwrap(),
    };
    Snapshot::new(
        Settings::new([1.0, 3.0, 20.0]),
        (0..).zip(servers).map(server).collect(),
        (0..).zip(vms).map(vm).collect(),
        pairs.iter().map(pair).collect(),
    )
    .unwrap()
}

/// At most so many servers and VMs, of all sizes, with any traffic; unequal racks and groups among them.
pub(crate) fn random(seed: u64, max_servers: u32, max_vms: u32) -> Snapshot {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let racks = random.random_range(1..=max_servers.min(9));
    let locations: Vec<String> = (0..racks)
        .map(|rack| format!("a{}/s{}/r{rack}", rack % 2, rack % 3))
        .collect();
    let is_tight = random.random_bool(0.3);
    let memories: &[u32] = match random.random_range(0..3) {
        0 => &[1024],
        1 => &[512, 1024, 2048, 4096],
        _ => &[700, 1500, 0],
    };
    let server_count = random.random_range(racks..=max_servers);
    let mut rooms: Vec<(u32, u64)> = (0..server_count)
        .map(|_| (random.random_range(0..=5), random.random_range(0..=8192)))
        .collect();
    let mut left = rooms.clone();
    let mut vms = Vec::new();
    for _ in 0..random.random_range(0..=max_vms) {
        let server = random.random_range(0..server_count);
        let memory = memories[random.random_range(0..memories.len() as u32) as usize];
        let (slots, free) = &mut left[server as usize];
        if *slots > 0 && *free >= u64::from(memory) {
            *slots -= 1;
            *free -= u64::from(memory);
            vms.push((server, memory));
        }
    }
    if is_tight {
        // Not a slot and not a byte to spare.
        for ((slots, memory), (free_slots, free_memory)) in rooms.iter_mut().zip(left) {
            *slots -= free_slots;
            *memory -= free_memory;
        }
    }
    let count = vms.len() as u32;
    let pair_count = if count < 2 {
        0
    } else {
        random.random_range(0..=3 * count)
    };
    let pairs: Vec<Pair> = (0..pair_count)
        .map(|_| {
            let a = random.random_range(0..count);
            let b = (a + random.random_range(1..count)) % count;
            let rate = [0.5, 20.0, 1e3, 1e7][random.random_range(0..4) as usize];
            (a, b, rate * random.random_range(0.5..1.5))
        })
        .collect();
    let servers: Vec<Server<'_>> = (rooms.iter().enumerate())
        .map(|(number, (slots, memory))| {
            let rack = number % locations.len();
            (locations[rack].as_str(), *slots, *memory)
        })
        .collect();
    snapshot(&servers, &vms, &pairs)
}
