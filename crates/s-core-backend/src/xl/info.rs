//! The lines of `xl info`.

use super::ParseError;
use super::error::{check_length, field};

/// What S-CORE needs of `xl info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostInfo {
    /// How many processors Xen runs on.
    pub nr_cpus: u32,
    /// All memory of the host, in MiB.
    pub total_memory_mib: u64,
    /// Memory that belongs to no domain and that none has claimed, in MiB.
    pub free_memory_mib: u64,
    /// What domains that are being built have claimed and not got yet, in MiB; `xl` has taken it off the free memory.
    pub outstanding_claims_mib: u64,
}

/// Reads the output of `xl info`; lines with other keys are passed over.
///
/// # Errors
///
/// [`ParseError`] if `nr_cpus`, `total_memory` or `free_memory` is missing, or one of the values is not a
/// number. `outstanding_claims` is 0 where an older `xl` does not print it.
pub fn parse_info(text: &str) -> Result<HostInfo, ParseError> {
    check_length(text)?;
    Ok(HostInfo {
        nr_cpus: required(text, "nr_cpus")?,
        total_memory_mib: required(text, "total_memory")?,
        free_memory_mib: required(text, "free_memory")?,
        outstanding_claims_mib: number(text, "outstanding_claims")?.unwrap_or(0),
    })
}

fn required<T: std::str::FromStr>(text: &str, key: &'static str) -> Result<T, ParseError> {
    number(text, key)?.ok_or(ParseError::NoLine { key })
}

/// The first line with this key, counted from 1, and what stands behind the colon.
pub(super) fn value<'a>(text: &'a str, key: &str) -> Option<(usize, &'a str)> {
    text.lines().enumerate().find_map(|(index, line)| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| (index + 1, value.trim()))
    })
}

/// The number on the first line with this key.
pub(super) fn number<T: std::str::FromStr>(
    text: &str,
    key: &'static str,
) -> Result<Option<T>, ParseError> {
    value(text, key)
        .map(|(line, value)| field(line, key, "a number", Some(value)))
        .transpose()
}
