//! What the flow sources do when a real Open vSwitch and its VMs misbehave.
//!
//! Needs root and Open vSwitch; without, it says so and passes, unless `S_CORE_REQUIRE_OVS=1`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ovs_lab;

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ovs_lab::log::Log;
use ovs_lab::traffic::udp_ping_pong;
use ovs_lab::{Lab, address, mac};
use rustix::process::Signal;
use s_core_backend::ovs::netflow::NetFlowSource;
use s_core_backend::ovs::{IP_PAIR_RULE, OvsFlowSource};
use s_core_backend::{End, FlowSource, FlowSourceError, Poll};

const DEADLINE: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_millis(300);

fn datapath(lab: &Lab) -> OvsFlowSource {
    OvsFlowSource::new(lab.run_dir(), 7).with_ovsdb(lab.ovsdb())
}

fn netflow(lab: &Lab) -> NetFlowSource {
    NetFlowSource::new(lab.run_dir(), lab.ovsdb(), "br0".parse().unwrap(), 7)
}

/// Sends a few datagrams from VM `n`; nobody need be there to receive them.
fn send(lab: &Lab, n: u8, to: Ipv4Addr) {
    let work = move || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for _ in 0..5 {
            socket.send_to(&[0; 100], (to, 7000)).unwrap();
            thread::sleep(Duration::from_millis(10));
        }
    };
    lab.in_vm(n, work).join().unwrap();
}

fn has(poll: &Poll, src: End, dst: End) -> bool {
    let mut flows = poll.counters.iter();
    flows.any(|flow| (flow.src, flow.dst) == (src, dst))
}

#[test]
fn a_switch_that_hangs_costs_the_deadline_and_answers_again() {
    let Some(lab) = Lab::new("a switch that hangs", 1) else {
        return;
    };
    let sources: [Box<dyn FlowSource>; 2] = [Box::new(datapath(&lab)), Box::new(netflow(&lab))];
    for mut source in sources {
        source.poll(DEADLINE).unwrap();
        lab.signal("ovs-vswitchd", Signal::STOP);
        let started = Instant::now();
        let error = source.poll(SOON).unwrap_err();
        assert!(
            matches!(error, FlowSourceError::DeadlineExceeded { .. }),
            "{error}"
        );
        assert!(started.elapsed() < SOON * 3);
        lab.signal("ovs-vswitchd", Signal::CONT);
        source.poll(DEADLINE).unwrap();
    }
}

#[test]
fn without_its_database_the_switch_is_read_all_the_same() {
    let Some(lab) = Lab::new("a database that is gone", 2) else {
        return;
    };
    lab.add_rule(IP_PAIR_RULE);
    let (mut switch, mut netflow) = (datapath(&lab), netflow(&lab));
    // It hangs: a poll takes no longer than the second that the database may take.
    lab.signal("ovsdb-server", Signal::STOP);
    let started = Instant::now();
    datapath(&lab).poll(DEADLINE).unwrap();
    assert!(started.elapsed() < Duration::from_secs(3));
    assert!(netflow.poll(SOON).is_err());
    lab.signal("ovsdb-server", Signal::CONT);
    netflow.poll(DEADLINE).unwrap();

    // It goes away and comes back, while the datapath has its flows.
    udp_ping_pong(&lab, 1, 2, 3);
    lab.stop("ovsdb-server");
    let [a, b] = [1, 2].map(|n| End::Ipv4(address(n)));
    let mut read = 0;
    let lines = Log::of(|| {
        for _ in 0..40 {
            read += u32::from(has(&switch.poll(DEADLINE).unwrap(), a, b));
        }
    });
    // A busy switch gives up flows of a few packets when it looks at its rules anew.
    assert!(read > 0, "no poll had the flow");
    assert_eq!(lines.len(), 1, "said once: {lines:?}");
    assert!(netflow.poll(DEADLINE).is_err());
    lab.start_again("ovsdb-server");
    netflow.poll(DEADLINE).unwrap();
}

