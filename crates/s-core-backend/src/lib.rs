//! Hypervisors and flow sources for S-CORE.

pub mod emulated;
pub mod ovs;
pub mod xl;

mod hypervisor;
mod source;

pub use hypervisor::{
    Domain, FreeCapacity, Hypervisor, HypervisorError, InvalidUuid, MigrationOutcome, Uuid,
};
pub use source::{
    End, FlowCounter, FlowSource, FlowSourceError, Poll, Skipped, Transport, Unattributed,
};
