//! Reference optima: placements computed by one who holds the whole picture, to hold the policies against.

mod multilevel;

pub use multilevel::Multilevel;
