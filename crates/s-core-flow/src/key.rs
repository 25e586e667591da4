//! What names a flow, and what names a flow together with its reverse.

use core::net::Ipv4Addr;

use crate::hash::SeededHash;

/// What names a flow: one direction of traffic, as Open vSwitch's datapath counts it (thesis
/// 4.2.2).
///
/// ```
/// use core::net::Ipv4Addr;
/// use s_core_flow::FlowKey;
///
/// let key = FlowKey {
///     src: Ipv4Addr::new(10, 0, 0, 1),
///     dst: Ipv4Addr::new(10, 0, 0, 2),
///     protocol: 6,
///     src_port: 40_000,
///     dst_port: 80,
/// };
/// assert_eq!(key.reversed().src_port, 80);
/// assert_eq!(key.reversed().reversed(), key);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// Where the packets come from.
    pub src: Ipv4Addr,
    /// Where the packets go.
    pub dst: Ipv4Addr,
    /// The IP protocol number (6 is TCP, 17 is UDP), or 0 where the switch keeps pairs of addresses
    /// only.
    pub protocol: u8,
    /// The source port, or 0 where there is none.
    pub src_port: u16,
    /// The destination port, or 0 where there is none.
    pub dst_port: u16,
}

impl FlowKey {
    /// Everything that goes from `src` to `dst`, where the switch keeps neither protocol nor ports.
    pub const fn ip_pair(src: Ipv4Addr, dst: Ipv4Addr) -> Self {
        Self {
            src,
            dst,
            protocol: 0,
            src_port: 0,
            dst_port: 0,
        }
    }

    /// The flow that answers this one: source and destination exchanged.
    pub const fn reversed(self) -> Self {
        Self {
            src: self.dst,
            dst: self.src,
            protocol: self.protocol,
            src_port: self.dst_port,
            dst_port: self.src_port,
        }
    }

    /// The name that this flow shares with its reverse, and which of the two it is.
    ///
    /// A flow that is its own reverse goes upward.
    pub(crate) fn undirected(self) -> (UndirectedKey, Direction) {
        if (self.src, self.src_port) <= (self.dst, self.dst_port) {
            (UndirectedKey(self), Direction::Upward)
        } else {
            (UndirectedKey(self.reversed()), Direction::Downward)
        }
    }
}

/// Which way a flow goes between the two ends of its [`UndirectedKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the lower end to the higher.
    Upward = 0,
    /// From the higher end to the lower.
    Downward = 1,
}

/// A flow and its reverse under one name: the key whose source is the lower end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UndirectedKey(FlowKey);

impl UndirectedKey {
    pub(crate) const fn low(&self) -> Ipv4Addr {
        self.0.src
    }

    pub(crate) const fn high(&self) -> Ipv4Addr {
        self.0.dst
    }

    /// The two ends, or the one where both are the same address.
    pub(crate) fn ends(&self) -> impl Iterator<Item = Ipv4Addr> + use<> {
        let (low, high) = (self.low(), self.high());
        [Some(low), (high != low).then_some(high)]
            .into_iter()
            .flatten()
    }

    pub(crate) const fn directed(&self, direction: Direction) -> FlowKey {
        match direction {
            Direction::Upward => self.0,
            Direction::Downward => self.0.reversed(),
        }
    }

    pub(crate) fn hash(&self, hash: &SeededHash) -> u64 {
        let key = &self.0;
        let addresses = u64::from(key.src.to_bits()) << 32 | u64::from(key.dst.to_bits());
        let transport =
            u64::from(key.src_port) << 24 | u64::from(key.dst_port) << 8 | u64::from(key.protocol);
        hash.words(addresses, transport)
    }
}
