//! 𝒜: which server hosts which VM, and what each server has room for.

use alloc::vec::Vec;

use crate::{ServerId, ServerIndex, VmId, VmIndex};

/// What a server can host, or what is left of it: VM slots and memory (thesis 4.2.5, 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Capacity {
    /// How many VMs.
    pub vm_slots: u32,
    /// Memory of all VMs together, in MiB.
    pub memory_mib: u64,
}

impl Capacity {
    /// Whether one more VM of `memory_mib` fits.
    pub const fn admits(self, memory_mib: u32) -> bool {
        self.vm_slots >= 1 && self.memory_mib >= memory_mib as u64
    }
}

/// A VM, where it is and how much memory it takes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Placement {
    /// The VM.
    pub vm: VmId,
    /// The server that hosts it.
    pub server: ServerId,
    /// Its memory, in MiB.
    pub memory_mib: u32,
}

/// 𝒜 of Table 3.1: an allocation of VMs to servers that never exceeds a server's capacity.
///
/// VMs and servers have ids for the world and dense indices for arithmetic; both are numbered in
/// ascending order of their ids. 12 bytes per VM.
///
/// ```
/// use s_core_model::{Allocation, Capacity, Placement, ServerId, VmId};
///
/// let [x, y] = [ServerId::new(1), ServerId::new(2)];
/// let room = Capacity { vm_slots: 2, memory_mib: 2048 };
/// let vm = VmId::new(7);
/// let mut allocation = Allocation::new(
///     [(x, room), (y, room)],
///     [Placement { vm, server: x, memory_mib: 1024 }],
/// )?;
/// let (u, target) = (allocation.vm_index(vm).unwrap(), allocation.server_index(y).unwrap());
/// allocation.migrate(u, target)?;
/// assert_eq!(allocation.server_of(vm), Some(y));
/// # Ok::<(), s_core_model::AllocationError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    servers: Vec<ServerId>,
    free: Vec<Capacity>,
    vms: Vec<VmId>,
    memory_mib: Vec<u32>,
    host: Vec<ServerIndex>,
}

