//! Servers, VMs and pairs: the state behind the lock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use s_core_flow::MacAddr;
use s_core_model::{Rate, ServerId, VmId};

use super::traffic::{Pair, PairTraffic, View};
use super::{DataCentreError, Fault, MigrationRecord};
use crate::{Domain, FlowCounter, FreeCapacity, Gate, Uuid};

/// A server of an emulated data centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmulatedServer {
    /// The address of its control domain.
    pub id: ServerId,
    /// How many VMs it runs at most.
    pub vm_slots: u32,
    /// How much memory it has for VMs, in MiB.
    pub memory_mib: u32,
}

/// A VM of an emulated data centre.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmulatedVm {
    /// Its address.
    pub id: VmId,
    /// Where it runs at first.
    pub server: ServerId,
    /// Its memory, in MiB.
    pub memory_mib: u32,
    /// The name that the hypervisor shows.
    pub name: String,
}

/// The MAC address of an emulated VM: `02:00` and the four octets of its IPv4 address.
pub const fn mac_of(vm: VmId) -> MacAddr {
    let [a, b, c, d] = vm.addr().octets();
    MacAddr::new([0x02, 0x00, a, b, c, d])
}

/// The UUID of an emulated VM: of version 8, and with its IPv4 address in the last four octets.
pub const fn uuid_of(vm: VmId) -> Uuid {
    let [a, b, c, d] = vm.addr().octets();
    Uuid::new([
        b'S', b'-', b'C', b'O', b'R', b'E', 0x80, 0, 0x80, 0, 0, 0, a, b, c, d,
    ])
}

/// The VM that has this UUID, if an emulated VM can have it.
fn vm_of(uuid: Uuid) -> Option<VmId> {
    let [.., a, b, c, d] = uuid.octets();
    let vm = VmId::new(u32::from_be_bytes([a, b, c, d]));
    (uuid_of(vm) == uuid).then_some(vm)
}

#[derive(Debug)]
pub(super) struct State {
    servers: BTreeMap<ServerId, Server>,
    vms: BTreeMap<VmId, Vm>,
    pairs: BTreeMap<Pair, PairTraffic>,
    views_made: u64,
    /// Who decides which VMs may arrive on a server.
    pub(super) gates: BTreeMap<ServerId, Arc<dyn Gate>>,
    pub(super) log: Vec<MigrationRecord>,
}

#[derive(Debug)]
pub(super) struct Server {
    given: EmulatedServer,
    /// Slots and memory of VMs that run here, leave or arrive.
    taken: FreeCapacity,
    views: BTreeMap<Pair, View>,
}

#[derive(Debug)]
pub(super) struct Vm {
    pub(super) given: EmulatedVm,
    /// Where it is being migrated to.
    pub(super) target: Option<ServerId>,
    pub(super) faults: VecDeque<Fault>,
    peers: BTreeSet<VmId>,
}

impl Vm {
    pub(super) fn domain(&self) -> Domain {
        Domain {
            uuid: uuid_of(self.given.id),
            name: self.given.name.clone(),
            macs: vec![mac_of(self.given.id)],
            address: Some(self.given.id.addr()),
            memory_mib: self.given.memory_mib,
        }
    }
}

impl Server {
    fn free(&self) -> FreeCapacity {
        FreeCapacity {
            vm_slots: self.given.vm_slots - self.taken.vm_slots,
            memory_mib: self.given.memory_mib - self.taken.memory_mib,
        }
    }

    fn admit(&mut self, vm: VmId, needed_mib: u32) -> Result<(), DataCentreError> {
        let free = self.free();
        if free.vm_slots == 0 {
            return Err(DataCentreError::NoSlot {
                server: self.given.id,
                vm,
                vm_slots: self.given.vm_slots,
            });
        }
        if free.memory_mib < needed_mib {
            return Err(DataCentreError::NoMemory {
                server: self.given.id,
                vm,
                free_mib: free.memory_mib,
                needed_mib,
            });
        }
        self.taken.vm_slots += 1;
        self.taken.memory_mib += needed_mib;
        Ok(())
    }

