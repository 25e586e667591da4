//! Data centres in the manner of the thesis's testbed (5.3, Fig. 5.5).

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use s_core_backend::emulated::{DataCentre, DataCentreError, EmulatedServer, EmulatedVm};
use s_core_model::{Capacity, CostModel, LinkWeights, Rate, ServerId, VmId};
use s_core_topology::LocationTable;

/// How many servers a scenario can have: each is some threads and sockets.
const SERVERS: RangeInclusive<u16> = 2..=64;
/// How many VMs a server of a scenario can have at first.
const VMS_PER_SERVER: RangeInclusive<u16> = 1..=64;
/// Up to so many servers each has a rack of its own, as in the testbed; beyond, racks have four.
const SERVERS_WITH_OWN_RACK: u16 = 8;
const SERVERS_PER_RACK: u16 = 4;
const RACKS_PER_AGGREGATION_SWITCH: u16 = 2;
const VM_MEMORY_MIB: u32 = 256;
/// c_1 and c_2: the first two weights of 5.1.
const LINK_WEIGHTS: [f64; 2] = [1.0, std::f64::consts::E];

/// Servers, VMs and traffic from which an embedded data centre is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// c_1, c_2, …: one per component of a location.
    pub link_weights: Vec<f64>,
    /// The servers, ascending.
    pub servers: Vec<ScenarioServer>,
    /// The VMs, ascending.
    pub vms: Vec<ScenarioVm>,
    /// λ between pairs of VMs, both directions together.
    pub traffic: Vec<(VmId, VmId, Rate)>,
}

/// A server of a [`Scenario`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioServer {
    /// Its loopback address.
    pub id: ServerId,
    /// Where it stands.
    pub location: String,
    /// What it can host in all.
    pub capacity: Capacity,
}

/// A VM of a [`Scenario`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioVm {
    /// Its address.
    pub id: VmId,
    /// Where it is at first.
    pub server: ServerId,
    /// Its memory in MiB.
    pub memory_mib: u32,
    /// What people call it.
    pub name: String,
}

impl Scenario {
    /// The testbed of 5.3 and larger ones: a core switch, aggregation switches with two racks each, VMs evenly
    /// placed and servers with half as many slots again. Groups of two to four VMs talk, wherever they are,
    /// at 0.5 to 4 MB/s per pair; a VM in four also talks to one elsewhere at a fiftieth of that.
    ///
    /// The same arguments make the same scenario.
    ///
    /// # Errors
    ///
    /// [`ScenarioError`] if there are not 2 to 64 servers or 1 to 64 VMs on each.
    pub fn testbed(servers: u16, vms: u16, seed: u64) -> Result<Self, ScenarioError> {
        if !SERVERS.contains(&servers) {
            return Err(ScenarioError::Servers(servers));
        }
        if !VMS_PER_SERVER.contains(&vms) {
            return Err(ScenarioError::Vms(vms));
        }
        let slots = u32::from(vms) + u32::from(vms.div_ceil(2));
        let capacity = Capacity {
            vm_slots: slots,
            memory_mib: u64::from(slots) * u64::from(VM_MEMORY_MIB),
        };
        let server = |number| ScenarioServer {
            id: server_id(number),
            location: location(number, servers),
            capacity,
        };
        let vm = |number: u16| ScenarioVm {
            id: vm_id(number / vms, number % vms),
            server: server_id(number / vms),
            memory_mib: VM_MEMORY_MIB,
            name: format!("vm{}", number + 1),
        };
        let vms: Vec<_> = (0..servers * vms).map(vm).collect();
        Ok(Self {
            link_weights: LINK_WEIGHTS.into(),
            servers: (0..servers).map(server).collect(),
            traffic: traffic(vms.iter().map(|vm| vm.id).collect(), seed),
            vms,
        })
    }

    /// Eq. 3.1 and 3.2 for this scenario.
    ///
    /// # Panics
    ///
    /// If the link weights or locations were changed to some that are none.
    pub fn cost_model(&self) -> CostModel<Arc<LocationTable>> {
        let servers = self.servers.iter();
        let locations = LocationTable::new(servers.map(|server| (server.id, &server.location)))
            .expect("a scenario's locations are well-formed and equally deep");
        let weights =
            LinkWeights::new(self.link_weights.as_slice()).expect("a scenario's link weights rise");
        CostModel::new(weights, Arc::new(locations))
            .expect("a scenario has a weight for each level")
    }

    /// The hypervisors and switches.
    pub(super) fn emulate(&self) -> Result<DataCentre, DataCentreError> {
        let servers = self.servers.iter().map(|server| EmulatedServer {
            id: server.id,
            vm_slots: server.capacity.vm_slots,
            memory_mib: u32::try_from(server.capacity.memory_mib).unwrap_or(u32::MAX),
        });
        let vms = self.vms.iter().map(|vm| EmulatedVm {
            id: vm.id,
            server: vm.server,
            memory_mib: vm.memory_mib,
            name: vm.name.clone(),
        });
        DataCentre::builder().build(servers, vms, self.traffic.iter().copied())
    }
}

/// Loopback addresses away from 127.0.0.1, where other programs listen.
fn server_id(number: u16) -> ServerId {
    let [high, low] = (number + 1).to_be_bytes();
    Ipv4Addr::new(127, 77, high, low).into()
}

/// VM `number` of a server.
fn vm_id(server: u16, number: u16) -> VmId {
    let server = u8::try_from(server + 1).unwrap_or(u8::MAX);
    let number = u8::try_from(number + 1).unwrap_or(u8::MAX);
    Ipv4Addr::new(10, 0, server, number).into()
}

fn location(server: u16, servers: u16) -> String {
    let per_rack = if servers <= SERVERS_WITH_OWN_RACK {
        1
    } else {
        SERVERS_PER_RACK
    };
    let rack = server / per_rack;
    format!(
        "agg{}/tor{}",
        rack / RACKS_PER_AGGREGATION_SWITCH + 1,
        rack + 1
    )
}

fn traffic(mut vms: Vec<VmId>, seed: u64) -> Vec<(VmId, VmId, Rate)> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let rate = |random: &mut Pcg64Mcg, share: f64| {
        Rate::new((random.random_range(0.5e6..4e6) * share).round())
            .expect("a positive finite number is a rate")
    };
    vms.shuffle(&mut random);
    let mut pairs = Vec::new();
    let mut rest = vms.as_slice();
    while !rest.is_empty() {
        // Nobody is left alone: a group of two to four leaves no single VM behind.
        let size = match rest.len() {
            1..=4 => rest.len(),
            5 => 3,
            _ => random.random_range(2..=4),
        };
        let (group, others) = rest.split_at(size);
        for (i, a) in group.iter().enumerate() {
            for b in &group[i + 1..] {
                pairs.push((*a, *b, rate(&mut random, 1.0)));
            }
        }
        rest = others;
    }
    for (i, a) in vms.iter().enumerate().step_by(4) {
        let b = vms[(i + random.random_range(1..vms.len())) % vms.len()];
        pairs.push((*a, b, rate(&mut random, 0.02)));
    }
    pairs
}

/// A scenario that is too small or too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// The number of servers.
    #[error("{} servers are too few or too many; choose {} to {}", .0, SERVERS.start(), SERVERS.end())]
    Servers(u16),
    /// The number of VMs per server.
    #[error("{} VMs per server are too few or too many; choose {} to {}", .0, VMS_PER_SERVER.start(), VMS_PER_SERVER.end())]
    Vms(u16),
}
