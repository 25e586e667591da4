//! What a line of a dump says.

use std::hash::BuildHasher;
use std::net::Ipv4Addr;
use std::time::Duration;

use foldhash::quality::FixedState;
use s_core_flow::MacAddr;

use crate::ovs::matches::{Counted, Match};
use crate::{End, FlowCounter, NoEnds, Transport};

/// One flow of a datapath: one direction of some conversation, and what it counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatapathFlow<'a> {
    /// The title above the flow, which names the thread that holds it; empty without one.
    pub thread: &'a str,
    /// The flow's unique identifier, printed with `-m`.
    pub ufid: Option<&'a str>,
    /// The match as printed: what the flow's packets have in common.
    pub match_text: &'a str,
    pub(super) matches: Match,
    /// Packets since the flow was made; the one that made it is not among them.
    pub packets: u64,
    /// Bytes since the flow was made: whole Ethernet frames without the frame check sequence.
    pub bytes: u64,
    /// How long ago the last packet came; `None` if the flow has counted none (`used:never`), or what stands
    /// there is no length of time: a clock may have been set back.
    pub idle: Option<Duration>,
    /// What the datapath does with the packets, as printed.
    pub actions: &'a str,
}

impl DatapathFlow<'_> {
    /// Which two ends the flow's bytes are between: source, then destination.
    ///
    /// IP addresses if both are matched exactly, IPv4 before IPv6; else MAC addresses if both
    /// are. Whatever goes between two stations counts, ARP and other protocols too: it is traffic
    /// between these VMs, as a pair of MAC addresses. So do packets that the switch drops.
    ///
    /// # Errors
    ///
    /// [`NoEnds`], why the flow's bytes belong to no pair. A flow that sends its packets through
    /// the datapath once more (`recirc`, used by connection tracking; `tnl_pop`, the end of a
    /// tunnel) is always [`NoEnds::Recirculated`]. No byte is lost by that: the second pass finds a
    /// flow as every packet does, and that flow counts it, be it that its action is to drop.
    pub fn ends(&self) -> Result<(End, End), NoEnds> {
        if self.actions.contains("recirc(") || self.actions.contains("tnl_pop(") {
            return Err(NoEnds::Recirculated);
        }
        self.matches.ends()
    }

    /// The source's MAC and IPv4 address, if the flow shows both (an ARP request does, even
    /// where the switch keeps no IP addresses for other flows).
    pub fn station(&self) -> Option<(MacAddr, Ipv4Addr)> {
        self.matches.station()
    }

    /// The protocol and ports, if the switch matches on all three; fragments carry none.
    pub fn transport(&self) -> Option<Transport> {
        self.matches.transport()
    }

    /// The source's MAC address, if the flow matches on all of it.
    pub fn src_mac(&self) -> Option<MacAddr> {
        self.matches.eth_src
    }

    /// The destination's MAC address, if the flow matches on all of it.
    pub fn dst_mac(&self) -> Option<MacAddr> {
        self.matches.eth_dst
    }

    /// A number that stays the same in every dump of the same form and differs between flows.
    ///
    /// It is a hash, seeded because tenants choose part of what is hashed, of the ufid, or without
    /// one of the match. Two threads may hold a flow with the same match each (a port with
    /// several receive queues), so their title is part of it.
    pub fn id(&self, seed: u64) -> u64 {
        FixedState::with_seed(seed).hash_one((self.thread, self.ufid.unwrap_or(self.match_text)))
    }

    /// The flow's counter with its two ends.
    ///
    /// # Errors
    ///
    /// As [`DatapathFlow::ends`].
    pub fn counter(&self, seed: u64) -> Result<FlowCounter, NoEnds> {
        let counted = Counted {
            id: self.id(seed),
            packets: self.packets,
            bytes: self.bytes,
        };
        Ok(self.matches.counter(self.ends()?, counted))
    }
}