    fn release(&mut self, memory_mib: u32) {
        self.taken.vm_slots -= 1;
        self.taken.memory_mib -= memory_mib;
    }
}

impl State {
    pub(super) fn new(
        servers: impl IntoIterator<Item = EmulatedServer>,
    ) -> Result<Self, DataCentreError> {
        let mut by_id = BTreeMap::new();
        for given in servers {
            let server = Server {
                given,
                taken: FreeCapacity::default(),
                views: BTreeMap::new(),
            };
            if by_id.insert(given.id, server).is_some() {
                return Err(DataCentreError::DuplicateServer(given.id));
            }
        }
        Ok(Self {
            servers: by_id,
            vms: BTreeMap::new(),
            pairs: BTreeMap::new(),
            views_made: 0,
            gates: BTreeMap::new(),
            log: Vec::new(),
        })
    }

    pub(super) fn servers(&self) -> impl ExactSizeIterator<Item = EmulatedServer> {
        self.servers.values().map(|server| server.given)
    }

    pub(super) fn placement(&self) -> BTreeMap<VmId, ServerId> {
        let home = |(id, vm): (&VmId, &Vm)| (*id, vm.given.server);
        self.vms.iter().map(home).collect()
    }

    pub(super) fn server_mut(&mut self, id: ServerId) -> Result<&mut Server, DataCentreError> {
        self.servers
            .get_mut(&id)
            .ok_or(DataCentreError::UnknownServer(id))
    }

    pub(super) fn vm_mut(&mut self, id: VmId) -> Result<&mut Vm, DataCentreError> {
        self.vms.get_mut(&id).ok_or(DataCentreError::UnknownVm(id))
    }

    /// The VM with this UUID, if it runs on this server.
    pub(super) fn resident(&mut self, uuid: Uuid, server: ServerId) -> Option<&mut Vm> {
        let vm = self.vms.get_mut(&vm_of(uuid)?)?;
        (vm.given.server == server).then_some(vm)
    }

    pub(super) fn runs_on(&mut self, uuid: Uuid, server: ServerId) -> bool {
        self.resident(uuid, server).is_some()
    }

    pub(super) fn add_vm(&mut self, given: EmulatedVm) -> Result<(), DataCentreError> {
        if self.vms.contains_key(&given.id) {
            return Err(DataCentreError::DuplicateVm(given.id));
        }
        self.server_mut(given.server)?
            .admit(given.id, given.memory_mib)?;
        let vm = Vm {
            given,
            target: None,
            faults: VecDeque::new(),
            peers: BTreeSet::new(),
        };
        self.vms.insert(vm.given.id, vm);
        Ok(())
    }

    pub(super) fn remove_vm(&mut self, id: VmId, now: Duration) -> Result<(), DataCentreError> {
        let vm = self.vm_mut(id)?;
        if vm.target.is_some() {
            return Err(DataCentreError::Migrating(id));
        }
        let (server, memory_mib) = (vm.given.server, vm.given.memory_mib);
        for peer in std::mem::take(&mut vm.peers) {
            let pair = Pair::new(id, peer)?;
            let peer = self.vm_mut(peer)?;
            peer.peers.remove(&id);
            let hosts = BTreeSet::from([server, peer.given.server]);
            let traffic = self.pairs.remove(&pair);
            let total = traffic.map_or(0, |traffic| traffic.total(now));
            for host in hosts {
                self.stop_counting(pair, host, total, now);
            }
        }
        self.vms.remove(&id);
        self.server_mut(server)?.release(memory_mib);
        Ok(())
    }

    pub(super) fn rate(&self, a: VmId, b: VmId) -> Result<Rate, DataCentreError> {
        let traffic = self.pairs.get(&Pair::new(a, b)?);
        Ok(traffic.map_or(Rate::ZERO, PairTraffic::rate))
    }

