//! What S-CORE asks of a virtual switch.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use s_core_flow::{CounterDeltas, Delta, MacAddr};

use crate::ProgramError;

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

impl Unattributed {
    /// Counts a flow that has no ends.
    pub fn add(&mut self, reason: NoEnds, bytes: u64) {
        let skipped = match reason {
            NoEnds::NoAddresses => &mut self.no_addresses,
            NoEnds::Multicast => &mut self.multicast,
            NoEnds::Recirculated => &mut self.recirculated,
        };
        skipped.add(bytes);
    }
}

/// Why a flow tells no pair of ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEnds {
    /// It matches neither on both MAC addresses nor on both IP addresses.
    #[error("the flow matches on no pair of addresses")]
    NoAddresses,
    /// It is not between two stations: broadcast, multicast, or from a station to itself.
    #[error("the flow is not between two stations")]
    Multicast,
    /// Its packets come back into the datapath and are counted there, in another flow.
    #[error("the flow's packets are counted again in another flow")]
    Recirculated,
}

/// The cumulative counter of a datapath flow whose bytes belong to no pair of ends.
///
/// What the switch does with a flow may change, and then its bytes begin to belong to a pair: only a counter
/// that was read before tells which of them are new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnattributedCounter {
    /// As [`FlowCounter::id`].
    pub id: u64,
    /// Why it has no ends.
    pub reason: NoEnds,
    /// Packets counted since the datapath flow was made.
    pub packets: u64,
    /// Bytes counted since the datapath flow was made.
    pub bytes: u64,
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
    /// The counters of all other flows.
    pub without_ends: Vec<UnattributedCounter>,
    /// What was left out, as counted since each flow was made.
    pub unattributed: Unattributed,
}

impl Poll {
    /// Takes in a flow, with its two ends or without.
    pub(crate) fn add(&mut self, flow: Result<FlowCounter, UnattributedCounter>) {
        match flow {
            Ok(counter) => self.counters.push(counter),
            Err(counter) => {
                self.unattributed.add(counter.reason, counter.bytes);
                self.without_ends.push(counter);
            }
        }
    }

    /// Tells `each` what every flow with two ends has counted since the last poll, and returns the same of
    /// those without, by reason.
    ///
    /// `counters` learns of all flows. Where lines of the dump could not be understood, the flows that it
    /// remembers and did not see are kept ([`OpenPoll::end_incomplete`](s_core_flow::OpenPoll::end_incomplete)).
    ///
    /// ```
    /// use s_core_backend::ovs::{MacTable, dump};
    /// use s_core_flow::CounterDeltas;
    ///
    /// let mut counters = CounterDeltas::new(1000, 7);
    /// let mut stations = MacTable::new(1000, 7);
    /// let mut new = 0;
    /// for bytes in [900_000, 915_000] {
    ///     let line = format!("eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02), packets:{bytes}, bytes:{bytes}, used:0.100s, actions:2");
    ///     let poll = dump::read_dump(&line, 7, &mut stations)?.poll;
    ///     poll.count(&mut counters, |_flow, delta| new += delta.bytes);
    /// }
    /// assert_eq!(new, 15_000); // the first poll only tells where the counter stood
    /// # Ok::<(), dump::NotADump>(())
    /// ```
    pub fn count(
        &self,
        counters: &mut CounterDeltas,
        mut each: impl FnMut(&FlowCounter, Delta),
    ) -> Unattributed {
        let mut unattributed = Unattributed {
            malformed: self.unattributed.malformed,
            ..Unattributed::default()
        };
        let mut poll = counters.begin_poll();
        for flow in &self.without_ends {
            let delta = poll.delta(flow.id, flow.packets, flow.bytes);
            unattributed.add(flow.reason, delta.bytes);
        }
        for flow in &self.counters {
            each(flow, poll.delta(flow.id, flow.packets, flow.bytes));
        }
        if unattributed.malformed.flows == 0 {
            poll.end();
        } else {
            poll.end_incomplete();
        }
        unattributed
    }
}

/// A flow source could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlowSourceError {
    /// The socket or file could not be opened, read or written.
    #[error("cannot reach {what}: {source}")]
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

impl From<ProgramError> for FlowSourceError {
    fn from(error: ProgramError) -> Self {
        match error {
            ProgramError::Unreachable { program, source } => Self::Unreachable {
                what: program.to_owned(),
                source,
            },
            ProgramError::DeadlineExceeded { program, after } => Self::DeadlineExceeded {
                what: program.to_owned(),
                after,
            },
            ProgramError::Failed {
                command,
                status,
                message,
            } => Self::Refused {
                what: command,
                message: format!("{status}: {message}"),
            },
            ProgramError::Malformed { command, message } => Self::Malformed {
                what: command,
                message,
            },
        }
    }
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
