//! What can go wrong with an interception.

use crate::ProgramError;

/// Rules could not be read, set or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InterceptionError {
    /// A program that reads or sets them did not succeed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Somebody else uses what the rules need.
    #[error(
        "{what} is in use by somebody else: {found}; remove it there, or go without interception"
    )]
    Taken {
        /// What it is.
        what: String,
        /// What was found in it.
        found: String,
    },
}
