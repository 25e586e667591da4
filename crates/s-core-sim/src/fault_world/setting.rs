//! The data centre that a run begins with.

use std::collections::BTreeMap;

use s_core_model::{Capacity, CostModel, ServerId, VmId};
use s_core_topology::LocationTable;

use super::draw::Draw;
use super::knobs::Knobs;
use super::truth::{Truth, Vm};

const FIRST_SERVER: u32 = 0x0a00_0001;
const FIRST_VM: u32 = 0x0a80_0001;

/// The address of the server with this index.
pub(super) fn server_id(index: usize) -> ServerId {
    ServerId::new(FIRST_SERVER + index as u32)
}

/// The id of the VM with this number.
pub(super) fn vm_id(number: usize) -> VmId {
    VmId::new(FIRST_VM + number as u32)
}

/// All addresses that VMs of this world may have.
pub(super) fn vm_addresses(knobs: &Knobs) -> (VmId, VmId) {
    (vm_id(0), vm_id(knobs.vms + knobs.births))
}

/// Servers spread over racks by chance.
pub(super) fn model(draw: &mut Draw, knobs: &Knobs) -> CostModel<LocationTable> {
    let levels = usize::from(knobs.weights.max_level().get());
    let location = |server: usize, draw: &mut Draw| {
        let path: Vec<String> = (0..levels)
            .map(|_| char::from(b'a' + draw.below(3) as u8).to_string())
            .collect();
        (server_id(server), path.join("/"))
    };
    let entries: Vec<_> = (0..knobs.servers).map(|s| location(s, draw)).collect();
    let table = LocationTable::new(entries).expect("proper paths of distinct servers");
    CostModel::new(knobs.weights.clone(), table).expect("one weight per level")
}

/// VMs somewhere, with much or little room to move.
pub(super) fn truth(draw: &mut Draw, knobs: &Knobs) -> Truth {
    let spare = 1 + draw.below(knobs.vms / 2 + knobs.births);
    let slots = (knobs.vms + spare).div_ceil(knobs.servers);
    let capacities: Vec<Capacity> = (0..knobs.servers)
        .map(|_| Capacity {
            vm_slots: slots as u32,
            // Any VM fits into an empty server; as many as it has slots may not.
            memory_mib: 1024 + (slots as u64 - 1) * draw.between(600, 1024),
        })
        .collect();
    let mut truth = Truth::new(capacities);
    for number in 0..knobs.vms {
        let memory_mib = [256, 512, 1024][draw.below(3)];
        let first = draw.below(knobs.servers);
        let mut servers = (0..knobs.servers).map(|next| (first + next) % knobs.servers);
        if let Some(home) = servers.find(|server| truth.free(*server).admits(memory_mib)) {
            let vm = Vm { home, memory_mib };
            truth.vms.insert(vm_id(number), vm);
        }
    }
    truth.pairs = pairs(draw, &truth);
    truth
}

/// Each VM talks to a few others.
fn pairs(draw: &mut Draw, truth: &Truth) -> BTreeMap<(VmId, VmId), f64> {
    let vms: Vec<VmId> = truth.vms.keys().copied().collect();
    let mut pairs = BTreeMap::new();
    for _ in 0..vms.len() * 3 / 2 {
        add_pair(draw, &mut pairs, &vms, None);
    }
    pairs
}

/// Two of the VMs, one of them `end` if there is one, exchange data from now on.
pub(super) fn add_pair(
    draw: &mut Draw,
    pairs: &mut BTreeMap<(VmId, VmId), f64>,
    vms: &[VmId],
    end: Option<VmId>,
) {
    let (Some(a), Some(b)) = (end.or_else(|| draw.pick(vms)), draw.pick(vms)) else {
        return;
    };
    if a != b {
        pairs.insert((a.min(b), a.max(b)), draw.between(1, 1000) as f64);
    }
}
