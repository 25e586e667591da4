//! The table of `xl network-list`.

use s_core_flow::MacAddr;

use super::ParseError;
use super::error::{check_length, field, shortened};

/// One line of `xl network-list`: a virtual network interface of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkInterface {
    /// The interface's number within the domain (`Idx`); its end in dom0 is `vif<domid>.<index>`.
    pub index: u32,
    /// The domain that drives its other end (`BE`), mostly 0.
    pub backend_domid: u32,
    /// Its MAC address.
    pub mac: MacAddr,
}

/// Reads the output of `xl network-list DOMAIN`.
///
/// # Errors
///
/// [`ParseError`] if the header is missing or a line is not of its form; it names the line and the column.
pub fn parse_network_list(text: &str) -> Result<Vec<NetworkInterface>, ParseError> {
    const HEADER: &str = "Idx";
    check_length(text)?;
    let mut lines = text.lines().enumerate();
    let header = lines.next().map_or("", |(_, line)| line);
    if !header.starts_with(HEADER) {
        return Err(ParseError::NoHeader {
            wanted: HEADER,
            found: shortened(header),
        });
    }
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, text)| {
            let line = index + 1;
            let mut words = text.split_whitespace();
            Ok(NetworkInterface {
                index: field(line, "Idx", "a number", words.next())?,
                backend_domid: field(line, "BE", "a number", words.next())?,
                mac: field(line, "Mac Addr.", "a MAC address", words.next())?,
            })
        })
        .collect()
}
