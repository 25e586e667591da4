//! Open vSwitch as a flow source (thesis 4.2.2).
//!
//! [`OvsFlowSource`] asks a running `ovs-vswitchd` for its datapath flows over the
//! [`unixctl`] socket and reads the answer with the parser in [`dump`]. [`ovsdb`] tells which
//! interface belongs to which VM, and a [`MacTable`] holds which address goes with which MAC.
//! [`netflow::NetFlowSource`] reads what a bridge exports instead: exact, and dearer for the switch. With the feature
//! `netlink`, the flows of the kernel's datapath can also be had from the kernel (`OvsFlowSource::with_netlink`).
//!
//! # The IP-pair rule
//!
//! With the NORMAL action alone the switch keeps only MAC addresses for its flows. This rule
//! makes it keep the exact pair of IPv4 addresses too, and no ports, so that the number of flows stays that of the
//! talking pairs:
//!
//! ```text
//! cookie=0x4950504149520001,priority=1,ip,actions=move:NXM_OF_IP_SRC[]->NXM_NX_REG0[],move:NXM_OF_IP_DST[]->NXM_NX_REG1[],NORMAL
//! ```
//!
//! [`OvsFlowSource::with_ip_pair_rule`] keeps it on a bridge whose rule of priority 0 is NORMAL alone, and
//! [`OvsFlowSource::with_ip_pair_rule_unless_set`] does so beside a program that may keep it too; `ovs-ofctl del-flows
//! BRIDGE cookie=0x4950504149520001/-1` takes it away where a process was killed. On a bridge with other rules, set one
//! that suits it by hand: all that counts is that both addresses are moved. IPv6 needs a
//! rule of its own: `ipv6`, `NXM_NX_IPV6_SRC[]->NXM_NX_XXREG0[]` and
//! `NXM_NX_IPV6_DST[]->NXM_NX_XXREG1[]`.
//!
//! # What the counters leave out
//!
//! The packet that makes a datapath flow is not in its counters, and a flow that stays idle
//! goes away after 10 s (the `max-idle` setting) and starts again at 0. Poll more often than
//! that, and sum the differences between polls (`s_core_flow::CounterDeltas`).

pub mod dump;
pub mod netflow;
#[cfg(feature = "netlink")]
#[cfg_attr(docsrs, doc(cfg(feature = "netlink")))]
pub mod netlink;
pub mod ovsdb;
pub mod unixctl;

mod attachment;
mod flow_limit;
mod ip_pair_rule;
mod json;
mod mac_table;
mod matches;
mod openflow;
mod socket;
mod source;

pub use attachment::Attachments;
pub use ip_pair_rule::{IP_PAIR_COOKIE, IP_PAIR_RULE};
pub use mac_table::{MacTable, attribute};
pub(crate) use openflow::OpenFlow;
pub use source::OvsFlowSource;
