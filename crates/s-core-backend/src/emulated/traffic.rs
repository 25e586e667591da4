//! How many bytes pairs of VMs have exchanged, and what the servers' switches show of it.

use std::time::Duration;

use s_core_model::{Rate, VmId};

use super::{DataCentreError, mac_of};
use crate::{End, FlowCounter};

/// How long a switch shows a flow without traffic before it forgets it: Open vSwitch's default `max-idle`.
const MAX_IDLE: Duration = Duration::from_secs(10);
/// Bytes of a packet, Ethernet header included, where packets are counted.
const PACKET_BYTES: u64 = 1514;

/// Two VMs, the lower id first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair(VmId, VmId);

impl Pair {
    pub(super) fn new(a: VmId, b: VmId) -> Result<Self, DataCentreError> {
        if a == b {
            return Err(DataCentreError::SameVm(a));
        }
        Ok(Self(a.min(b), a.max(b)))
    }

    pub(super) fn ends(self) -> [VmId; 2] {
        [self.0, self.1]
    }
}

/// The traffic of a pair: constant since the rate was last changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct PairTraffic {
    rate: Rate,
    since: Duration,
    bytes_before: f64,
}

impl PairTraffic {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            rate: Rate::ZERO,
            since: now,
            bytes_before: 0.0,
        }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    pub(super) fn set_rate(&mut self, rate: Rate, now: Duration) {
        self.bytes_before = self.bytes(now);
        self.since = now;
        self.rate = rate;
    }

    fn bytes(&self, now: Duration) -> f64 {
        let span = now.saturating_sub(self.since).as_secs_f64();
        self.bytes_before + self.rate.bytes_per_second() * span
    }

    /// Bytes exchanged until `now`, both directions together; never falls.
    pub(super) fn total(&self, now: Duration) -> u64 {
        self.bytes(now) as u64
    }
}

/// What the switch of one server counts of one pair.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// Tells this view from every other of the data centre.
    serial: u64,
    /// Bytes counted until `state` was entered.
    counted: u64,
    state: ViewState,
}

#[derive(Clone, Copy, Debug)]
enum ViewState {
    /// One of the VMs runs here; the pair's total when counting began.
    Counting { from: u64 },
    /// Neither runs here any more, since this time.
    Idle { since: Duration },
}

impl View {
    /// A view that begins to count at 0 when the pair has exchanged `total` bytes.
    pub(super) fn new(serial: u64, total: u64) -> Self {
        Self {
            serial,
            counted: 0,
            state: ViewState::Counting { from: total },
        }
    }

    /// Goes on counting where it had stopped.
    pub(super) fn resume(&mut self, total: u64) {
        if let ViewState::Idle { .. } = self.state {
            self.state = ViewState::Counting { from: total };
        }
    }

    /// Stops counting.
    pub(super) fn stop(&mut self, total: u64, now: Duration) {
        self.counted = self.bytes(total);
        self.state = ViewState::Idle { since: now };
    }

    /// Whether the switch forgets the flow after it has shown it now.
    pub(super) fn is_outdated(&self, now: Duration) -> bool {
        match self.state {
            ViewState::Counting { .. } => false,
            ViewState::Idle { since } => now.saturating_sub(since) >= MAX_IDLE,
        }
    }

    fn bytes(&self, total: u64) -> u64 {
        match self.state {
            ViewState::Counting { from } => self.counted.saturating_add(total.saturating_sub(from)),
            ViewState::Idle { .. } => self.counted,
        }
    }

    /// Both directions' counters when the pair has exchanged `total` bytes, half of them each way.
    pub(super) fn counters(&self, pair: Pair, total: u64, seed: u64) -> [FlowCounter; 2] {
        let [a, b] = pair.ends();
        let bytes = self.bytes(total);
        let back = bytes / 2;
        let counter = |direction, src: VmId, dst: VmId, bytes: u64| FlowCounter {
            id: flow_id(self.serial * 2 + direction, seed),
            src: End::Ipv4(src.addr()),
            dst: End::Ipv4(dst.addr()),
            src_mac: Some(mac_of(src)),
            dst_mac: Some(mac_of(dst)),
            transport: None,
            packets: bytes.div_ceil(PACKET_BYTES),
            bytes,
        };
        [counter(0, a, b, bytes - back), counter(1, b, a, back)]
    }
}

/// An id that looks random and is different for different numbers: to multiply by an odd number modulo 2^64
/// takes different numbers to different numbers.
fn flow_id(number: u64, seed: u64) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15; // 2^64 divided by the golden ratio
    number.wrapping_add(seed).wrapping_mul(ODD)
}
