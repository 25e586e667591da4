//! A data centre in memory: hypervisors that migrate and switches that count, without Xen and Open vSwitch.
//!
//! A [`DataCentre`] knows which server runs which VM and how fast each pair of VMs talks. For each server
//! it gives a [`Hypervisor`](crate::Hypervisor) and a [`FlowSource`](crate::FlowSource), so that agents can
//! run over it as over a real host: for a demonstration, and for tests, which may also
//! [inject faults](DataCentre::inject) and [set the time](ManualClock).
//!
//! What it keeps of the real thing:
//!
//! - A VM has one home at any time, and capacity is checked when a migration begins: the room on the target is
//!   taken from then on, the room at the source is free only after the end.
//! - A server that has a [gate](crate::Hypervisor::guard) refuses whom its gate does not admit.
//! - Each server counts the traffic of every pair that has an end there, one counter per direction. A VM that
//!   arrives is counted from 0; what its former host counted stays to be read there for 10 s after it left.
//! - The hypervisor knows UUIDs, MAC addresses, and the IP addresses as if its configuration gave them.
//!
//! What it leaves out: memory that is written while it is copied, packets that are lost meanwhile, and traffic
//! that slows down because links are full.

mod clock;
mod data_centre;
mod error;
mod flows;
mod hypervisor;
mod migration;
mod state;
mod traffic;

pub use clock::{Clock, ManualClock, SystemClock};
pub use data_centre::{DataCentre, DataCentreBuilder};
pub use error::DataCentreError;
pub use flows::EmulatedFlowSource;
pub use hypervisor::EmulatedHypervisor;
pub use migration::{Fault, MigrationModel, MigrationRecord};
pub use state::{EmulatedServer, EmulatedVm, mac_of, uuid_of};