impl Allocation {
    /// An allocation of the VMs to the servers, both in any order.
    ///
    /// # Errors
    ///
    /// [`AllocationError`] if a server or VM comes twice, a VM is on an unknown server, or a
    /// server hosts more than its capacity; nothing is kept then.
    pub fn new(
        servers: impl IntoIterator<Item = (ServerId, Capacity)>,
        vms: impl IntoIterator<Item = Placement>,
    ) -> Result<Self, AllocationError> {
        let mut servers: Vec<_> = servers.into_iter().collect();
        servers.sort_unstable_by_key(|(server, _)| *server);
        if let Some(pair) = servers.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(AllocationError::DuplicateServer(pair[0].0));
        }
        let mut placements: Vec<_> = vms.into_iter().collect();
        placements.sort_unstable_by_key(|placement| placement.vm);
        if let Some(pair) = placements.windows(2).find(|pair| pair[0].vm == pair[1].vm) {
            return Err(AllocationError::DuplicateVm(pair[0].vm));
        }
        let (servers, free) = servers.into_iter().unzip();
        let mut allocation = Self {
            servers,
            free,
            vms: Vec::with_capacity(placements.len()),
            memory_mib: Vec::with_capacity(placements.len()),
            host: Vec::with_capacity(placements.len()),
        };
        for Placement {
            vm,
            server,
            memory_mib,
        } in placements
        {
            let host = allocation
                .server_index(server)
                .ok_or(AllocationError::UnknownServer { vm, server })?;
            allocation.take(host, vm, memory_mib)?;
            allocation.vms.push(vm);
            allocation.memory_mib.push(memory_mib);
            allocation.host.push(host);
        }
        Ok(allocation)
    }

    fn take(
        &mut self,
        server: ServerIndex,
        vm: VmId,
        memory_mib: u32,
    ) -> Result<(), AllocationError> {
        let free = &mut self.free[server.usize()];
        if !free.admits(memory_mib) {
            return Err(AllocationError::OverCapacity {
                server: self.servers[server.usize()],
                vm,
                memory_mib,
                free: *free,
            });
        }
        free.vm_slots -= 1;
        free.memory_mib -= u64::from(memory_mib);
        Ok(())
    }

    /// How many VMs there are.
    pub fn vm_count(&self) -> usize {
        self.vms.len()
    }

    /// How many servers there are.
    pub fn server_count(&self) -> usize {
        self.servers.len()
    }

    /// All VM indices, ascending, and so all VM ids ascending.
    pub fn vms(&self) -> impl ExactSizeIterator<Item = VmIndex> + use<> {
        (0..u32::try_from(self.vms.len()).expect("ids are 32-bit and distinct")).map(VmIndex::new)
    }

    /// All server indices, ascending, and so all server ids ascending.
    pub fn servers(&self) -> impl ExactSizeIterator<Item = ServerIndex> + use<> {
        (0..u32::try_from(self.servers.len()).expect("ids are 32-bit and distinct"))
            .map(ServerIndex::new)
    }

    /// The index of a VM, or `None` if it is unknown. O(log VMs).
    pub fn vm_index(&self, vm: VmId) -> Option<VmIndex> {
        let index = self.vms.binary_search(&vm).ok()?;
        Some(VmIndex::new(u32::try_from(index).ok()?))
    }

    /// The index of a server, or `None` if it is unknown. O(log servers).
    pub fn server_index(&self, server: ServerId) -> Option<ServerIndex> {
        let index = self.servers.binary_search(&server).ok()?;
        Some(ServerIndex::new(u32::try_from(index).ok()?))
    }

    /// The id of a VM.
    ///
    /// # Panics
    ///
    /// If the index is not of this allocation, here and in every method that takes one.
    pub fn vm_at(&self, vm: VmIndex) -> VmId {
        self.vms[vm.usize()]
    }

    /// The id of a server.
    pub fn server_at(&self, server: ServerIndex) -> ServerId {
        self.servers[server.usize()]
    }

    /// σ̂(u) of Table 3.1 by id: the server that hosts the VM, or `None` if the VM is unknown.
    pub fn server_of(&self, vm: VmId) -> Option<ServerId> {
        Some(self.server_at(self.host(self.vm_index(vm)?)))
    }

    /// σ̂(u) of Table 3.1 by index: the server that hosts the VM.
    pub fn host(&self, vm: VmIndex) -> ServerIndex {
        self.host[vm.usize()]
    }

    /// The memory of a VM in MiB.
    pub fn memory_mib(&self, vm: VmIndex) -> u32 {
        self.memory_mib[vm.usize()]
    }

    /// What a server has room for beyond the VMs that it hosts.
    pub fn free(&self, server: ServerIndex) -> Capacity {
        self.free[server.usize()]
    }

    /// The same VMs and servers with each VM on the server at its index in `hosts`. O(VMs + servers).
    ///
    /// # Errors
    ///
    /// [`AllocationError::OverCapacity`] if a server hosts more than its capacity then.
    ///
    /// # Panics
    ///
    /// Unless there is one known server for each VM.
    pub fn rearranged(&self, hosts: &[ServerIndex]) -> Result<Self, AllocationError> {
        assert_eq!(hosts.len(), self.vm_count(), "one server for each VM");
        let mut rearranged = self.clone();
        for vm in self.vms() {
            let free = &mut rearranged.free[self.host(vm).usize()];
            free.vm_slots += 1;
            free.memory_mib += u64::from(self.memory_mib(vm));
        }
        for (vm, host) in self.vms().zip(hosts) {
            rearranged.take(*host, self.vm_at(vm), self.memory_mib(vm))?;
        }
        rearranged.host.copy_from_slice(hosts);
        Ok(rearranged)
    }

    /// 𝒜_{u→x̂} of Table 3.1: moves a VM and returns the server that hosted it before.
    ///
    /// Moving a VM to where it is changes nothing.
    ///
    /// # Errors
    ///
    /// [`AllocationError::OverCapacity`] if the target has no room; nothing changes then.
    pub fn migrate(
        &mut self,
        vm: VmIndex,
        target: ServerIndex,
    ) -> Result<ServerIndex, AllocationError> {
        let source = self.host(vm);
        if source != target {
            let memory_mib = self.memory_mib(vm);
            self.take(target, self.vm_at(vm), memory_mib)?;
            let free = &mut self.free[source.usize()];
            free.vm_slots += 1;
            free.memory_mib += u64::from(memory_mib);
            self.host[vm.usize()] = target;
        }
        Ok(source)
    }
}

/// Servers and VMs that do not make an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AllocationError {
    /// A server is listed twice.
    #[error("server {0} is listed twice; every server has an address of its own")]
    DuplicateServer(ServerId),
    /// A VM is listed twice.
    #[error("VM {0} is listed twice; every VM has an address of its own")]
    DuplicateVm(VmId),
    /// A VM is on a server that is not listed.
    #[error(
        "VM {vm} is on server {server}, which is not listed; list the server or correct the VM's line"
    )]
    UnknownServer {
        /// The VM.
        vm: VmId,
        /// The server that it names.
        server: ServerId,
    },
    /// A VM does not fit into what its server has left.
    #[error(
        "server {server} has no room for VM {vm} of {memory_mib} MiB: {} VM slots and {} MiB are left; move a VM away or correct the capacity",
        free.vm_slots, free.memory_mib
    )]
    OverCapacity {
        /// The server.
        server: ServerId,
        /// The VM that does not fit.
        vm: VmId,
        /// The VM's memory in MiB.
        memory_mib: u32,
        /// What the server has left.
        free: Capacity,
    },
}
