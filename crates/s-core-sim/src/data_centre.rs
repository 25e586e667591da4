//! Data centres made up after thesis 5.1.

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use s_core_model::{Capacity, Placement, ServerId, ServerIndex, VmId};
use s_core_topology::ShapeError;

use crate::snapshot::{ServerEntry, Settings, Snapshot, SnapshotError, TrafficEntry, VmEntry};
use crate::topology::{Network, THESIS_LINK_WEIGHTS, Topology};
use crate::traffic::{self, DynamicTraffic, Dynamics, HomeRacks, Pattern, PatternError};

/// Every VM has 1 GiB of memory (5.1), and every server enough for as many VMs as it has slots.
const VM_MEMORY_MIB: u32 = 1024;

/// The addresses of servers count from 10.0.0.1, those of VMs from 10.128.0.1.
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

/// A data centre to be made up: equal servers, VMs, and who talks to whom.
///
/// ```
/// use s_core_sim::{DataCentre, InitialPlacement};
///
/// // 16 racks of 4 servers, the rest as in thesis 5.1.
/// let small = DataCentre {
///     topology: "tree:2,2,4x4".parse()?,
///     vms: 800,
///     ..DataCentre::thesis(InitialPlacement::RackLocal, 7)
/// };
/// let snapshot = small.generate()?;
/// assert_eq!(snapshot.allocation().vm_count(), 800);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct DataCentre {
    /// How the servers are linked.
    pub topology: Topology,
    /// How many VMs a server has room for.
    pub vm_slots: u32,
    /// How many VMs there are.
    pub vms: u32,
    /// c_1, c_2, …: at least one per level of the topology (see [`Topology::link_weights`]).
    pub link_weights: Vec<f64>,
    /// Who talks to whom.
    pub pattern: Pattern,
    /// Where the VMs are to begin with.
    pub placement: InitialPlacement,
    /// What random numbers begin with: the same data centre for the same seed on every machine. The traffic is the same
    /// for both placements.
    pub seed: u64,
}

impl DataCentre {
    /// The data centre of thesis 5.1: 2560 servers in 128 racks, with 16 VM slots each. Of the 40,960
    /// slots 32,768 are taken, so that VMs have somewhere to go.
    pub fn thesis(placement: InitialPlacement, seed: u64) -> Self {
        Self {
            topology: Topology::thesis(),
            vm_slots: 16,
            vms: 32_768,
            link_weights: THESIS_LINK_WEIGHTS.to_vec(),
            pattern: Pattern::default(),
            placement,
            seed,
        }
    }

    /// Makes the data centre up. The VMs of its snapshot are in the order of their numbers.
    ///
    /// # Errors
    ///
    /// [`GenerateError`] if the numbers do not make a data centre.
    pub fn generate(&self) -> Result<Snapshot, GenerateError> {
        let (network, servers) = self.check()?;
        let homes = self.homes(servers);
        let flows = traffic::flows(homes, &self.pattern, self.seed)?;
        let hosts = match self.placement {
            InitialPlacement::Random => self.random_hosts(servers),
            InitialPlacement::RackLocal => self.rack_local_hosts(homes),
        };
        let capacity = Capacity {
            vm_slots: self.vm_slots,
            memory_mib: u64::from(self.vm_slots) * u64::from(VM_MEMORY_MIB),
        };
        let server_at = |index| -> ServerId { network.levels().server_at(ServerIndex::new(index)) };
        let server = |index| ServerEntry {
            server: server_at(index),
            location: network.location(ServerIndex::new(index)),
            capacity,
        };
        let vm = |(vm, host)| VmEntry {
            placement: Placement {
                vm: vm_id(vm),
                server: server_at(host),
                memory_mib: VM_MEMORY_MIB,
            },
            name: format!("vm-{}", vm + 1),
        };
        let entry = |flow: traffic::Flow| TrafficEntry {
            vm_a: vm_id(flow.a.get()),
            vm_b: vm_id(flow.b.get()),
            rate: self.pattern.rate(flow),
        };
        Ok(Snapshot::from_rows(
            Settings::new(self.link_weights.as_slice()),
            (0..servers).map(server).collect(),
            (0..).zip(hosts).map(vm),
            flows.map(entry),
        )?)
    }

    /// Which VM is at home in which rack. VMs and racks are numbered as in the snapshot.
    ///
    /// # Errors
    ///
    /// [`GenerateError`] if the numbers do not make a data centre.
    pub fn home_racks(&self) -> Result<HomeRacks, GenerateError> {
        self.check().map(|(_, servers)| self.homes(servers))
    }

    /// The traffic of this data centre with flows that start and end; VMs are numbered as in the snapshot.
    ///
    /// With a [pattern](Pattern::windows) of one window, the first window's is the snapshot's.
    ///
    /// # Errors
    ///
    /// [`GenerateError`] if the numbers do not make a data centre.
    pub fn dynamic_traffic(&self, dynamics: Dynamics) -> Result<DynamicTraffic, GenerateError> {
        let homes = self.home_racks()?;
        Ok(DynamicTraffic::new(
            homes,
            &self.pattern,
            dynamics,
            self.seed,
        )?)
    }

    /// The network, and how many servers it has.
    fn check(&self) -> Result<(Network, u32), GenerateError> {
        let network = self.topology.network()?;
        let servers = self.topology.server_count()?;
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
        Ok((network, servers))
    }

    fn homes(&self, servers: u32) -> HomeRacks {
        HomeRacks::new(self.vms, servers / self.topology.servers_per_rack())
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
        let servers_per_rack = self.topology.servers_per_rack();
        let host = |vm: u32| {
            let rack = homes.rack_of(vm);
            let place = vm - homes.vms_of(rack).start;
            rack * servers_per_rack + place % servers_per_rack
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
    /// The numbers do not make a topology.
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
    /// A parameter of the traffic is bad, or it asks for too many flows.
    #[error(transparent)]
    Traffic(#[from] PatternError),
    /// The link weights are bad or too few.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}
