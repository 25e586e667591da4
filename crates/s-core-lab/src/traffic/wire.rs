//! What payload becomes on the wire: an estimate by which senders keep to a rate of frames. What was sent is not
//! estimated but counted: see [`truth`](super::truth).
//!
//! Frames as flow sources count them: with the Ethernet header, without the check sequence.

/// Ethernet, IPv4 and UDP headers.
pub(super) const UDP_HEADERS: f64 = 14.0 + 20.0 + 8.0;
/// Ethernet, IPv4 and TCP headers, the last with the time stamp option.
pub(super) const TCP_HEADERS: f64 = 14.0 + 20.0 + 32.0;
/// What a full TCP segment carries at an MTU of 1500 bytes.
pub(super) const SEGMENT: u32 = 1500 - 20 - 32;

/// Receivers acknowledge every second segment (RFC 1122, 4.2.3.2).
const ACKNOWLEDGEMENT_PER_SEGMENT: f64 = 0.5;
/// SYN and its answer with their options, the acknowledgement of that; a FIN each way, acknowledged.
const CONNECTION: f64 = 2.0 * (TCP_HEADERS + 8.0) + 5.0 * TCP_HEADERS;

/// The bytes of the frames of a datagram.
pub(super) fn datagram(payload: u32) -> f64 {
    f64::from(payload) + UDP_HEADERS
}

/// The bytes of the frames, both directions together, per byte of payload in full segments.
pub(super) fn bulk_factor() -> f64 {
    let segment = f64::from(SEGMENT);
    (segment + TCP_HEADERS * (1.0 + ACKNOWLEDGEMENT_PER_SEGMENT)) / segment
}

/// The bytes of the frames, both directions together, of a connection that carries this and ends.
pub(super) fn short_flow(payload: u32) -> f64 {
    let segments = f64::from(payload.div_ceil(SEGMENT));
    let acknowledgements = (segments * ACKNOWLEDGEMENT_PER_SEGMENT).ceil();
    f64::from(payload) + (segments + acknowledgements) * TCP_HEADERS + CONNECTION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_on_the_wire() {
        assert_eq!(datagram(1200), 1242.0);
        assert_eq!((bulk_factor() * 14_480.0).round(), 14_480.0 + 15.0 * 66.0);
        // Seven packets of the connection, one with data, one acknowledgement.
        assert_eq!(short_flow(1), 1.0 + 9.0 * 66.0 + 16.0);
        assert_eq!(short_flow(1449), 1449.0 + 10.0 * 66.0 + 16.0);
    }
}
