//! What the match of a datapath flow says exactly, whichever way it was read.

use std::net::{Ipv4Addr, Ipv6Addr};

use s_core_flow::MacAddr;

use crate::{End, FlowCounter, NoEnds, Transport};

/// The fields that are matched exactly; one under a mask that is not full stays `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) eth_src: Option<MacAddr>,
    pub(super) eth_dst: Option<MacAddr>,
    /// The group bit of the destination is matched, and set, whatever the rest of the address.
    pub(super) to_group: bool,
    pub(super) ipv4_src: Option<Ipv4Addr>,
    pub(super) ipv4_dst: Option<Ipv4Addr>,
    pub(super) ipv6_src: Option<Ipv6Addr>,
    pub(super) ipv6_dst: Option<Ipv6Addr>,
    pub(super) arp_sender: Option<Ipv4Addr>,
    pub(super) protocol: Option<u8>,
    pub(super) src_port: Option<u16>,
    pub(super) dst_port: Option<u16>,
    pub(super) fragment: bool,
}

/// What a flow has counted, and what tells it from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) id: u64,
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

impl Match {
    /// The two ends of a flow with this match whose packets do not come back into the datapath; see
    /// [`DatapathFlow::ends`](super::dump::DatapathFlow::ends).
    pub(super) fn ends(&self) -> Result<(End, End), NoEnds> {
        if self.is_multicast() {
            return Err(NoEnds::Multicast);
        }
        let ipv4 = self.ipv4_src.zip(self.ipv4_dst);
        let ipv6 = self.ipv6_src.zip(self.ipv6_dst);
        let (src, dst) = if let Some((src, dst)) =
            ipv4.filter(|(src, dst)| !src.is_unspecified() && !dst.is_unspecified())
        {
            (End::Ipv4(src), End::Ipv4(dst))
        } else if let Some((src, dst)) =
            ipv6.filter(|(src, dst)| !src.is_unspecified() && !dst.is_unspecified())
        {
            (End::Ipv6(src), End::Ipv6(dst))
        } else if let Some((src, dst)) = self.eth_src.zip(self.eth_dst) {
            (End::Mac(src), End::Mac(dst))
        } else {
            return Err(NoEnds::NoAddresses);
        };
        if src == dst {
            return Err(NoEnds::Multicast);
        }
        Ok((src, dst))
    }

    fn is_multicast(&self) -> bool {
        self.to_group
            || self.eth_src.is_some_and(MacAddr::is_multicast)
            || self
                .ipv4_src
                .is_some_and(|ip| ip.is_multicast() || ip.is_broadcast())
            || self
                .ipv4_dst
                .is_some_and(|ip| ip.is_multicast() || ip.is_broadcast())
            || self.ipv6_dst.is_some_and(|ip| ip.is_multicast())
    }

    /// The source's MAC and IPv4 address, if the match holds both.
    pub(super) fn station(&self) -> Option<(MacAddr, Ipv4Addr)> {
        let mac = self.eth_src.filter(|mac| !mac.is_multicast())?;
        let ip = self.ipv4_src.or(self.arp_sender)?;
        let is_own = !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast());
        is_own.then_some((mac, ip))
    }

    /// The protocol and ports, if all three are matched; fragments carry none.
    pub(super) fn transport(&self) -> Option<Transport> {
        if self.fragment {
            return None;
        }
        Some(Transport {
            protocol: self.protocol?,
            src_port: self.src_port?,
            dst_port: self.dst_port?,
        })
    }

    /// The counter of a flow between these ends.
    pub(super) fn counter(&self, (src, dst): (End, End), counted: Counted) -> FlowCounter {
        FlowCounter {
            id: counted.id,
            src,
            dst,
            src_mac: self.eth_src,
            dst_mac: self.eth_dst,
            transport: self.transport(),
            packets: counted.packets,
            bytes: counted.bytes,
        }
    }
}
