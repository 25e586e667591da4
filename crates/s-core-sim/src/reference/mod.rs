//! Reference optima: how far from the best placement known does a policy end?

mod genetic;
pub(crate) mod packing;

pub use genetic::Genetic;
