//! A data centre of Open vSwitch hosts in network namespaces of one Linux machine.
//!
//! [`Layout`] says what it is made of and how everything is called; it touches nothing. All else of this crate
//! makes, uses and removes what a layout names, and needs root.

mod counters;
mod down;
mod error;
mod faults;
pub mod hypervisor;
mod inventory;
mod layout;
pub mod namespace;
mod prerequisites;
mod process;
mod record;
pub mod run;
mod shape;
mod status;
mod switch;
pub mod system;
pub mod traffic;
mod up;

pub use counters::{LinkCounters, host_link_counters, link_counters, management_link_counters};
pub use down::{Removed, down};
pub use error::LabError;
pub use faults::{Cable, cut, hang_switch, kill_host, mend, restart_switch, resume_switch};
pub use hypervisor::LabHypervisor;
pub use layout::{HostNumber, LabName, Layout, Link, VmNumber};
pub use prerequisites::{prerequisites, privilege};
pub use record::{load, names};
pub use shape::Shape;
pub use status::{DaemonState, HostStatus, LinkStatus, Status, status};
pub use switch::{ofctl, vsctl};
pub use up::{shape_uplink, up, up_unless, up_with};
