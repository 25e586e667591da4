//! Why an emulated data centre cannot be built or changed as asked.

use s_core_model::{ServerId, VmId};

/// What was asked for does not fit the emulated data centre; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataCentreError {
    /// No server has this id.
    #[error("there is no server {0}")]
    UnknownServer(ServerId),
    /// No VM has this id.
    #[error("there is no VM {0}")]
    UnknownVm(VmId),
    /// Two servers have this id.
    #[error("server {0} is given twice")]
    DuplicateServer(ServerId),
    /// Two VMs have this id.
    #[error("VM {0} is given twice")]
    DuplicateVm(VmId),
    /// All slots of the server are taken.
    #[error("server {server} has no slot for VM {vm}: all {vm_slots} are taken")]
    NoSlot {
        /// The server.
        server: ServerId,
        /// The VM that does not fit.
        vm: VmId,
        /// How many slots the server has.
        vm_slots: u32,
    },
    /// The server has too little memory left.
    #[error("server {server} has {free_mib} MiB left, VM {vm} needs {needed_mib} MiB")]
    NoMemory {
        /// The server.
        server: ServerId,
        /// The VM that does not fit.
        vm: VmId,
        /// The memory that is left, in MiB.
        free_mib: u32,
        /// The memory of the VM, in MiB.
        needed_mib: u32,
    },
    /// A rate was given between a VM and itself.
    #[error("VM {0} has no traffic with itself")]
    SameVm(VmId),
    /// The VM is being migrated.
    #[error("VM {0} is being migrated: wait for the end")]
    Migrating(VmId),
}