    pub(super) fn set_rate(
        &mut self,
        a: VmId,
        b: VmId,
        rate: Rate,
        now: Duration,
    ) -> Result<(), DataCentreError> {
        let pair = Pair::new(a, b)?;
        let hosts = [self.vm_mut(a)?.given.server, self.vm_mut(b)?.given.server];
        if let Some(traffic) = self.pairs.get_mut(&pair) {
            traffic.set_rate(rate, now);
        } else if !rate.is_zero() {
            let mut traffic = PairTraffic::new(now);
            traffic.set_rate(rate, now);
            self.pairs.insert(pair, traffic);
            self.vm_mut(a)?.peers.insert(b);
            self.vm_mut(b)?.peers.insert(a);
            for host in BTreeSet::from(hosts) {
                self.count(pair, host, 0);
            }
        }
        Ok(())
    }

    /// Begins to count a pair on a server, or goes on where it had stopped.
    fn count(&mut self, pair: Pair, server: ServerId, total: u64) {
        let serial = self.views_made;
        self.views_made += 1;
        if let Some(server) = self.servers.get_mut(&server) {
            let view = server.views.entry(pair);
            view.and_modify(|view| view.resume(total))
                .or_insert_with(|| View::new(serial, total));
        }
    }

    fn stop_counting(&mut self, pair: Pair, server: ServerId, total: u64, now: Duration) {
        let server = self.servers.get_mut(&server);
        if let Some(view) = server.and_then(|server| server.views.get_mut(&pair)) {
            view.stop(total, now);
        }
    }

    /// Takes room on the target and marks the VM as leaving.
    pub(super) fn depart(&mut self, id: VmId, target: ServerId) -> Result<(), DataCentreError> {
        let memory_mib = self.vm_mut(id)?.given.memory_mib;
        self.server_mut(target)?.admit(id, memory_mib)?;
        self.vm_mut(id)?.target = Some(target);
        Ok(())
    }

    /// Ends what [`State::depart`] began: the VM runs on the target now, or stays where it is.
    pub(super) fn arrive(
        &mut self,
        id: VmId,
        moved: bool,
        now: Duration,
    ) -> Result<(), DataCentreError> {
        let vm = self.vm_mut(id)?;
        let (source, memory_mib) = (vm.given.server, vm.given.memory_mib);
        let target = vm.target.take().unwrap_or(source);
        if !moved {
            self.server_mut(target)?.release(memory_mib);
            return Ok(());
        }
        vm.given.server = target;
        let peers = vm.peers.clone();
        self.server_mut(source)?.release(memory_mib);
        for peer in peers {
            let pair = Pair::new(id, peer)?;
            let total = self.pairs.get(&pair).map_or(0, |pair| pair.total(now));
            let peer_server = self.vm_mut(peer)?.given.server;
            if peer_server != source {
                self.stop_counting(pair, source, total, now);
            }
            if peer_server != target {
                self.count(pair, target, total);
            }
        }
        Ok(())
    }

    pub(super) fn domains(&self, server: ServerId) -> Vec<Domain> {
        let here = |vm: &&Vm| vm.given.server == server;
        let vms = self.vms.values().filter(here);
        vms.map(Vm::domain).collect()
    }

    pub(super) fn arriving(&self, server: ServerId) -> Vec<Domain> {
        let coming = |vm: &&Vm| vm.target == Some(server);
        let vms = self.vms.values().filter(coming);
        vms.map(Vm::domain).collect()
    }

    pub(super) fn free_capacity(&self, server: ServerId) -> FreeCapacity {
        self.servers
            .get(&server)
            .map(Server::free)
            .unwrap_or_default()
    }

    /// All counters of a server's switch; those without traffic for too long are shown for the last time.
    pub(super) fn poll(&mut self, server: ServerId, seed: u64, now: Duration) -> Vec<FlowCounter> {
        let Some(server) = self.servers.get_mut(&server) else {
            return Vec::new();
        };
        let mut counters = Vec::with_capacity(2 * server.views.len());
        server.views.retain(|pair, view| {
            let traffic = self.pairs.get(pair);
            let total = traffic.map_or(0, |traffic| traffic.total(now));
            counters.extend(view.counters(*pair, total, seed));
            !view.is_outdated(now)
        });
        counters
    }
}
