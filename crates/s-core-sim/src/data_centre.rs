//! Data centres made up after thesis 5.1.

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use s_core_model::{Capacity, Levels, Placement, ServerId, ServerIndex, VmId};
use s_core_topology::{CanonicalTree, ShapeError};

use crate::snapshot::{ServerEntry, Settings, Snapshot, SnapshotError, TrafficEntry, VmEntry};
use crate::traffic::{self, HomeRacks};

/// c_1 to c_4 of the thesis's simulations (5.1): e^0, e^1, e^3, e^5.
pub const THESIS_LINK_WEIGHTS: [f64; 4] = [
    1.0,
    std::f64::consts::E,
    20.085_536_923_187_668,
    148.413_159_102_576_6,
];

/// Every VM has 1 GiB of memory (5.1), and every server enough for as many VMs as it has slots.
const VM_MEMORY_MIB: u32 = 1024;

/// The addresses of servers count from 10.0.0.1, those of VMs from 10.128.0.1.
const FIRST_SERVER: ServerId = ServerId::new(0x0a00_0001);
const FIRST_VM: u32 = 0x0a80_0001;

/// The most servers, and the most VMs; the addresses have room for twice as many.
const MAX_COUNT: u32 = 1 << 22;

/// The most VM slots of all servers together.
const MAX_SLOTS: u64 = 1 << 26;

/// Where VMs are to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InitialPlacement {
    /// Anywhere: all free VM slots are equally likely.
    Random,
    /// In their home racks (see [`traffic`]), spread evenly over the rack's servers.
    RackLocal,
}

/// A data centre to be made up: a canonical tree full of equal servers, with the [`traffic`] of 5.1.1.
#[derive(Clone, Debug, PartialEq)]
pub struct DataCentre {
    /// The tree's fan-outs, from the core down to the racks (see [`CanonicalTree::new`]).
    pub fan_outs: Vec<u32>,
    /// How many servers a rack has.
    pub servers_per_rack: u32,
    /// How many VMs a server has room for.
    pub vm_slots: u32,
    /// How many VMs there are.
    pub vms: u32,
    /// c_1, c_2, …: at least one per fan-out.
    pub link_weights: Vec<f64>,
    /// Where the VMs are to begin with.
    pub placement: InitialPlacement,
    /// What random numbers begin with: the same data centre for the same seed on every machine.
    pub seed: u64,
}

impl DataCentre {
    /// The data centre of thesis 5.1: 2560 servers in 128 racks, with 16 VM slots each. Of the 40,960
    /// slots 32,768 are taken, so that VMs have somewhere to go.
    pub fn thesis(placement: InitialPlacement, seed: u64) -> Self {
        Self {
            fan_outs: vec![4, 4, 4, 2],
            servers_per_rack: 20,
            vm_slots: 16,
            vms: 32_768,
            link_weights: THESIS_LINK_WEIGHTS.to_vec(),
            placement,
            seed,
        }
    }

    /// Makes the data centre up.
    ///
    /// # Errors
    ///
    /// [`GenerateError`] if the numbers do not make a data centre.
    pub fn generate(&self) -> Result<Snapshot, GenerateError> {
        let tree =
            CanonicalTree::new(&self.fan_outs, self.servers_per_rack)?.with_base(FIRST_SERVER)?;
        let servers = tree.server_count() as u32;
        let slots = u64::from(servers) * u64::from(self.vm_slots);
        if u64::from(self.vms) > slots {
            return Err(GenerateError::TooManyVms {
                vms: self.vms,
                slots,
            });
        }
        if servers > MAX_COUNT || self.vms > MAX_COUNT || slots > MAX_SLOTS {
            return Err(GenerateError::TooLarge);
        }
        let homes = HomeRacks::new(self.vms, tree.rack_count());
        let hosts = match self.placement {
            InitialPlacement::Random => self.random_hosts(servers),
            InitialPlacement::RackLocal => self.rack_local_hosts(homes),
        };
        let capacity = Capacity {
            vm_slots: self.vm_slots,
            memory_mib: u64::from(self.vm_slots) * u64::from(VM_MEMORY_MIB),
        };
        let server = |index| ServerEntry {
            server: tree.server_at(index),
            location: tree.location(index).to_string(),
            capacity,
        };
        let vm = |(vm, host)| VmEntry {
            placement: Placement {
                vm: vm_id(vm),
                server: tree.server_at(ServerIndex::new(host)),
                memory_mib: VM_MEMORY_MIB,
            },
            name: format!("vm-{}", vm + 1),
        };
        let flow = |flow: traffic::Flow| TrafficEntry {
            vm_a: vm_id(flow.a.get()),
            vm_b: vm_id(flow.b.get()),
            rate: flow.rate(),
        };
        Ok(Snapshot::new(
            Settings::new(self.link_weights.as_slice()),
            (0..servers).map(ServerIndex::new).map(server).collect(),
            (0..).zip(hosts).map(vm).collect(),
            traffic::flows(homes, self.seed).map(flow).collect(),
        )?)
    }

    /// As many slots as there are VMs, drawn among all slots.
    fn random_hosts(&self, servers: u32) -> Vec<u32> {
        let mut slots: Vec<u32> = (0..servers)
            .flat_map(|server| std::iter::repeat_n(server, self.vm_slots as usize))
            .collect();
        // Another stream than the traffic's, so that the traffic does not depend on the placement.
        let mut random = Pcg64Mcg::seed_from_u64(!self.seed);
        traffic::shuffle(&mut slots, &mut random);
        slots.truncate(self.vms as usize);
        slots
    }

    fn rack_local_hosts(&self, homes: HomeRacks) -> Vec<u32> {
        let host = |vm: u32| {
            let rack = homes.rack_of(vm);
            let place = vm - homes.vms_of(rack).start;
            rack * self.servers_per_rack + place % self.servers_per_rack
        };
        (0..self.vms).map(host).collect()
    }
}

fn vm_id(vm: u32) -> VmId {
    VmId::new(FIRST_VM + vm)
}

/// Numbers that do not make a data centre.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// The numbers do not make a tree.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// There are more VMs than VM slots.
    #[error("{vms} VMs do not fit into {slots} VM slots; add servers or slots, or take fewer VMs")]
    TooManyVms {
        /// VMs.
        vms: u32,
        /// VM slots of all servers.
        slots: u64,
    },
    /// More than fits into memory with ease.
    #[error(
        "a made-up data centre has at most {MAX_COUNT} servers, as many VMs and {MAX_SLOTS} VM slots"
    )]
    TooLarge,
    /// The link weights are bad or too few.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}
