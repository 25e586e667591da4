//! What can be wrong with an answer of the kernel.

use std::io;

/// An answer that is not a whole list.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetlinkError {
    /// The length that a message gives itself does not fit.
    #[error("a message says that it has {length} bytes, and {there} are there")]
    Message {
        /// What it says, in bytes.
        length: usize,
        /// How many bytes came.
        there: usize,
    },
    /// The length that an attribute gives itself does not fit.
    #[error("an attribute says that it has {length} bytes, and {there} are there")]
    Attribute {
        /// What it says, in bytes.
        length: usize,
        /// How many bytes are left of what it stands in.
        there: usize,
    },
    /// A header or an attribute's value is too short for what has to be in it.
    #[error("{what} has {there} bytes instead of {wanted}")]
    Short {
        /// Which.
        what: &'static str,
        /// How many bytes it has.
        there: usize,
        /// How many it needs.
        wanted: usize,
    },
    /// An attribute that has to be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Attributes stand in each other more deeply than the kernel takes them.
    #[error("attributes are nested too deeply")]
    Nested,
    /// The answer to another request.
    #[error("it answers request {found}, not {wanted}")]
    Stray {
        /// The number that it bears.
        found: u32,
        /// The number of the request.
        wanted: u32,
    },
    /// The kernel refuses.
    #[error("{0}")]
    Refused(io::Error),
    /// What was listed has changed meanwhile, or part of the list was lost: it is to be asked for again.
    #[error("the list changed while it was told")]
    Interrupted,
    /// The messages end before the list does.
    #[error("the list has no end")]
    Unfinished,
}
