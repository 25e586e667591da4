//! Which IPv4 address goes with which MAC address.

use std::net::Ipv4Addr;

use s_core_backend::ovs::{MacTable, attribute, dump};
use s_core_flow::MacAddr;

fn mac(last: u8) -> MacAddr {
    MacAddr::new([2, 0, 0, 0, 0, last])
}

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

#[test]
fn the_latest_poll_counts() {
    let mut table = MacTable::new(10, 7);
    for last in [1, 2, 1] {
        table.begin_poll();
        table.learn(mac(1), ip(last));
        table.learn(mac(1), ip(last));
        assert_eq!(table.address(mac(1)), Some(ip(last)));
    }
}

#[test]
fn a_router_is_no_station() {
    let mut table = MacTable::new(10, 7);
    table.begin_poll();
    table.learn(mac(1), ip(1));
    table.learn(mac(1), ip(2));
    assert_eq!(table.address(mac(1)), None);
    for _ in 0..59 {
        table.begin_poll();
        table.learn(mac(1), ip(1));
        assert_eq!(table.address(mac(1)), None);
    }
    table.begin_poll();
    table.learn(mac(1), ip(1));
    assert_eq!(table.address(mac(1)), Some(ip(1)));
}

#[test]
fn an_attached_interface_is_one_vm_however_many_addresses_it_has() {
    let mut table = MacTable::new(0, 7);
    table.attach(mac(1));
    assert_eq!(table.address(mac(1)), None);
    for order in [[3, 2], [2, 3]] {
        table.begin_poll();
        for last in order {
            table.learn(mac(1), ip(last));
        }
        assert_eq!(table.address(mac(1)), Some(ip(2)));
    }
}

#[test]
fn the_table_is_bounded_and_takes_no_groups() {
    let mut table = MacTable::new(2, 7);
    table.begin_poll();
    table.learn(MacAddr::new([1, 0, 0x5e, 0, 0, 1]), ip(1));
    table.attach(MacAddr::new([0xff; 6]));
    assert!(table.is_empty());
    for last in 1..=5 {
        table.learn(mac(last), ip(last));
    }
    assert_eq!((table.len(), table.refused()), (2, 3));
    table.learn(mac(1), ip(1));
    assert_eq!((table.address(mac(1)), table.refused()), (Some(ip(1)), 3));
}

#[test]
fn what_a_flow_teaches() {
    let rows = [
        (
            "eth(src=02:00:00:00:00:01,dst=ff:ff:ff:ff:ff:ff),arp(sip=10.0.0.1,tip=10.0.0.2,op=1)",
            true,
        ),
        (
            "eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),ipv4(src=10.0.0.1,dst=10.0.0.2)",
            true,
        ),
        ("eth(src=02:00:00:00:00:01),ipv4(src=10.0.0.1)", true),
        // Not exact, not an address, or not the source's.
        (
            "eth(src=02:00:00:00:00:01),arp(sip=10.0.0.1/0.0.0.0)",
            false,
        ),
        (
            "eth(src=02:00:00:00:00:01/ff:00:00:00:00:00),ipv4(src=10.0.0.1)",
            false,
        ),
        (
            "eth(src=02:00:00:00:00:01),arp(sip=0.0.0.0,tip=10.0.0.1)",
            false,
        ),
        (
            "eth(src=02:00:00:00:00:02,dst=02:00:00:00:00:01),ipv4(dst=10.0.0.1)",
            false,
        ),
        ("eth(src=03:00:00:00:00:01),ipv4(src=10.0.0.1)", false),
        ("eth(src=02:00:00:00:00:01),ipv4(src=224.0.0.1)", false),
    ];
    for (matches, teaches) in rows {
        let line = format!("{matches}, packets:0, bytes:0, used:never, actions:drop");
        let mut table = MacTable::new(10, 7);
        dump::read_dump(&line, 7, &mut table).unwrap();
        assert_eq!(table.address(mac(1)) == Some(ip(1)), teaches, "{line}");
        assert_eq!(table.len(), usize::from(teaches), "{line}");
    }
}

#[test]
fn a_pair_of_mac_addresses_becomes_one_of_addresses_only_whole() {
    let text = "eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02), packets:1, bytes:98, used:0.012s, actions:2";
    let mut table = MacTable::new(10, 7);
    let reading = dump::read_dump(text, 7, &mut table).unwrap();
    let ends = |table: &MacTable| {
        let (src, dst) = attribute(&reading.poll.counters[0], table);
        format!("{src} {dst}")
    };
    let macs = "02:00:00:00:00:01 02:00:00:00:00:02";
    assert_eq!(ends(&table), macs);
    table.learn(mac(1), ip(1));
    assert_eq!(ends(&table), macs);
    table.learn(mac(2), ip(2));
    assert_eq!(ends(&table), "10.0.0.1 10.0.0.2");
    // Two interfaces that claim one address are still two stations.
    table.begin_poll();
    table.learn(mac(2), ip(1));
    assert_eq!(ends(&table), macs);
}
