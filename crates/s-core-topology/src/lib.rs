//! Where servers stand: the communication level ℓ between any two servers of a data centre.
//!
//! S-CORE's cost (thesis Eq. 3.1) asks one thing of the network, again and again: how high does
//! the traffic between two servers climb? The types of this crate answer it, each as an
//! implementation of [`Levels`](s_core_model::Levels) whose look-ups allocate nothing.
//!
//! ```
//! use s_core_model::{Level, Levels, ServerIndex};
//! use s_core_topology::{CanonicalTree, LocationTable};
//!
//! // The simulated data centre of thesis 5.1: 128 racks of 20 servers under four levels of links.
//! let tree = CanonicalTree::thesis();
//! let [first, neighbour, last] = [0, 1, 2559].map(ServerIndex::new);
//! assert_eq!(tree.level(first, neighbour), Level::ZERO);
//! assert_eq!(tree.level(first, last), Level::new(4));
//! assert_eq!(tree.location(last).to_string(), "a4/g4/s4/r2");
//!
//! // The same as a pre-computed location table (thesis 4.2.5), as read from a file.
//! let table = LocationTable::new([("10.0.0.1", "a1/r1"), ("10.0.0.2", "a1/r2")].map(
//!     |(server, path)| (server.parse().expect("an IPv4 address"), path),
//! ))?;
//! assert_eq!(table.level(first, neighbour), Level::new(1));
//! # Ok::<(), s_core_topology::LocationError>(())
//! ```
//!
//! # Primary types
//!
//! | type | data centre | look-up |
//! |---|---|---|
//! | [`CanonicalTree`] | racks under any number of levels of links (Fig. 3.1) | arithmetic |
//! | [`FatTree`] | k pods of k/2 edge switches with k/2 servers each | arithmetic |
//! | [`LeafSpine`] | leaves under one layer of spines | arithmetic |
//! | [`LocationTable`] | a location path per server (4.2.5), e.g. from a file | two table rows |
//! | `TieredGraph` (feature `petgraph`) | any graph of servers and tiered switches | one matrix entry |
//!
//! # What it does not do
//!
//! It discovers no topology, measures no path, knows no link's bandwidth and reads no file. Nor
//! does it know what a level costs: that is `LinkWeights` of `s-core-model`.
//!
//! # Features
//!
//! `std` (default) and `petgraph` (default): `TieredGraph`. Without `std` the crate is `no_std` with `alloc`.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod clos;
#[cfg(feature = "petgraph")]
mod graph;
mod hierarchy;
mod table;
mod tree;

pub use clos::{FatTree, LeafSpine};
#[cfg(feature = "petgraph")]
#[cfg_attr(docsrs, doc(cfg(feature = "petgraph")))]
pub use graph::{GraphError, Tier, TieredGraph};
pub use hierarchy::{Location, ShapeError};
pub use table::{LocationError, LocationTable};
pub use tree::CanonicalTree;

/// The highest level that a topology of this crate can have: the most levels of links above the racks.
///
/// Real data centres have up to five; the limit keeps tables small whatever a file says.
pub const MAX_LEVELS: u8 = 16;

/// The most servers that a topology described by its shape can have, 2²⁴: as many as 10.0.0.0/8 has addresses.
pub const MAX_SERVERS: u32 = 1 << 24;
