//! Real dumps, in `data/ovs`, against sums that `awk` made of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use s_core_backend::ovs::{MacTable, attribute, dump};
use s_core_backend::{End, Unattributed};

/// A pair of ends, both directions together, and its bytes.
type Row = (&'static str, &'static str, u64);

/// Flows and bytes: without addresses, multicast, recirculated.
type Rest = [(u64, u64); 3];

fn check(name: &str, text: &str, rows: &[Row], rest: Rest) {
    // A dump is read the same whichever way its lines end.
    for text in [text.to_owned(), text.replace('\n', "\r\n")] {
        let mut stations = MacTable::new(100, 7);
        let reading = dump::read_dump(&text, 7, &mut stations).unwrap();
        assert_eq!(reading.errors, [], "{name}");
        let mut pairs: BTreeMap<(End, End), u64> = BTreeMap::new();
        for counter in &reading.poll.counters {
            let (src, dst) = attribute(counter, &stations);
            *pairs.entry((src.min(dst), src.max(dst))).or_default() += counter.bytes;
        }
        let found: Vec<_> = pairs
            .iter()
            .map(|((a, b), bytes)| (a.to_string(), b.to_string(), *bytes))
            .collect();
        let rows: Vec<_> = rows
            .iter()
            .map(|(a, b, bytes)| ((*a).to_owned(), (*b).to_owned(), *bytes))
            .collect();
        assert_eq!(found, rows, "{name}");
        let Unattributed {
            no_addresses,
            multicast,
            recirculated,
            malformed,
        } = reading.poll.unattributed;
        let found = [no_addresses, multicast, recirculated].map(|s| (s.flows, s.bytes));
        assert_eq!(found, rest, "{name}");
        assert_eq!(malformed.flows, 0, "{name}");
    }
}

macro_rules! data {
    ($name:literal) => {
        ($name, include_str!(concat!("data/ovs/", $name)))
    };
}

#[test]
fn userspace_datapath_normal_action() {
    let rows = [
        ("02:00:0a:00:01:01", "02:00:0a:00:01:02", 1_040_958),
        ("02:00:0a:00:01:01", "02:00:0a:00:02:02", 1764),
        ("02:00:0a:00:01:01", "02:00:0a:00:03:03", 541_458),
        ("02:00:0a:00:01:01", "02:00:0a:00:04:04", 5_418_286),
    ];
    for (name, text) in [data!("normal.txt"), data!("normal-m.txt")] {
        check(name, text, &rows, [(0, 0), (1, 0), (0, 0)]);
    }
}

#[test]
fn kernel_datapath_normal_action() {
    let (name, text) = data!("kernel-normal.txt");
    let rows = [
        ("00:16:3e:00:01:0b", "00:16:3e:00:01:0d", 2_557_068),
        ("00:16:3e:00:01:0b", "00:16:3e:00:01:0e", 4_223_796),
        ("00:16:3e:00:01:0c", "00:16:3e:00:01:10", 779_396),
        ("00:16:3e:00:01:0c", "00:16:3e:00:01:11", 38_185),
        ("02:00:00:00:00:02", "72:c9:22:30:59:12", 6272),
    ];
    check(name, text, &rows, [(0, 0), (1, 0), (0, 0)]);
    let (name, text) = data!("kernel-normal-m.txt");
    let rows = [
        ("00:16:3e:00:01:0b", "00:16:3e:00:01:0d", 2_538_312),
        ("00:16:3e:00:01:0b", "00:16:3e:00:01:0e", 4_185_628),
        ("00:16:3e:00:01:0c", "00:16:3e:00:01:10", 769_640),
        ("00:16:3e:00:01:0c", "00:16:3e:00:01:11", 37_960),
        ("02:00:00:00:00:02", "72:c9:22:30:59:12", 868),
    ];
    check(name, text, &rows, [(0, 0), (0, 0), (0, 0)]);
}

#[test]
fn the_ip_pair_rule() {
    let (name, text) = data!("ip-pair-rule.txt");
    let rows = [
        ("10.0.1.1", "10.0.1.2", 1_040_958),
        ("10.0.1.1", "10.0.2.2", 1764),
        ("10.0.1.1", "10.0.3.3", 541_458),
        ("10.0.1.1", "10.0.4.4", 5_465_846),
    ];
    check(name, text, &rows, [(0, 0), (1, 0), (0, 0)]);
}

