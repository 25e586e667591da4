//! What can be wrong with the output of `xl`.

use super::MAX_OUTPUT;

/// The output of `xl` is not of the form that the parser knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// More text than is accepted.
    #[error("{bytes} bytes are more than the {MAX_OUTPUT} that are read")]
    TooLong {
        /// How many bytes there are.
        bytes: usize,
    },
    /// The table does not begin with its header.
    #[error("line 1: no header that begins with {wanted:?}; found {found:?}")]
    NoHeader {
        /// How the header begins.
        wanted: &'static str,
        /// The beginning of the line that stands in its place.
        found: String,
    },
    /// A field of a line is missing or not of its form.
    #[error("line {line}: {field} is {wanted}; found {found:?}")]
    Field {
        /// The line, counted from 1.
        line: usize,
        /// The field, by the name that `xl` gives it.
        field: &'static str,
        /// What it should be.
        wanted: &'static str,
        /// The beginning of what stands there; empty if nothing does.
        found: String,
    },
    /// A line that must be there is not.
    #[error("no line {key:?}")]
    NoLine {
        /// The key before the colon.
        key: &'static str,
    },
    /// The text is not the JSON that `xl list -l` prints.
    #[error("line {line}, column {column}: {message}")]
    Json {
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// The text is not the S-expressions that `xm list -l` prints.
    #[error("line {line}: {message}")]
    Sxp {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A field of a domain in the JSON is not of its form.
    #[error("domain {domid}: {field} is {wanted}; found {found:?}")]
    DomainField {
        /// The domain's number on this host.
        domid: u32,
        /// The field, by the name that `xl` gives it.
        field: &'static str,
        /// What it should be.
        wanted: &'static str,
        /// The beginning of what stands there.
        found: String,
    },
}

/// Rejects text that is too long to be read.
pub(super) fn check_length(text: &str) -> Result<(), ParseError> {
    if text.len() > MAX_OUTPUT {
        return Err(ParseError::TooLong { bytes: text.len() });
    }
    Ok(())
}

/// Parses one field of a line of a table.
pub(super) fn field<T: std::str::FromStr>(
    line: usize,
    field: &'static str,
    wanted: &'static str,
    found: Option<&str>,
) -> Result<T, ParseError> {
    let found = found.unwrap_or_default();
    found.parse().map_err(|_| ParseError::Field {
        line,
        field,
        wanted,
        found: shortened(found),
    })
}

/// The beginning of a text, short enough for an error message and without control characters.
pub(super) fn shortened(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut short: String = text
        .chars()
        .filter(|c| !c.is_control())
        .take(LONGEST)
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}
