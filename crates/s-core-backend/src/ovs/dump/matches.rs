//! The match of a flow: `name(arguments),name(arguments),…`, parentheses nested.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use s_core_flow::MacAddr;

use super::line::{Expected, decimal};
use crate::ovs::matches::Match;

impl Match {
    /// Reads the match that starts at byte `start` of `line`; also says where it ends.
    pub(super) fn parse(line: &str, start: usize) -> Result<(Self, usize), Expected> {
        let bytes = line.as_bytes();
        let mut found = Self::default();
        let mut at = start;
        // `encap(…)` holds the fields behind a VLAN tag: they are read as if they stood outside.
        let mut encaps = 0_usize;
        loop {
            let name = field_name(line, at)?;
            at += name.len() + 1;
            if name == "encap" {
                encaps += 1;
                if bytes.get(at) != Some(&b')') {
                    continue;
                }
            } else {
                let end = closing(bytes, at)?;
                found.field(name, &line[at..end], at)?;
                at = end + 1;
                // `name(bad key length 1, expected 4)(00)`: a key that the tool could not print.
                while bytes.get(at) == Some(&b'(') {
                    at = closing(bytes, at + 1)? + 1;
                }
            }
            while encaps > 0 && bytes.get(at) == Some(&b')') {
                encaps -= 1;
                at += 1;
            }
            match bytes.get(at) {
                Some(b',') if bytes.get(at + 1) != Some(&b' ') => at += 1,
                _ if encaps == 0 => return Ok((found, at)),
                _ => {
                    return Err(Expected {
                        at,
                        what: "expected ')' that ends encap(",
                    });
                }
            }
        }
    }

    fn field(&mut self, name: &str, arguments: &str, at: usize) -> Result<(), Expected> {
        for (key, value, at) in key_values(arguments, at) {
            match (name, key) {
                ("eth", "src") => self.eth_src = mac(value, at)?,
                ("eth", "dst") => {
                    self.eth_dst = mac(value, at)?;
                    self.to_group = group_bit(value);
                }
                ("ipv4", "src") => self.ipv4_src = address(value, at)?,
                ("ipv4", "dst") => self.ipv4_dst = address(value, at)?,
                ("ipv6", "src") => self.ipv6_src = address(value, at)?,
                ("ipv6", "dst") => self.ipv6_dst = address(value, at)?,
                ("ipv4" | "ipv6", "proto") => self.protocol = number(value, u8::MAX, at)?,
                ("ipv4" | "ipv6", "frag") => self.fragment = !value.starts_with("no"),
                ("tcp" | "udp" | "sctp", "src") => self.src_port = number(value, u16::MAX, at)?,
                ("tcp" | "udp" | "sctp", "dst") => self.dst_port = number(value, u16::MAX, at)?,
                ("arp", "sip") => self.arp_sender = address(value, at)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// The name before `(`; a datapath names its fields with small letters, digits and `_`.
fn field_name(line: &str, at: usize) -> Result<&str, Expected> {
    let rest = &line[at..];
    let is_name = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_';
    let len = rest.bytes().take_while(is_name).count();
    if len == 0 || rest.as_bytes().get(len) != Some(&b'(') {
        return Err(Expected {
            at: at + len,
            what: "expected a match field such as eth(src=…,dst=…)",
        });
    }
    Ok(&rest[..len])
}

/// The offset of the `)` that closes the `(` before `at`.
fn closing(bytes: &[u8], at: usize) -> Result<usize, Expected> {
    let mut depth = 0_usize;
    for (offset, byte) in bytes[at..].iter().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 0 => return Ok(at + offset),
            b')' => depth -= 1,
            _ => {}
        }
    }
    Err(Expected {
        at: bytes.len(),
        what: "expected ')': the line ends within a match field",
    })
}

/// The `key=value` of a field's arguments with their offsets. Arguments that hold parentheses
/// (tunnel options) are never asked for by name, so splitting at every comma does no harm.
fn key_values(arguments: &str, at: usize) -> impl Iterator<Item = (&str, &str, usize)> {
    let mut offset = at;
    arguments.split(',').filter_map(move |item| {
        let here = offset;
        offset += item.len() + 1;
        let (key, value) = item.split_once('=')?;
        Some((key, value, here + key.len() + 1))
    })
}

fn mac(text: &str, at: usize) -> Result<Option<MacAddr>, Expected> {
    let (value, mask) = masked::<MacAddr>(text).ok_or(Expected {
        at,
        what: "expected a MAC address, perhaps with '/' and a mask",
    })?;
    Ok(mask
        .is_none_or(|mask| mask.octets() == [0xff; 6])
        .then_some(value))
}

/// Whether the lowest bit of the first octet is set and matched.
fn group_bit(text: &str) -> bool {
    masked::<MacAddr>(text).is_some_and(|(value, mask)| {
        value.is_multicast() && mask.is_none_or(|mask| mask.is_multicast())
    })
}

/// An address whose mask may be an address (`255.255.255.0`, `ffff::`) or a prefix length.
fn address<A: Address>(text: &str, at: usize) -> Result<Option<A>, Expected> {
    let parsed = || {
        let (value, mask) = match text.split_once('/') {
            None => (text, None),
            Some((value, mask)) => (value, Some(mask)),
        };
        let value = value.parse::<A>().ok()?;
        let exact = match mask {
            None => true,
            Some(mask) => match mask.parse::<A>() {
                Ok(mask) => mask == A::FULL_MASK,
                Err(_) => decimal(mask).filter(|len| *len <= A::BITS)? == A::BITS,
            },
        };
        Some(exact.then_some(value))
    };
    parsed().ok_or(Expected {
        at,
        what: "expected an IP address, perhaps with '/' and a mask",
    })
}

trait Address: FromStr + PartialEq {
    const FULL_MASK: Self;
    const BITS: u64;
}

impl Address for Ipv4Addr {
    const FULL_MASK: Self = Self::BROADCAST;
    const BITS: u64 = 32;
}

impl Address for Ipv6Addr {
    const FULL_MASK: Self = Self::from_bits(u128::MAX);
    const BITS: u64 = 128;
}

fn masked<T: FromStr>(text: &str) -> Option<(T, Option<T>)> {
    match text.split_once('/') {
        None => Some((text.parse().ok()?, None)),
        Some((value, mask)) => Some((value.parse().ok()?, Some(mask.parse().ok()?))),
    }
}

/// A number with an optional mask; both decimal or `0x…`.
fn number<N: TryFrom<u64>>(
    text: &str,
    full: impl Into<u64>,
    at: usize,
) -> Result<Option<N>, Expected> {
    let full = full.into();
    let parsed = || {
        let (value, mask) = match text.split_once('/') {
            None => (text, full),
            Some((value, mask)) => (value, integer(mask)?),
        };
        let value = N::try_from(integer(value)?).ok()?;
        Some((mask == full).then_some(value))
    };
    parsed().ok_or(Expected {
        at,
        what: "expected a number in the field's range, perhaps with '/' and a mask",
    })
}

fn integer(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) if !digits.starts_with('+') => u64::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None => decimal(text),
    }
}