#[test]
fn five_tuples_add_up_to_pairs() {
    let (name, text) = data!("five-tuples.txt");
    let rows = [
        ("10.0.1.1", "10.0.1.2", 981_564),
        ("10.0.1.1", "10.0.2.2", 1764),
        ("10.0.1.1", "10.0.3.3", 531_160),
        ("10.0.1.1", "10.0.4.4", 6_504_362),
    ];
    check(name, text, &rows, [(0, 0), (0, 0), (0, 0)]);
    // Two ARP flows stay a pair of MAC addresses: .13 has sent nothing that shows its address.
    let (name, text) = data!("kernel-five-tuples-m.txt");
    let rows = [
        ("10.0.0.2", "10.0.255.1", 102),
        ("10.0.1.11", "10.0.1.13", 152_132),
        ("10.0.1.11", "10.0.1.14", 356_096),
        ("10.0.1.12", "10.0.1.16", 80_216),
        ("10.0.1.12", "10.0.1.17", 3358),
        ("00:16:3e:00:01:0b", "00:16:3e:00:01:0d", 0),
    ];
    check(name, text, &rows, [(0, 0), (1, 0), (0, 0)]);
}

#[test]
fn a_thousand_five_tuples() {
    let (_, text) = data!("five-tuples-1k.txt");
    let reading = dump::read_dump(text, 7, &mut MacTable::new(2000, 7)).unwrap();
    assert_eq!(reading.poll.counters.len(), 1000);
    let bytes: u64 = reading.poll.counters.iter().map(|c| c.bytes).sum();
    assert_eq!(bytes, 1_042_656);
    assert!(reading.poll.counters.iter().all(|c| c.transport.is_some()));
    let mut ids: Vec<u64> = reading.poll.counters.iter().map(|c| c.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1000);
}

#[test]
fn connection_tracking_counts_a_packet_once() {
    let (name, text) = data!("conntrack.txt");
    let rows = [
        ("02:00:0a:00:01:01", "02:00:0a:00:01:02", 1_040_958),
        ("02:00:0a:00:01:01", "02:00:0a:00:02:02", 1666),
        ("02:00:0a:00:01:01", "02:00:0a:00:03:03", 541_458),
        ("02:00:0a:00:01:01", "02:00:0a:00:04:04", 5_786_610),
    ];
    check(name, text, &rows, [(0, 0), (0, 0), (2, 7_372_636)]);
    let (name, text) = data!("conntrack-ip-pair-rule.txt");
    let rows = [("10.9.0.1", "10.9.0.2", 784)];
    check(name, text, &rows, [(0, 0), (0, 0), (2, 784)]);
}

#[test]
fn fragments_and_ipv6() {
    let rows = [
        ("10.9.0.1", "10.9.0.2", 35_044),
        ("10.9.0.1", "10.9.0.3", 6_637_009),
        ("fd00::1", "fd00::2", 36_844),
    ];
    for (name, text) in [data!("fragments-ipv6.txt"), data!("fragments-ipv6-m.txt")] {
        check(name, text, &rows, [(0, 0), (1, 0), (0, 0)]);
    }
}

#[test]
fn vlan_tags_single_and_double() {
    for (name, text) in [data!("vlan.txt"), data!("vlan-m.txt")] {
        check(
            name,
            text,
            &[("10.10.0.1", "10.10.0.2", 2494)],
            [(0, 0), (0, 0), (0, 0)],
        );
    }
}

#[test]
fn tunnelled_packets_are_the_vms_and_not_the_hosts() {
    // 1198 bytes go between the hosts outside of the tunnel; 960 come out of it as 710.
    let rows = [
        ("172.16.0.1", "172.16.0.2", 1198),
        ("02:00:00:00:00:01", "02:00:00:00:00:33", 1278),
        ("02:00:00:00:00:03", "1a:2f:dd:6b:6a:b6", 0),
    ];
    for (name, text) in [data!("vxlan.txt"), data!("vxlan-m.txt")] {
        check(name, text, &rows, [(0, 0), (6, 180), (1, 960)]);
    }
}

#[test]
fn an_openflow_dump_before_a_datapath_dump_is_refused() {
    let (_, text) = data!("ofctl-then-kernel-five-tuples-m.txt");
    let error = dump::read_dump(text, 7, &mut MacTable::new(10, 7)).unwrap_err();
    assert_eq!(error, dump::NotADump::OpenFlow { line: 1 });
}
