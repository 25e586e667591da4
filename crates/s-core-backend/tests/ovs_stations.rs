//! Which IPv4 address goes with which MAC address.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may fail like the test"
)]

use std::net::Ipv4Addr;

use s_core_backend::ovs::{MacTable, attribute, dump};
use s_core_backend::{End, FlowCounter};
use s_core_flow::MacAddr;

fn mac(last: u8) -> MacAddr {
    MacAddr::new([2, 0, 0, 0, 0, last])
}

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

#[test]
fn an_address_stays_until_it_was_not_shown_for_long() {
    for attached in [false, true] {
        let mut table = MacTable::new(10, 7);
        if attached {
            table.attach(mac(1));
        }
        table.begin_poll();
        table.learn(mac(1), ip(5));
        // Another, higher or lower, does not make it another station, though it may make it a router.
        for other in [9, 1, 9] {
            table.begin_poll();
            table.learn(mac(1), ip(other));
            assert_eq!(table.address(mac(1)), attached.then_some(ip(5)));
        }
        for _ in 0..56 {
            table.begin_poll();
        }
        table.learn(mac(1), ip(9));
        assert_eq!(table.address(mac(1)), attached.then_some(ip(5)));
        // 60 polls after the last that showed it.
        table.begin_poll();
        table.learn(mac(1), ip(9));
        assert_eq!(table.address(mac(1)), attached.then_some(ip(9)));
        for _ in 0..60 {
            table.begin_poll();
            table.learn(mac(1), ip(9));
        }
        assert_eq!(table.address(mac(1)), Some(ip(9)));
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
fn a_full_table_forgets_who_was_not_seen_longest_and_nobody_in_use() {
    let mut table = MacTable::new(3, 7);
    table.attach(mac(100));
    table.begin_poll();
    table.learn(mac(100), ip(100));
    table.learn(mac(1), ip(1));
    table.learn(mac(2), ip(2));
    for newcomer in 3..=90 {
        table.begin_poll();
        table.learn(mac(1), ip(1));
        table.learn(mac(newcomer), ip(newcomer));
        assert_eq!(table.len(), 3);
        let known = |last| table.address(mac(last)) == Some(ip(last));
        assert!(known(1) && known(newcomer) && known(100), "{newcomer}");
        assert!(!known(newcomer - 1), "{newcomer}");
    }
    assert_eq!(table.refused(), 0);
    // In one poll nobody is replaced: all of them are in use.
    table.learn(mac(91), ip(91));
    assert_eq!((table.len(), table.refused()), (3, 1));
}

#[test]
fn what_is_configured_is_learnt_by_nobody_and_counts_more() {
    let mut table = MacTable::new(10, 7);
    table.configure(mac(1), ip(1));
    table.begin_poll();
    table.learn(mac(1), ip(9));
    table.learn(mac(2), ip(1));
    assert_eq!(table.address(mac(1)), Some(ip(1)));
    assert_eq!((table.address(mac(2)), table.len()), (None, 0));
}

#[test]
fn an_interface_of_a_vm_tells_more_than_the_addresses_of_a_flow() {
    let mut table = MacTable::new(10, 7);
    table.configure(mac(1), ip(1));
    table.attach(mac(2));
    table.begin_poll();
    table.learn(mac(2), ip(2));
    table.learn(mac(3), ip(3));
    let check = |src: (u8, &str), dst: (u8, &str), expected: &str| {
        let flow = FlowCounter {
            id: 1,
            src: end(src.1),
            dst: end(dst.1),
            src_mac: Some(mac(src.0)),
            dst_mac: Some(mac(dst.0)),
            transport: None,
            packets: 1,
            bytes: 98,
        };
        let (src, dst) = attribute(&flow, &table);
        assert_eq!(format!("{src} {dst}"), expected);
    };
    // Both directions of one that writes another's address, which is configured or attached.
    check((1, "10.0.0.2"), (2, "10.0.0.2"), "10.0.0.1 10.0.0.2");
    check((2, "10.0.0.2"), (1, "10.0.0.7"), "10.0.0.2 10.0.0.1");
    check((2, "10.0.0.9"), (1, "10.0.0.1"), "10.0.0.2 10.0.0.1");
    check((1, "fd00::1"), (2, "fd00::2"), "10.0.0.1 10.0.0.2");
    // Behind a router are many; what is not known stays as the switch tells it.
    check((3, "10.0.7.7"), (1, "10.0.0.1"), "10.0.7.7 10.0.0.1");
    check((1, "fd00::1"), (3, "fd00::3"), "fd00::1 fd00::3");
    // Nobody talks to himself.
    check(
        (1, "10.0.0.9"),
        (3, "10.0.0.1"),
        "02:00:00:00:00:01 02:00:00:00:00:03",
    );
}

fn end(text: &str) -> End {
    text.parse()
        .map(End::Ipv4)
        .or_else(|_| text.parse().map(End::Ipv6))
        .unwrap()
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
    let mut table = MacTable::new(10, 7);
    table.learn(mac(1), ip(1));
    table.learn(mac(2), ip(1));
    assert_eq!(ends(&table), macs);
}
