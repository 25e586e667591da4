//! A testbed of real Xen hosts on one Linux machine: every host is an emulator (QEMU, no KVM needed) that runs the Xen hypervisor, a
//! control domain with Open vSwitch's kernel datapath, and small VMs. They stand behind the switches of [`s_core_lab`]: a testbed is a
//! laboratory whose host namespaces hold an emulator each, so that its links, their faults and counters, and its end are the same.
//!
//! [`build()`] makes the image once, [`up()`] starts the hosts, [`run::run`] has agents work on them, [`fault::make_faults`] breaks something meanwhile,
//! [`s_core_lab::down`] removes them. [`measure::measure`] takes the figures of migrations under load, here or on any two Xen hosts.
//!
//! [`Plan`] says what a testbed is made of; it touches nothing.

mod build;
mod cache;
pub mod console;
mod domain;
pub mod fault;
mod files;
mod host;
pub mod measure;
mod newc;
mod plan;
mod prerequisites;
mod progress;
mod qemu;
mod qmp;
mod record;
pub mod run;
mod snapshot;
mod ssh;
mod status;
mod up;

pub use build::{Image, build};
pub use cache::Cache;
pub use plan::{Plan, Size};
pub use prerequisites::Purpose;
pub use progress::{BuildStep, Stage};
pub use record::load;
pub use ssh::Remote;
pub use status::{DomainStatus, HostStatus, Status, status};
pub use up::{UpOptions, restart_host, up};
