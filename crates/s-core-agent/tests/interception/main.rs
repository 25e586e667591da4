//! Agents that find VMs by the VMs' own addresses, at real bridges of Open vSwitch and of Linux, in network namespaces.
//!
//! Needs root, iproute2, nftables and, for Open vSwitch, that; without, it says so and passes, unless
//! `S_CORE_REQUIRE_OVS=1`.
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics says where; clippy.toml exempts only test functions"
)]

mod host;
mod lab;
mod scenario;

use lab::{Kind, Lab};

#[test]
fn requests_for_vms_reach_the_agents_through_open_vswitch() {
    if let Some(lab) = Lab::new("interception at Open vSwitch", Kind::OpenVSwitch) {
        scenario::run(&lab);
    }
}

#[test]
fn requests_for_vms_reach_the_agents_through_a_linux_bridge() {
    if let Some(lab) = Lab::new("interception at a Linux bridge", Kind::LinuxBridge) {
        scenario::run(&lab);
    }
}
