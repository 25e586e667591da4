//! Reference optima: placements computed by one who holds the whole picture, to hold the policies against.
//!
//! A policy decides for one VM at a time and knows its peers only. How far it ends from the best placement is what
//! thesis 5.1.2 asks.
//!
//! - [`Exact`]: the optimum itself, of tiny data centres.
//! - [`Genetic`]: the genetic algorithm of 5.1.2.
//! - [`Multilevel`]: close to the best that is known, in seconds.

mod exact;
mod genetic;
mod multilevel;
mod size;
mod tree;

pub use exact::Exact;
pub use genetic::Genetic;
pub use multilevel::Multilevel;
