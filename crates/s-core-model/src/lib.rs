//! The S-CORE cost model: who is where, who talks to whom, what that costs, and what a migration gains.
//!
//! This is chapter 3 of Hamilton's thesis as a library: [Eq. 3.1](CostModel::total_cost), the
//! communication cost of a data centre, and [Eq. 3.2](CostModel::gain), by how much one migration
//! lowers it.
//!
//! ```
//! use s_core_model::*;
//!
//! // Two servers in two racks under one core switch; `s-core-topology` has real topologies.
//! struct TwoRacks;
//! impl Levels for TwoRacks {
//!     fn server_count(&self) -> usize { 2 }
//!     fn max_level(&self) -> Level { Level::new(1) }
//!     fn level(&self, a: ServerIndex, b: ServerIndex) -> Level { Level::new((a != b).into()) }
//!     fn index_of(&self, s: ServerId) -> Option<ServerIndex> { Some(ServerIndex::new(s.get() - 1)) }
//!     fn server_at(&self, s: ServerIndex) -> ServerId { ServerId::new(s.get() + 1) }
//! }
//!
//! let servers = [1, 2].map(ServerId::new);
//! let room = Capacity { vm_slots: 2, memory_mib: 2048 };
//! let vms = [10, 11].map(VmId::new);
//! let mut allocation = Allocation::new(
//!     servers.map(|server| (server, room)),
//!     [(vms[0], servers[0]), (vms[1], servers[1])]
//!         .map(|(vm, server)| Placement { vm, server, memory_mib: 1024 }),
//! )?;
//! let [u, v] = [0, 1].map(VmIndex::new);
//! let traffic = TrafficMatrix::from_pairs(2, [(u, v, Rate::new(1e6)?)])?;
//!
//! let model = CostModel::new(LinkWeights::new([1.0])?, TwoRacks)?;
//! assert_eq!(model.total_cost(&allocation, &traffic), 2e6); // the pair counts at both ends
//!
//! let target = allocation.host(v);
//! let gain = model.gain(&allocation, &traffic, u, target);
//! assert!(MigrationCost::ZERO.is_exceeded_by(gain, model.vm_cost(&allocation, &traffic, u)));
//! allocation.migrate(u, target)?;
//! assert_eq!(model.total_cost(&allocation, &traffic), 2e6 - gain);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # The types to know
//!
//! - [`VmId`], [`ServerId`]: identities, which are IPv4 addresses; [`VmIndex`], [`ServerIndex`]: their dense numbers.
//! - [`Allocation`]: which server hosts which VM, never beyond a server's [`Capacity`].
//! - [`TrafficMatrix`] of [`Rate`]s: who talks to whom.
//! - [`Level`] and the trait [`Levels`]: how far apart servers are.
//! - [`CpuModel`]: whether a VM of one host can go on at another.
//! - [`LinkWeights`], [`CostModel`]: what it costs. [`MigrationCost`]: what a gain must exceed.
//!
//! # What it does not do
//!
//! It knows no network, no clock and no topology of its own, decides nothing and moves nothing.
//! Levels come from `s-core-topology`, decisions from `s-core-proto`.
//!
//! # Features
//!
//! `std` (default) adds nothing but `std`'s error trait in dependencies; the crate is `no_std` with `alloc`.
//! `serde` derives serialization of the ids, as addresses in text.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod allocation;
mod cost;
mod cpu;
mod gain_limits;
mod host_loads;
mod ids;
mod level;
mod path_keys;
mod rate;
mod traffic;
mod weights;

pub use allocation::{Allocation, AllocationError, Capacity, Placement};
pub use cost::{CostModel, RunningCost, TooFewWeights, gain};
pub use cpu::{CpuMismatch, CpuModel, CpuVendor, GuestKinds};
pub use gain_limits::{Distances, GainLimits};
pub use host_loads::{HostLoad, HostLoads};
pub use ids::{ServerId, ServerIndex, VmId, VmIndex};
pub use level::{Level, Levels};
pub use rate::{InvalidRate, Rate};
pub use traffic::{TrafficError, TrafficMatrix};
pub use weights::{InvalidMigrationCost, InvalidWeights, LinkWeights, MigrationCost};
