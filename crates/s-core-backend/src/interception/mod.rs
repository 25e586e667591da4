//! Bringing packets for a VM's address and the agents' port to the control domain (thesis 4.2.3), and keeping VMs away
//! from that port.
//!
//! An agent that looks for the host of a VM can ask the VM's own address, if the control domain of each host catches
//! such packets. The thesis redirects them by `iptables`, which does not see what a bridge of Open vSwitch passes on.
//! Two implementations of [`Interception`] do it today, for UDP and TCP:
//!
//! - [`OpenFlowTproxy`], for Open vSwitch: OpenFlow rules turn such frames to the bridge's own port.
//! - [`BridgeNft`], for a plain Linux bridge: an nftables chain of the bridge family turns them to the bridge itself.
//!
//! From Open vSwitch nftables hands the packets to the agent's sockets by TPROXY, and a routing table that only packets
//! with a mark see makes them this host's own: no address is translated and nothing is remembered of them. The
//! sockets need `IP_TRANSPARENT`.
//!
//! At a Linux bridge TPROXY cannot be relied on: where `br_netfilter` is active, it would run before the bridge hands the
//! packet to the IP layer, which takes the socket off it. There the destination is translated, as the thesis's redirect
//! does. Unlike the thesis's, this does not need `br_netfilter`, which takes *all* packets of the VMs through the host's IP
//! firewall and connection tracking; only packets for VMs and the agents' port get there. Connection tracking gives answers on the
//! same pair of addresses and ports the VM's address as their source, and no agent takes a frame from an address that is not
//! its sender's ([docs/security.md]): so the question has to leave from another port than the one that the answer is sent
//! to. Agents do so.
//!
//! [docs/security.md]: https://github.com/s-core/s-core/blob/main/docs/security.md
//!
//! # Owned, and removed by whoever comes next
//!
//! | what | how it is known |
//! |---|---|
//! | OpenFlow rules | the upper 24 bits of the cookie, [`COOKIE_OWNER`]; priorities [`DROP_PRIORITY`] and [`INTERCEPT_PRIORITY`] |
//! | nftables | the tables `ip s_core` and `bridge s_core` |
//! | IP rule and route | table and mark [`NUMBER`], rule [`PREFERENCE`], protocol [`ROUTE_PROTOCOL`] |
//!
//! Nothing else is changed. [`Interception::keep`] compares what is there with what should be, and changes only what
//! differs, all of it in one transaction of the switch and one of nftables. So it also removes what a process that was killed has
//! left, and puts back what somebody has taken away.
//!
//! # What they need of the network
//!
//! The VMs' addresses and the control domain's have to be on one untagged network, or routed to each other through
//! the bridge. Where the control domain has another interface for the agents, `rp_filter` of the bridge must
//! not be strict (1).
//!
//! Rules that look at a port make Open vSwitch tell flows by the first bits of their ports, up to where these differ
//! from the agents' port. So a pair of VMs has several flows in the datapath instead of one: with the
//! [IP-pair rule](crate::ovs#the-ip-pair-rule) 8 instead of 1 in each direction for a mix of 18 services and random ports, at
//! most 16 for each of UDP and TCP. Bytes are counted as before, but for the first packet of each.

mod bridge;
mod config;
mod delivery;
mod error;
mod ledger;
mod nft;
mod openflow;
mod rules;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use s_core_model::VmId;

pub use bridge::BridgeNft;
pub use config::InterceptionConfig;
pub use delivery::{NUMBER, PREFERENCE, ROUTE_PROTOCOL};
pub use error::InterceptionError;
pub use openflow::OpenFlowTproxy;
pub use rules::{COOKIE_OWNER, DROP_PRIORITY, INTERCEPT_PRIORITY};

/// What brings packets for a VM's address and the agents' port to the control domain, and drops those that VMs send
/// to that port.
///
/// All calls block, but hardly longer than the deadline given. An implementation keeps no state that matters: what is
/// there is read each time, so that one process can go on where another was killed.
pub trait Interception: Send + Sync + fmt::Debug {
    /// Whether packets reach the agent with the VM's address, so that its sockets need `IP_TRANSPARENT`.
    fn is_transparent(&self) -> bool;

    /// Makes the rules be those for these VMs, and says what was there before.
    ///
    /// # Errors
    ///
    /// [`InterceptionError`]. What could not be changed is as before; the call can be repeated.
    fn keep(
        &self,
        vms: &BTreeSet<VmId>,
        deadline: Duration,
    ) -> Result<InterceptionState, InterceptionError>;

    /// Says what is there, and changes nothing.
    ///
    /// # Errors
    ///
    /// [`InterceptionError`] if it cannot be read.
    fn verify(
        &self,
        vms: &BTreeSet<VmId>,
        deadline: Duration,
    ) -> Result<InterceptionState, InterceptionError>;

    /// Removes all rules, whoever has set them: this process or one before it.
    ///
    /// # Errors
    ///
    /// [`InterceptionError`]. Everything that can be removed is removed all the same.
    fn remove(&self, deadline: Duration) -> Result<(), InterceptionError>;
}

/// The rules as they were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterceptionState {
    /// How many rules, or addresses in them, should have been there and were not.
    pub missing: usize,
    /// How many were there and should not have been.
    pub unwanted: usize,
    /// Packets for VMs that were brought to the control domain, since this object was made or, where its rules were
    /// there before, since they were set.
    pub intercepted: u64,
    /// Packets from VMs to the agents' port that were dropped, likewise.
    pub dropped: u64,
}

impl InterceptionState {
    /// Whether everything was as it should be.
    pub const fn is_in_place(&self) -> bool {
        self.missing == 0 && self.unwanted == 0
    }
}
