//! Hypervisors and virtual switches as S-CORE sees them: Xen through `xl`, Open vSwitch through its sockets,
//! and a whole data centre emulated in memory.
//!
//! An agent asks two questions of its host: which VMs run here and is there room for more, and how many
//! bytes has who sent to whom. And it gives one order: migrate this VM. This crate is sections 4.2.2 and
//! 4.2.4 of Gregg Hamilton's thesis "Distributed virtual machine migration for cloud data centre
//! environments" (University of Glasgow, 2014), with `xl` in the place of `xm`.
//!
//! ```
//! use std::time::Duration;
//!
//! use s_core_backend::emulated::{DataCentre, EmulatedServer, EmulatedVm, ManualClock};
//! use s_core_backend::{FlowSource, Hypervisor, MigrationOutcome};
//! use s_core_flow::CounterDeltas;
//! use s_core_model::{Rate, ServerId, VmId};
//!
//! // Two servers, and two VMs far from each other that exchange 1 MB/s.
//! let deadline = Duration::from_secs(60);
//! let [left, right]: [ServerId; 2] = ["10.0.0.1".parse()?, "10.0.0.2".parse()?];
//! let [u, v]: [VmId; 2] = ["10.0.1.11".parse()?, "10.0.1.12".parse()?];
//! let server = |id| EmulatedServer { id, vm_slots: 2, memory_mib: 2048 };
//! let vm = |id, server| EmulatedVm { id, server, memory_mib: 1024, name: format!("vm{id}") };
//! let clock = ManualClock::new();
//! let data_centre = DataCentre::builder().clock(clock.clone()).build(
//!     [server(left), server(right)],
//!     [vm(u, left), vm(v, right)],
//!     [(u, v, Rate::new(1e6)?)],
//! )?;
//!
//! // What the left server's switch counts between two polls, 5 s apart.
//! let mut flows: Box<dyn FlowSource> = Box::new(data_centre.flows(left)?);
//! let mut deltas = CounterDeltas::new(1000, 0x5eed);
//! let mut bytes = 0;
//! for _ in 0..2 {
//!     bytes = 0;
//!     let poll = flows.poll(deadline)?;
//!     poll.count(&mut deltas, |_flow, delta| bytes += delta.bytes);
//!     clock.advance(Duration::from_secs(5));
//! }
//! assert_eq!(bytes, 5_000_000);
//!
//! // The right server has room: u goes there.
//! let hypervisor: Box<dyn Hypervisor> = Box::new(data_centre.hypervisor(left)?);
//! assert_eq!(data_centre.hypervisor(right)?.free_capacity(deadline)?.vm_slots, 1);
//! let domain = hypervisor.domains(deadline)?.remove(0);
//! assert_eq!(hypervisor.migrate(domain.uuid, right, deadline), MigrationOutcome::Moved);
//! assert_eq!(data_centre.placement()[&u], right);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The types to know
//!
//! - [`Hypervisor`]: [domains](Domain) with UUID and MAC addresses, [`FreeCapacity`], and live migration that ends
//!   in one of three [outcomes](MigrationOutcome). [`xl::Xl`] and [`emulated::EmulatedHypervisor`] implement it.
//! - [`Gate`]: decides at the target of a migration whether a domain may arrive, where the hypervisor can ask.
//! - [`FlowSource`]: a [`Poll`] of cumulative [counters](FlowCounter), and what could not be
//!   [attributed](Unattributed); [`Poll::count`] tells what is new in it. [`ovs::OvsFlowSource`],
//!   [`ovs::netflow::NetFlowSource`] and [`emulated::EmulatedFlowSource`] implement it. With the feature `netlink`,
//!   [`ovs::OvsFlowSource`] can ask the kernel for the flows of its datapath.
//! - [`emulated::DataCentre`]: servers, VMs and traffic in memory, with faults to inject and a clock to set.
//! - [`interception::Interception`]: what brings packets for a VM's address to the agent, and keeps VMs away from the agents'
//!   port; at a bridge of Open vSwitch or of Linux.
//!
//! The traits are object-safe, and their methods block until a deadline that the caller gives.
//!
//! # What it does not do
//!
//! It decides nothing, and it keeps no history: counters become rates in `s-core-flow`, and decisions are
//! made in `s-core-proto`. A hypervisor knows no IP addresses; [`ovs::MacTable`] learns from flows which goes with
//! which MAC address. There is no asynchronous interface, and nothing here starts, stops or configures VMs. Of a
//! switch it sets what a flow source needs, where it is told to, and takes it away again: a rule of its own or a NetFlow record. It runs on Unix systems; `xl` and Open vSwitch are asked on the host that they run on.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod emulated;
pub mod interception;
pub mod ovs;
pub mod xl;

mod command;
mod hypervisor;
mod interface;
mod source;

pub use command::ProgramError;
pub use hypervisor::{
    Domain, FreeCapacity, Gate, Hypervisor, HypervisorError, InvalidUuid, Leftover, LeftoverKind,
    MigrationOutcome, Uuid,
};
pub use interface::{InterfaceName, InvalidInterfaceName};
pub use source::{
    End, FlowCounter, FlowSource, FlowSourceError, NoEnds, Poll, Skipped, Transport, Unattributed,
    UnattributedCounter,
};

/// Runs the example of the readme.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