#[test]
fn ports_that_change_their_numbers_change_nothing() {
    let Some(lab) = Lab::new("port numbers", 2) else {
        return;
    };
    lab.add_rule(IP_PAIR_RULE);
    let mut netflow = lab
        .in_host({
            let mut source = netflow(&lab);
            move || {
                source.poll(DEADLINE).unwrap();
                source
            }
        })
        .join()
        .unwrap();
    let mut datapath = datapath(&lab);
    for n in [1, 2] {
        lab.vsctl(&format!("del-port vif{n}.0"));
    }
    // Each has the other's number now.
    for n in [1, 2] {
        lab.add_port(n, &format!(" ofport_request={}", 3 - n));
    }
    netflow.poll(DEADLINE).unwrap();
    udp_ping_pong(&lab, 1, 2, 3);
    let [a, b] = [1, 2].map(|n| End::Ipv4(address(n)));
    assert!(has(&datapath.poll(DEADLINE).unwrap(), a, b));
    let deadline = Instant::now() + DEADLINE;
    let flow = loop {
        let poll = netflow.poll(DEADLINE).unwrap();
        if let Some(flow) = poll.counters.iter().find(|flow| flow.src == a) {
            break *flow;
        }
        assert!(Instant::now() < deadline, "{poll:?}");
        thread::sleep(SOON);
    };
    let macs = (flow.src_mac.unwrap(), flow.dst_mac.unwrap());
    assert_eq!((macs.0.to_string(), macs.1.to_string()), (mac(1), mac(2)));
}

#[test]
fn a_vm_that_changes_its_address_is_known_by_the_new_one_after_a_while() {
    let Some(lab) = Lab::new("a VM's new address", 2) else {
        return;
    };
    lab.add_rule(IP_PAIR_RULE);
    lab.vsctl("set Open_vSwitch . other_config:max-idle=500");
    let mut source = datapath(&lab);
    udp_ping_pong(&lab, 1, 2, 3);
    let [old, new, peer] = [1, 77, 2].map(|n| End::Ipv4(address(n)));
    assert!(has(&source.poll(DEADLINE).unwrap(), old, peer));
    lab.change_address(1, 77);
    // One packet under another name makes it nobody else.
    send(&lab, 1, address(2));
    assert!(has(&source.poll(DEADLINE).unwrap(), old, peer));
    thread::sleep(Duration::from_millis(1200));
    for _ in 0..60 {
        source.poll(DEADLINE).unwrap();
    }
    send(&lab, 1, address(2));
    let poll = source.poll(DEADLINE).unwrap();
    assert!(has(&poll, new, peer) && !has(&poll, old, peer), "{poll:?}");
}

#[test]
fn two_vms_with_one_address_stay_two() {
    let Some(lab) = Lab::new("one address twice", 3) else {
        return;
    };
    lab.add_rule(IP_PAIR_RULE);
    let mut source = datapath(&lab);
    udp_ping_pong(&lab, 1, 3, 3);
    // VM 2 takes VM 1's address.
    lab.change_address(2, 1);
    send(&lab, 2, address(3));
    let poll = source.poll(DEADLINE).unwrap();
    let macs: std::collections::BTreeSet<_> = poll
        .counters
        .iter()
        .filter(|flow| flow.src == End::Ipv4(address(1)) && flow.dst == End::Ipv4(address(3)))
        .filter_map(|flow| flow.src_mac.map(|mac| mac.to_string()))
        .collect();
    // The agent tells them apart by the interface, and takes neither for that VM (inventory.rs).
    assert_eq!(Vec::from_iter(macs), [mac(1), mac(2)], "{poll:?}");
}

#[test]
fn a_flow_limit_that_is_reached_is_seen() {
    let Some(lab) = Lab::new("the flow limit", 2) else {
        return;
    };
    lab.vsctl("set Open_vSwitch . other_config:flow-limit=1000");
    // A flow for each port.
    lab.add_rule("priority=20,udp,actions=move:NXM_OF_UDP_DST[]->NXM_NX_REG0[0..15],NORMAL");
    udp_ping_pong(&lab, 1, 2, 1);
    let over = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&over);
    let sender = lab.in_vm(1, move || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for port in (10_000..11_500_u16).cycle() {
            // Nobody is there, and an answer that says so is an error of the next call.
            let _ = socket.send_to(&[0; 8], (address(2), port));
            if port % 10 == 0 {
                thread::sleep(Duration::from_millis(2));
            }
            if ended.load(Ordering::Relaxed) {
                break;
            }
        }
    });
    // The switch throws flows out again, sooner or later: they are looked at while they are made.
    let lines = Log::of(|| {
        let mut source = datapath(&lab);
        for _ in 0..150 {
            source.poll(DEADLINE).unwrap();
            thread::sleep(Duration::from_millis(10));
        }
    });
    over.store(true, Ordering::Relaxed);
    sender.join().unwrap();
    let mut limit = lines
        .iter()
        .filter(|line| line.contains("as many flows as it may"));
    assert!(limit.next().is_some(), "{lines:?}");
}
