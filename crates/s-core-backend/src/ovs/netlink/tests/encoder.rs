//! Messages as the kernel writes them.

use super::super::wire;

const SEQUENCE: u32 = 5;
/// Whatever number the family has today.
const OVS_FLOW: u16 = 0x21;

/// An attribute, padded.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(4 + value.len())
        .unwrap()
        .to_ne_bytes()
        .to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

pub(super) fn nested(kind: u16, parts: &[Vec<u8>]) -> Vec<u8> {
    attribute(0x8000 | kind, &parts.concat())
}

pub(super) fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(16 + payload.len())
        .unwrap()
        .to_ne_bytes()
        .to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(SEQUENCE.to_ne_bytes());
    bytes.extend(77_u32.to_ne_bytes());
    bytes.extend(payload);
    bytes
}

/// A message of `ovs_flow`: the headers, then these attributes.
pub(super) fn flow(attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut payload = vec![1, 1, 0, 0, 9, 0, 0, 0];
    payload.extend(attributes.concat());
    message(OVS_FLOW, wire::MULTI, &payload)
}

pub(super) fn done() -> Vec<u8> {
    message(3, wire::MULTI, &[0; 4])
}

pub(super) fn stats(packets: u64, bytes: u64) -> Vec<u8> {
    attribute(3, &[packets.to_ne_bytes(), bytes.to_ne_bytes()].concat())
}
