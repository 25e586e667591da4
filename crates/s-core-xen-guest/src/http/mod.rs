//! As much of HTTP/1.0 (RFC 1945) as a guest and its client need: one request per connection, bodies of a stated length.
//!
//! It is read from anything that can be read, and bounded before it is kept: a head has at most [`MOST_HEAD`] bytes. Time is
//! bounded by what is read from.

mod head;
mod request;
mod response;

pub use head::MOST_HEAD;
pub use request::{MOST_BODY, Method, Request};
pub use response::{Response, ResponseError, Status};

use std::io;

/// Why a request is not done: what the client is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {reason}")]
pub struct Refusal {
    /// Of which kind.
    pub status: Status,
    /// What is wrong, in one line.
    pub reason: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(status: Status, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { status, reason }
    }

    pub(crate) fn bad(reason: impl Into<String>) -> Self {
        Self::new(Status::BadRequest, reason)
    }
}

/// Nothing that could be done was read.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The client has gone, is too slow, or cannot be read from.
    #[error("cannot read a request: {0}")]
    Io(#[from] io::Error),
    /// What it sent is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
}
