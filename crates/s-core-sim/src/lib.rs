//! A data centre in one process: S-CORE's token runs over it with the decision code of the agents
//! until nothing more is to be gained (thesis chapters 3 to 5).
//!
//! ```
//! use s_core_sim::{DataCentre, InitialPlacement, RunLimits, Rules, Simulation};
//! use s_core_token::PolicyKind;
//!
//! // 4 racks of 2 servers with 4 VM slots each, 24 VMs scattered over them, traffic after 5.1.1.
//! let snapshot = DataCentre {
//!     topology: "tree:2,2x2".parse()?,
//!     vm_slots: 4,
//!     vms: 24,
//!     link_weights: vec![1.0, 10.0],
//!     ..DataCentre::thesis(InitialPlacement::Random, 1)
//! }
//! .generate()?;
//!
//! let policy = PolicyKind::Distributed.build();
//! let model = snapshot.cost_model();
//! let mut simulation = Simulation::new(
//!     &model,
//!     snapshot.traffic(),
//!     snapshot.allocation().clone(),
//!     policy.as_ref(),
//!     Rules::default(),
//! )?;
//! let outcome = simulation.run_until_settled(RunLimits::default());
//! assert!(outcome.final_cost < outcome.initial_cost);
//! let recomputed = model.total_cost(simulation.allocation(), snapshot.traffic());
//! assert!((outcome.final_cost - recomputed).abs() <= 1e-9 * recomputed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The types to know
//!
//! - [`snapshot::Snapshot`]: a data centre at one moment, read from and written to a directory.
//! - [`DataCentre`]: makes one up, with a [`Topology`] and the [`traffic`] of thesis 5.1.1.
//! - [`Simulation`]: passes the token hop by hop; every [`Hop`] says what was decided and why.
//! - [`Strategy`]: what proposes a placement: [`baselines`] are other published systems, [`mod@reference`] approximates the optimum.
//! - [`link_utilisation`]: how loaded each link is.
//! - [`fault_world`]: real nodes in a world where everything goes wrong, with the protocol's invariants checked.
//! - [`sweep::Sweep`]: many runs from one file, on all cores, merged into one table.
//! - [`result::RunResult`] and [`result::ResultDir`]: what a run leaves behind, as files.
//!
//! # What it does not do
//!
//! A [`Simulation`] has no notion of packets. Time passes as a [`Timing`] says, and changes no decision; traffic
//! is what it is told to be. Nothing here decides: [`s_core_proto::Evaluation`] does, as on a real host.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod baselines;
#[cfg(feature = "report")]
#[cfg_attr(docsrs, doc(cfg(feature = "report")))]
pub mod chapter5;
mod cpu_time;
mod data_centre;
pub mod fault_world;
mod link_load;
mod link_utilisation;
pub mod measure;
mod migration_cost;
mod packing;
mod probe;
mod rack_tree;
pub mod reference;
#[cfg(feature = "report")]
#[cfg_attr(docsrs, doc(cfg(feature = "report")))]
pub mod report;
pub mod result;
mod simulation;
pub mod snapshot;
mod strategies;
mod strategy;
pub mod sweep;
mod topology;
pub mod traffic;

pub use data_centre::{DataCentre, GenerateError, InitialPlacement};
pub use link_load::link_loads;
pub use link_utilisation::{LinkCapacities, LinkUtilisation, link_utilisation};
pub use migration_cost::{InvalidMigrationCostForm, MigrationCostForm};
pub use simulation::{
    Decision, Ended, Hop, InvalidTiming, Migration, Outcome, Rules, RunLimits, Sample, Series,
    Simulation, SimulationError, Stability, Timing, TokenStart, TokenStrategy, UnknownTokenStart,
    WhyStayed, Windows,
};
pub use strategies::{AnyStrategy, StrategyName, UnknownStrategy};
pub use strategy::{Instance, Proposal, Strategy, StrategyError, Watch};
pub use topology::{THESIS_LINK_WEIGHTS, Topology, TopologyError};

/// Runs the README's example with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
