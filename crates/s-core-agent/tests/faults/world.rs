//! The VMs, whose traffic changes all the time so that they go on migrating, and what must hold of their migrations.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use s_core_backend::MigrationOutcome;
use s_core_backend::emulated::{DataCentre, EmulatedServer, EmulatedVm, MigrationModel};
use s_core_model::{Rate, ServerId, VmId};

use crate::network::server_id;

const VMS_PER_SERVER: u8 = 3;
const SLOTS: u32 = 4;
pub(crate) const VM_MIB: u32 = 256;
/// How long migrations take: here, under half a second.
pub(crate) const MIGRATION: MigrationModel = MigrationModel {
    fixed: Duration::from_millis(200),
    per_mib: Duration::from_millis(1),
};
/// Pairs that talk at a time, and how long each time one of them is replaced.
const PAIRS: usize = 10;
const CHANGE: Duration = Duration::from_millis(700);

fn vm_id(number: u8) -> VmId {
    Ipv4Addr::new(10, 1, 0, number).into()
}

pub(crate) fn build(servers: u8) -> DataCentre {
    let server = |number| EmulatedServer {
        id: server_id(number),
        vm_slots: SLOTS,
        memory_mib: SLOTS * VM_MIB,
    };
    let vm = |number: u8| EmulatedVm {
        id: vm_id(number),
        server: server_id((number - 1) / VMS_PER_SERVER + 1),
        memory_mib: VM_MIB,
        name: format!("vm{number}"),
    };
    let vms = 1..=servers * VMS_PER_SERVER;
    let builder = DataCentre::builder().migration(MIGRATION);
    // Two that never part, so that the token always comes to the last server.
    let last = servers * VMS_PER_SERVER;
    let pair = (vm_id(last - 1), vm_id(last), Rate::new(1e9).unwrap());
    builder
        .build((1..=servers).map(server), vms.map(vm), [pair])
        .unwrap()
}

/// Until the process ends.
pub(crate) fn change_traffic(data_centre: DataCentre) {
    let mut vms: Vec<VmId> = data_centre.placement().into_keys().collect();
    // Not those two.
    vms.truncate(vms.len() - 2);
    let mut random = Pcg64Mcg::seed_from_u64(7);
    let mut talking: Vec<(VmId, VmId)> = Vec::new();
    let mut change = move || {
        let [a, b] = [0; 2].map(|_| vms[random.random_range(0..vms.len())]);
        if a == b {
            return;
        }
        let rate = Rate::new(random.random_range(0.5e6..4e6)).unwrap();
        data_centre.set_rate(a, b, rate).unwrap();
        talking.push((a, b));
        if talking.len() > PAIRS {
            let (a, b) = talking.remove(0);
            data_centre.set_rate(a, b, Rate::ZERO).unwrap();
        }
    };
    for _ in 0..PAIRS {
        change();
    }
    thread::spawn(move || {
        loop {
            thread::sleep(CHANGE);
            change();
        }
    });
}

/// S2 and S3 by the hypervisors' own record: each migration begins where the VM is and after the one before has ended,
/// and never did a hypervisor have to refuse for want of room. Returns how many VMs moved.
pub(crate) fn check(data_centre: &DataCentre, ends: &[MigrationOutcome]) -> usize {
    let mut homes: BTreeMap<VmId, (ServerId, Duration)> = BTreeMap::new();
    let migrations = data_centre.migrations();
    for migration in &migrations {
        if let Some((home, free)) = homes.get(&migration.vm) {
            assert_eq!(*home, migration.source, "{migration:?}");
            assert!(*free <= migration.started, "twice at a time: {migration:?}");
        }
        let home = if migration.moved {
            migration.target
        } else {
            migration.source
        };
        homes.insert(migration.vm, (home, migration.ended));
    }
    for (vm, home) in data_centre.placement() {
        assert!(homes.get(&vm).is_none_or(|(last, _)| *last == home));
    }
    for end in ends {
        let said = format!("{end:?}");
        for wrong in ["no slot", "MiB left", "migrated to", "no domain"] {
            assert!(!said.contains(wrong), "{said}");
        }
    }
    let moved = migrations.iter().filter(|migration| migration.moved);
    moved.count()
}
