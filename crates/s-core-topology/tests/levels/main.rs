//! Every topology against the promises of `Levels`, its definition and the others.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[cfg(feature = "petgraph")]
mod graph;
mod regular;
mod table;
