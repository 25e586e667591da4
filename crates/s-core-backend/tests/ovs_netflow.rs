//! NetFlow of a real Open vSwitch: what is counted, and the record in the database.
//!
//! Needs root and Open vSwitch; without, it says so and passes, unless `S_CORE_REQUIRE_OVS=1`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ovs_lab;

use std::thread;
use std::time::Duration;

use ovs_lab::traffic::{udp_bursts, udp_ping_pong};
use ovs_lab::{Lab, address, mac};
use s_core_backend::ovs::netflow::NetFlowSource;
use s_core_backend::{End, FlowSource, FlowSourceError, Poll};

const DEADLINE: Duration = Duration::from_secs(10);

fn source(lab: &Lab) -> NetFlowSource {
    NetFlowSource::new(lab.run_dir(), lab.ovsdb(), "br0".parse().unwrap(), 7)
}

/// Bytes and packets from one VM to another.
fn one_way(poll: &Poll, from: u8, to: u8) -> (u64, u64) {
    let ends = (End::Ipv4(address(from)), End::Ipv4(address(to)));
    let flows = poll.counters.iter();
    let flows = flows.filter(|flow| (flow.src, flow.dst) == ends);
    flows.fold((0, 0), |sum, flow| {
        (sum.0 + flow.bytes, sum.1 + flow.packets)
    })
}

/// The NetFlow records of the database: what `ovs-vsctl` prints of them.
fn records(lab: &Lab) -> String {
    lab.vsctl("--columns=targets,external_ids list NetFlow")
}

#[test]
fn every_byte_and_packet_is_exported_and_the_record_goes_again() {
    let Some(lab) = Lab::new("NetFlow", 3) else {
        return;
    };
    let sum = lab.in_host({
        let mut source = source(&lab);
        move || {
            source.poll(DEADLINE).unwrap();
            source
        }
    });
    let mut source = sum.join().unwrap();
    assert!(records(&lab).contains("s-core"), "{}", records(&lab));
    // Three runs are three conversations of 17 datagrams each, the first of which the datapath's flows do not have.
    let bursts = (0..3).map(|_| udp_bursts(&lab, 1, 2, 1, 17, Duration::ZERO));
    let bytes: u64 = bursts.sum();
    let packets = bytes / (1000 + 42);
    let ping_pong = udp_ping_pong(&lab, 2, 3, 20);
    let mut poll = Poll::default();
    for _ in 0..60 {
        thread::sleep(Duration::from_millis(100));
        poll = source.poll(DEADLINE).unwrap();
        let pong = one_way(&poll, 2, 3).0 + one_way(&poll, 3, 2).0;
        if one_way(&poll, 1, 2).1 >= packets && pong >= ping_pong {
            break;
        }
    }
    assert_eq!(one_way(&poll, 1, 2), (bytes, packets), "{poll:?}");
    let pong = one_way(&poll, 2, 3).0 + one_way(&poll, 3, 2).0;
    assert_eq!(pong, ping_pong, "{poll:?}");
    let known = poll
        .counters
        .iter()
        .find(|flow| flow.src == End::Ipv4(address(1)));
    assert_eq!(known.unwrap().src_mac.unwrap().to_string(), mac(1));
    let exports = source.exports();
    assert_eq!((exports.lost, exports.refused, exports.no_room), (0, 0, 0));
    drop(source);
    assert_eq!(records(&lab), "");
}

#[test]
fn a_record_of_somebody_else_stays_and_a_bridge_made_again_exports_again() {
    let Some(lab) = Lab::new("NetFlow records", 2) else {
        return;
    };
    let foreign = "-- --id=@n create NetFlow targets=\"127.0.0.1:9\" -- set bridge br0 netflow=@n";
    lab.vsctl(foreign);
    let before = records(&lab);
    let mut source = source(&lab);
    let error = source.poll(DEADLINE).unwrap_err().to_string();
    assert!(error.contains("somebody else's"), "{error}");
    assert_eq!(records(&lab), before);
    lab.vsctl("clear bridge br0 netflow");
    source.poll(DEADLINE).unwrap();
    let own = records(&lab);
    assert!(own.contains("s-core"), "{own}");

    lab.vsctl("del-br br0");
    let error = source.poll(DEADLINE).unwrap_err();
    assert!(matches!(&error, FlowSourceError::Refused { .. }), "{error}");
    assert_eq!(records(&lab), "");
    lab.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev");
    source.poll(DEADLINE).unwrap();
    assert_eq!(records(&lab), own);
    // What another process left behind is taken over.
    lab.vsctl("set NetFlow . targets=\"127.0.0.1:9\"");
    source.poll(DEADLINE).unwrap();
    assert_eq!(records(&lab), own);
    // Somebody replaces it: then it is theirs.
    lab.vsctl("clear bridge br0 netflow");
    lab.vsctl(foreign);
    drop(source);
    assert_eq!(records(&lab), before);
}
