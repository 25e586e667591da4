//! Netlink's form: messages and attributes (RFC 3549, section 2; `linux/netlink.h`, `linux/genetlink.h`).
//!
//! A message has a header of 16 bytes (length, type, flags, sequence number, port), one of generic netlink 4 bytes more
//! (command, version), then attributes. An attribute has a header of 4 bytes (length, type) and a value. All of them begin at
//! multiples of 4, and numbers are in the byte order of the machine.

use super::NetlinkError;

/// The length of a message's header.
const HEADER: usize = 16;
/// The length of an attribute's header.
const ATTRIBUTE: usize = 4;
/// The length of the header of generic netlink.
const GENERIC: usize = 4;
/// The upper bits of an attribute's type say that it is nested, and in network byte order.
const TYPE: u16 = 0x3fff;

pub(super) const REQUEST: u16 = 0x01;
pub(super) const MULTI: u16 = 0x02;
pub(super) const DUMP_INTERRUPTED: u16 = 0x10;
pub(super) const DUMP: u16 = 0x300;

/// A message, without what its header says of its length and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) payload: &'a [u8],
}

/// The messages of what was received at once.
#[derive(Clone, Debug)]
pub(super) struct Messages<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, NetlinkError>;

    fn next(&mut self) -> Option<Self::Item> {
        let there = self.0;
        if there.is_empty() {
            return None;
        }
        let read = || {
            let header: &[u8; HEADER] = there.first_chunk()?;
            let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *header;
            let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
            let message = Message {
                kind: u16::from_ne_bytes([k0, k1]),
                flags: u16::from_ne_bytes([f0, f1]),
                sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
                payload: there.get(HEADER..length)?,
            };
            Some((message, rest(there, length)))
        };
        let Some((message, rest)) = read() else {
            self.0 = &[];
            let length = there.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
            return Some(Err(NetlinkError::Message {
                length: usize::try_from(length.unwrap_or(0)).unwrap_or(usize::MAX),
                there: there.len(),
            }));
        };
        self.0 = rest;
        Some(Ok(message))
    }
}

/// The attributes of a message, or of an attribute that holds others: type and value of each.
#[derive(Clone, Debug)]
pub(super) struct Attributes<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<(u16, &'a [u8]), NetlinkError>;

    fn next(&mut self) -> Option<Self::Item> {
        let there = self.0;
        if there.is_empty() {
            return None;
        }
        let header = there.first_chunk().copied();
        let [l0, l1, k0, k1] = header.unwrap_or_default();
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let Some(value) = there.get(ATTRIBUTE..length) else {
            self.0 = &[];
            let there = there.len();
            return Some(Err(NetlinkError::Attribute { length, there }));
        };
        self.0 = rest(there, length);
        Some(Ok((u16::from_ne_bytes([k0, k1]) & TYPE, value)))
    }
}

/// What stands behind `length` bytes and their padding, which the last may lack.
fn rest(bytes: &[u8], length: usize) -> &[u8] {
    bytes.get(length.next_multiple_of(4)..).unwrap_or_default()
}

/// What stands behind a header of `N` bytes, and that header.
pub(super) fn split<'a, const N: usize>(
    bytes: &'a [u8],
    what: &'static str,
) -> Result<(&'a [u8; N], &'a [u8]), NetlinkError> {
    bytes.split_first_chunk().ok_or(NetlinkError::Short {
        what,
        there: bytes.len(),
        wanted: N,
    })
}

/// What stands behind the header of generic netlink.
pub(super) fn generic(payload: &[u8]) -> Result<&[u8], NetlinkError> {
    let (_, rest) = split::<GENERIC>(payload, "a header of generic netlink")?;
    Ok(rest)
}

/// A request of generic netlink.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    /// The number of the family.
    pub(super) family: u16,
    /// Beside [`REQUEST`].
    pub(super) flags: u16,
    pub(super) command: u8,
    pub(super) version: u8,
    /// What stands behind the header of generic netlink.
    pub(super) body: &'a [u8],
}

impl Request<'_> {
    /// The message, with this number.
    pub(super) fn message(&self, sequence: u32) -> Vec<u8> {
        let length = HEADER + GENERIC + self.body.len();
        let mut message = Vec::with_capacity(length);
        // A request holds a name of bounded length at the most.
        message.extend((length as u32).to_ne_bytes());
        message.extend(self.family.to_ne_bytes());
        message.extend((REQUEST | self.flags).to_ne_bytes());
        message.extend(sequence.to_ne_bytes());
        // The kernel fills the port in.
        message.extend([0; 4]);
        message.extend([self.command, self.version, 0, 0]);
        message.extend(self.body);
        message
    }
}

/// An attribute that holds a name.
pub(super) fn name_attribute(kind: u16, name: &'static str) -> Vec<u8> {
    let length = ATTRIBUTE + name.len() + 1;
    let mut bytes = Vec::with_capacity(length.next_multiple_of(4));
    // Names of families have at most 15 letters.
    bytes.extend((length as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(name.as_bytes());
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}
