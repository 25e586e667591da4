//! A data centre of Open vSwitch hosts in network namespaces of one Linux machine.
//!
//! [`Layout`] says what it is made of and how everything is called; it touches nothing. All else of this crate
//! makes, uses and removes what a layout names, and needs root.

mod error;
pub mod hypervisor;
mod inventory;
mod layout;
pub mod namespace;
pub mod system;

pub use error::LabError;
pub use hypervisor::LabHypervisor;
pub use layout::{HostNumber, LabName, Layout, Link, Shape, VmNumber};
