//! The kernel's datapath by netlink: what a kernel answered, and what the one of this machine says.

#![cfg(feature = "netlink")]

use std::path::Path;
use std::time::Duration;

use s_core_backend::ovs::dump::read_dump;
use s_core_backend::ovs::{MacTable, OvsFlowSource, netlink};
use s_core_backend::{FlowCounter, FlowSource, Poll, UnattributedCounter};

const SEED: u64 = 7;

/// What Linux 6.1 answered to a list of its flows, and what Open vSwitch 3.1 printed of them a moment later.
#[cfg(target_endian = "little")]
const RECORDED: (&[u8], &str) = (
    include_bytes!("data/ovs/kernel-netlink.bin"),
    include_str!("data/ovs/kernel-netlink.txt"),
);

/// Flows without their ids and counters, which differ between the two forms and moments.
fn flows(poll: &Poll) -> Vec<String> {
    let ends = |flow: &FlowCounter| {
        let flow = FlowCounter {
            id: 0,
            packets: 0,
            bytes: 0,
            ..*flow
        };
        format!("{flow:?}")
    };
    let none = |flow: &UnattributedCounter| format!("{:?}", flow.reason);
    let mut flows: Vec<_> = poll.counters.iter().map(ends).collect();
    flows.extend(poll.without_ends.iter().map(none));
    flows.sort_unstable();
    flows
}

#[test]
#[cfg(target_endian = "little")]
fn a_real_kernel_and_vswitchd_tell_the_same() {
    let (bytes, text) = RECORDED;
    let mut stations = [(); 2].map(|()| MacTable::new(100, SEED));
    let told = netlink::read_dump(bytes, SEED, &mut stations[0]).unwrap();
    let printed = read_dump(text, SEED, &mut stations[1]).unwrap().poll;
    assert_eq!(flows(&told), flows(&printed));
    assert!(told.counters.len() >= 4, "{told:?}");
    assert_eq!(told.unattributed.malformed.flows, 0);
    let bytes = |poll: &Poll| poll.counters.iter().map(|flow| flow.bytes).sum::<u64>();
    let (before, after) = (bytes(&told), bytes(&printed));
    assert!(
        0 < before && before <= after && after < 2 * before,
        "{before} {after}"
    );
    for flow in &told.counters {
        for mac in [flow.src_mac, flow.dst_mac].into_iter().flatten() {
            assert_eq!(stations[0].address(mac), stations[1].address(mac));
        }
    }
}

#[test]
fn a_kernel_without_the_module_is_named() {
    if Path::new("/sys/module/openvswitch").exists() {
        return;
    }
    let mut source = OvsFlowSource::new("/run/openvswitch", SEED).with_netlink();
    let error = source.poll(Duration::from_secs(5)).unwrap_err().to_string();
    assert!(error.contains("load the module openvswitch"), "{error}");
}
