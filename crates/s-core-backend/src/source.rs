//! What S-CORE asks of a virtual switch.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use s_core_flow::MacAddr;

/// One end of a flow, as precisely as the switch tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// An IPv4 address.
    Ipv4(Ipv4Addr),
    /// An IPv6 address.
    Ipv6(Ipv6Addr),
    /// A MAC address, where the switch keeps no IP addresses for the flow.
    Mac(MacAddr),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(addr) => fmt::Display::fmt(addr, f),
            Self::Ipv6(addr) => fmt::Display::fmt(addr, f),
            Self::Mac(mac) => fmt::Display::fmt(mac, f),
        }
    }
}

/// The cumulative counter of one datapath flow: one direction, as long as the switch keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowCounter {
    /// Tells this datapath flow from every other of the same switch while it lives: equal in
    /// every poll, different for flows that differ in any match field.
    pub id: u64,
    /// Where the packets come from.
    pub src: End,
    /// Where the packets go.
    pub dst: End,
    /// The source's MAC address, if the switch matches on it.
    pub src_mac: Option<MacAddr>,
    /// The destination's MAC address, if the switch matches on it.
    pub dst_mac: Option<MacAddr>,
    /// IP protocol number and ports where the switch keeps them exactly.
    pub transport: Option<Transport>,
    /// Packets counted since the datapath flow was made.
    pub packets: u64,
    /// Bytes counted since the datapath flow was made, Ethernet headers included.
    pub bytes: u64,
}

/// IP protocol and ports of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Transport {
    /// The IP protocol number: 6 for TCP, 17 for UDP.
    pub protocol: u8,
    /// The source port.
    pub src_port: u16,
    /// The destination port.
    pub dst_port: u16,
}

/// Bytes that a poll saw and could not assign to a pair of ends, by reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Unattributed {
    /// Flows that match neither MAC nor IP addresses (for instance before conntrack).
    pub no_addresses: Skipped,
    /// Flows that are not unicast between two stations: broadcast and multicast.
    pub multicast: Skipped,
    /// Flows whose packets are counted again in a later flow (recirculation).
    pub recirculated: Skipped,
    /// Lines of a dump that could not be understood.
    pub malformed: Skipped,
}

/// How many flows and bytes were left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Skipped {
    /// Datapath flows.
    pub flows: u64,
    /// Bytes of these flows.
    pub bytes: u64,
}

impl Skipped {
    /// Counts one more flow.
    pub fn add(&mut self, bytes: u64) {
        self.flows += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// One look at all counters of a switch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Poll {
    /// The counters of every flow whose two ends are known.
    pub counters: Vec<FlowCounter>,
    /// What was left out.
    pub unattributed: Unattributed,
}

/// A flow source could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlowSourceError {
    /// The socket or file could not be opened, read or written.
    #[error("cannot read flows from {what}: {source}")]
    Unreachable {
        /// Which socket or file.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// No complete answer within the deadline.
    #[error("{what} gave no complete answer within {after:?}")]
    DeadlineExceeded {
        /// Which socket.
        what: String,
        /// How long it was given.
        after: Duration,
    },
    /// The peer answered with an error.
    #[error("{what} refused: {message}")]
    Refused {
        /// Which socket and method.
        what: String,
        /// What it said.
        message: String,
    },
    /// The answer was not of the form expected, or longer than allowed.
    #[error("cannot understand the answer of {what}: {message}")]
    Malformed {
        /// Which socket or file.
        what: String,
        /// What is wrong, and where.
        message: String,
    },
}

/// What tells the byte counters of the flows between VMs; Open vSwitch is one (thesis 4.2.2).
pub trait FlowSource: Send + fmt::Debug {
    /// Reads all counters once; blocks at most `deadline`.
    ///
    /// # Errors
    ///
    /// [`FlowSourceError`] if the counters could not be read whole; nothing of a partial answer is returned.
    fn poll(&mut self, deadline: Duration) -> Result<Poll, FlowSourceError>;
}
