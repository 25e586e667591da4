//! The frame by which a VM that has moved tells the switches where it is now.

use std::net::Ipv4Addr;

use s_core_flow::MacAddr;

/// Octets of an ARP request in an Ethernet frame, without padding and check sequence.
const LENGTH: usize = 14 + 28;

/// A gratuitous ARP request: the sender asks everybody for its own address (RFC 5227 section 1.1, there called an ARP
/// announcement).
pub(super) fn gratuitous_arp(mac: MacAddr, address: Ipv4Addr) -> [u8; LENGTH] {
    let mut frame = [0; LENGTH];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&mac.octets());
    // ARP; for Ethernet, IPv4; lengths of their addresses; a request.
    frame[12..22].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame[22..28].copy_from_slice(&mac.octets());
    frame[28..32].copy_from_slice(&address.octets());
    // The hardware address asked for stays 0.
    frame[38..].copy_from_slice(&address.octets());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `arping -U -c 1` sent it, recorded with `tcpdump -xx`, but for the target's hardware address, which arping
    /// fills with ones.
    #[test]
    fn the_frame_is_that_of_arping() {
        let mac = MacAddr::new([2, 0x77, 0, 0, 0, 7]);
        let frame = gratuitous_arp(mac, Ipv4Addr::new(10, 77, 1, 7));
        let shown: String = frame.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(
            shown,
            "ffffffffffff02770000000708060001080006040001027700000007\
             0a4d01070000000000000a4d0107"
        );
    }
}
