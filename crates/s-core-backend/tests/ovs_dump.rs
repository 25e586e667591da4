//! Lines of datapath flow dumps, one row each, and what no line may do to the parser.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use s_core_backend::ovs::MacTable;
use s_core_backend::ovs::dump::{self, LineError, NoEnds, NotADump};

const STATS: &str = ", packets:1, bytes:98, used:0.012s, actions:2";

fn ends(line: &str) -> String {
    let mut flows = dump::flows(line);
    let flow = flows.next().unwrap().unwrap();
    assert!(flows.next().is_none());
    match flow.ends() {
        Ok((src, dst)) => format!("{src} {dst}"),
        Err(reason) => format!("{reason:?}"),
    }
}

#[test]
fn the_ends_are_what_the_switch_matches_on_exactly() {
    let e = "eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02)";
    let macs = "02:00:00:00:00:01 02:00:00:00:00:02";
    let rows = [
        (
            "recirc_id(0),in_port(1),E,eth_type(0x0800),ipv4(frag=no)",
            macs,
        ),
        (
            "E,ipv4(src=10.0.0.1,dst=10.0.0.2,frag=no)",
            "10.0.0.1 10.0.0.2",
        ),
        (
            "ipv4(src=10.0.0.1,dst=10.0.0.2,frag=no)",
            "10.0.0.1 10.0.0.2",
        ),
        // Masks: none of the address, all of it, part of it.
        ("E,ipv4(src=10.0.0.1/0.0.0.0,dst=10.0.0.2/0.0.0.0)", macs),
        (
            "E,ipv4(src=10.0.0.1/255.255.255.255,dst=10.0.0.2/32)",
            "10.0.0.1 10.0.0.2",
        ),
        ("E,ipv4(src=10.0.0.0/255.255.255.0,dst=10.0.0.2)", macs),
        ("E,ipv4(dst=10.0.0.2,proto=17)", macs),
        ("E,ipv4(src=10.0.0.0/24,dst=10.0.0.2)", macs),
        (
            "eth(src=02:00:00:00:00:00/ff:ff:ff:00:00:00,dst=02:00:00:00:00:02)",
            "NoAddresses",
        ),
        (
            "eth(src=02:00:00:00:00:01/ff:ff:ff:ff:ff:ff,dst=02:00:00:00:00:02)",
            macs,
        ),
        ("eth(),eth_type(0x0800),ipv4(frag=no)", "NoAddresses"),
        (
            "recirc_id(0),in_port(1),eth_type(0x0800),ipv4(frag=no)",
            "NoAddresses",
        ),
        // IPv6; the unspecified address is nobody's.
        (
            "E,eth_type(0x86dd),ipv6(src=fd00::1,dst=fd00::2,frag=no)",
            "fd00::1 fd00::2",
        ),
        (
            "E,ipv6(src=fd00::1/::,dst=fd00::2/::,label=0x74d49/0)",
            macs,
        ),
        (
            "E,ipv6(src=fd00::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,dst=fd00::2/128)",
            "fd00::1 fd00::2",
        ),
        ("E,ipv6(src=fd00::/ffff::,dst=fd00::2)", macs),
        ("E,ipv6(src=::,dst=fd00::2)", macs),
        ("E,ipv4(src=0.0.0.0,dst=10.0.0.2)", macs),
        // Tunnel addresses are the hosts', not the VMs'.
        (
            "tunnel(tun_id=0x5,src=172.16.0.2,dst=172.16.0.1,geneve({class=0x102,type=0x80,len=4,0x1}),flags(-df+csum+key)),E,ipv4(frag=no)",
            macs,
        ),
        // VLAN tags nest the rest.
        (
            "E,eth_type(0x8100),vlan(vid=10,pcp=0),encap(eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,frag=no))",
            "10.0.0.1 10.0.0.2",
        ),
        (
            "E,eth_type(0x88a8),vlan(vid=100,pcp=0/0x0),encap(eth_type(0x8100),vlan(vid=10/0x0),encap(eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2)))",
            "10.0.0.1 10.0.0.2",
        ),
        ("E,eth_type(0x8100),vlan(vid=10),encap()", macs),
        // Other protocols between two stations, and what the tool could not print.
        (
            "E,eth_type(0x0806),arp(sip=10.0.0.1,tip=10.0.0.2,op=2)",
            macs,
        ),
        ("E,eth_type(0x86dd),ipv6(frag=no),key32(00 00/00 00)", macs),
        ("E,eth_type(bad key length 1, expected 2)(00)", macs),
        ("E,eth_type(0x8847),mpls(label=1,tc=0,ttl=64,bos=1)", macs),
        // Not between two stations.
        (
            "eth(src=02:00:00:00:00:01,dst=ff:ff:ff:ff:ff:ff)",
            "Multicast",
        ),
        (
            "eth(src=02:00:00:00:00:01,dst=33:33:00:00:00:02),ipv6(frag=no)",
            "Multicast",
        ),
        (
            "eth(src=02:00:00:00:00:01,dst=01:00:5e:00:00:fb),ipv4(src=10.0.0.1,dst=224.0.0.251)",
            "Multicast",
        ),
        (
            "eth(src=02:00:00:00:00:00/01:00:00:00:00:00,dst=01:00:00:00:00:00/01:00:00:00:00:00)",
            "Multicast",
        ),
        (
            "eth(src=02:00:00:00:00:01,dst=03:00:00:00:00:00/00:00:00:00:00:00)",
            "NoAddresses",
        ),
        ("ipv4(src=10.0.0.1,dst=255.255.255.255)", "Multicast"),
        ("ipv4(src=10.0.0.1,dst=10.0.0.1)", "Multicast"),
        // With -m: identifiers before the match.
        (
            "ufid:7b77813b-bb03-4898-9111-4056947ee9e2, recirc_id(0),E",
            macs,
        ),
        (
            "ufid:7b77813b-bb03-4898-9111-4056947ee9e2, mega_ufid:1-2, E",
            macs,
        ),
    ];
    for (matches, expected) in rows {
        let line = matches.replace('E', e) + STATS;
        assert_eq!(ends(&line), expected, "{line}");
    }
}

#[test]
fn packets_that_come_back_are_counted_once() {
    let rows = [
        ("ct,recirc(0x2)", true),
        ("ct(commit,zone=4,nat),recirc(0x2d278)", true),
        ("hash(l4(0)),recirc(0x1)", true),
        ("tnl_pop(6)", true),
        ("ct(commit),1", false),
        ("drop", false),
        ("push_vlan(vid=10,pcp=0),3", false),
        (
            "tnl_push(tnl_port(6),header(size=50,type=4,eth(dst=02:00:00:00:00:03)),out_port(5)),4",
            false,
        ),
        ("userspace(pid=0,slow_path(controller))", false),
    ];
    for (actions, again) in rows {
        let line = format!(
            "recirc_id(0x1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02), packets:1, bytes:98, used:0.100s, actions:{actions}"
        );
        let flow = dump::flows(&line).next().unwrap().unwrap();
        assert_eq!(flow.actions, actions);
        assert_eq!(flow.ends() == Err(NoEnds::Recirculated), again, "{line}");
    }
}

#[test]
fn ports_are_told_only_where_they_are_exact() {
    let rows = [
        (
            "ipv4(proto=6,frag=no),tcp(src=5201,dst=80)",
            Some((6, 5201, 80)),
        ),
        (
            "ipv4(proto=17/0xff,frag=no),udp(src=0x1/0xffff,dst=2)",
            Some((17, 1, 2)),
        ),
        (
            "ipv6(proto=132,frag=no),sctp(src=1,dst=2)",
            Some((132, 1, 2)),
        ),
        ("ipv4(proto=6/0,frag=no),tcp(src=5201/0,dst=80/0)", None),
        ("ipv4(proto=6/0,frag=no),tcp(src=5201,dst=80)", None),
        ("ipv4(proto=6,frag=no),tcp(src=4096/0xf000,dst=80)", None),
        ("ipv4(proto=6,frag=no),tcp(dst=80)", None),
        ("ipv4(proto=17,frag=first),udp(src=0,dst=0)", None),
        ("ipv4(proto=17,frag=later)", None),
        ("ipv4(proto=1,frag=no),icmp(type=8,code=0)", None),
    ];
    for (matches, expected) in rows {
        let line = format!("{matches}{STATS}");
        let flow = dump::flows(&line).next().unwrap().unwrap();
        let transport = flow.transport();
        assert_eq!(
            transport.map(|t| (t.protocol, t.src_port, t.dst_port)),
            expected,
            "{line}"
        );
    }
}

#[test]
fn counters_and_ages() {
    let rows = [
        ("packets:0, bytes:0, used:never, actions:drop", (0, 0, None)),
        // A clock that was set back, and no length of time at all: the counts are none the worse.
        ("packets:3, bytes:9, used:-0.001s, actions:2", (3, 9, None)),
        ("packets:3, bytes:9, used:5, actions:2", (3, 9, None)),
        (
            "packets:7, bytes:1400, used:1.136s, actions:2",
            (7, 1400, Some(1136)),
        ),
        (
            "packets:1, bytes:98, used:0.012s, flags:SFP., actions:2",
            (1, 98, Some(12)),
        ),
        (
            "packets:1, bytes:98, used:0.012s, offloaded:yes, dp:tc, actions:2",
            (1, 98, Some(12)),
        ),
        (
            "packets:1, bytes:18446744073709551615, used:0.012s, flags:., dp:ovs, actions:2, dp-extra-info:miniflow_bits(5,1)",
            (1, u64::MAX, Some(12)),
        ),
    ];
    for (stats, (packets, bytes, millis)) in rows {
        let line = format!("in_port(1), {stats}");
        let flow = dump::flows(&line).next().unwrap().unwrap();
        let idle = flow.idle.map(|idle| idle.as_millis());
        assert_eq!(
            (flow.packets, flow.bytes, idle),
            (packets, bytes, millis),
            "{line}"
        );
        assert!(!flow.actions.contains("dp-extra-info"));
    }
}

#[test]
fn a_bad_line_names_its_column() {
    let rows = [
        ("in_port(1)", 11),
        ("in_port(1", 10),
        ("in_port(1),", 12),
        ("in_port(1), ", 12),
        ("in_port(1), packets:1", 22),
        ("in_port(1), packets:1, bytes:2, used:never", 43),
        ("in_port(1), packets:-1, bytes:2, used:never, actions:", 21),
        ("in_port(1), packets:+1, bytes:2, used:never, actions:", 21),
        (
            "in_port(1), packets:1, bytes:18446744073709551616, used:never, actions:",
            30,
        ),
        ("in_port(1), packets:1, used:never, actions:1", 36),
        ("in_port(1), bytes:1, used:never, actions:1", 34),
        ("in_port(1), packets:1, bytes:1, actions:1", 33),
        (
            "eth(src=02:00:00:00:00), packets:1, bytes:1, used:never, actions:1",
            9,
        ),
        (
            "eth(src=02:00:00:00:00:01/zz), packets:1, bytes:1, used:never, actions:1",
            9,
        ),
        (
            "ipv4(src=10.0.0.256), packets:1, bytes:1, used:never, actions:1",
            10,
        ),
        (
            "ipv4(src=10.0.0.1/33), packets:1, bytes:1, used:never, actions:1",
            10,
        ),
        (
            "tcp(src=65536), packets:1, bytes:1, used:never, actions:1",
            9,
        ),
        (
            "encap(in_port(1), packets:1, bytes:1, used:never, actions:1",
            17,
        ),
        ("in_port(1)), packets:1, bytes:1, used:never, actions:1", 11),
        ("<html>", 1),
        (
            " cookie=0x0, duration=5.6s, table=0, n_packets=413, n_bytes=347891, actions=NORMAL",
            1,
        ),
    ];
    for (line, column) in rows {
        let text = format!("flow-dump from the main thread:\n\n{line}\n");
        let error = dump::flows(&text).next().unwrap().unwrap_err();
        assert_eq!((error.line, error.column), (3, column), "{line}: {error}");
    }
}

#[test]
fn a_flow_keeps_its_id_and_shares_it_with_no_other() {
    let line = |thread: &str, matches: &str, packets: u32| {
        format!("{thread}{matches}, packets:{packets}, bytes:98, used:0.012s, actions:{packets}\n")
    };
    let id = |text: &str, seed| dump::flows(text).next().unwrap().unwrap().id(seed);
    let first = id(&line("", "recirc_id(0),in_port(1)", 1), 7);
    assert_eq!(first, id(&line("", "recirc_id(0),in_port(1)", 9), 7));
    let others = [
        (line("", "recirc_id(0),in_port(2)", 1), 7),
        (line("", "recirc_id(0x1),in_port(1)", 1), 7),
        (line("", "recirc_id(0),in_port(1)", 1), 8),
        (
            line(
                "flow-dump from pmd on cpu core: 3\n",
                "recirc_id(0),in_port(1)",
                1,
            ),
            7,
        ),
        (
            line(
                "flow-dump from pmd on cpu core: 4\n",
                "recirc_id(0),in_port(1)",
                1,
            ),
            7,
        ),
    ];
    let mut ids: Vec<u64> = others.iter().map(|(text, seed)| id(text, *seed)).collect();
    ids.push(first);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), others.len() + 1);
    // With -m the match holds the first packet's values: the ufid stands for the flow.
    let with_ufid = |port: u16| format!("ufid:7b77813b, tcp(src={port}/0){STATS}");
    assert_eq!(id(&with_ufid(1), 7), id(&with_ufid(2), 7));
}

fn read(text: &str) -> Result<dump::Reading, NotADump> {
    dump::read_dump(text, 7, &mut MacTable::new(100, 7))
}

#[test]
fn a_dump_that_is_not_a_dump_is_an_error_with_its_line() {
    let good = format!("in_port(1){STATS}\n");
    let rows = [
        (
            "<!DOCTYPE html>\n<html>\n".to_owned(),
            "line 1, column 1: expected a match field",
        ),
        (
            format!("\n\nhello\n{good}"),
            "line 3, column 6: expected a match field",
        ),
        (
            "flow-dump from the main thread:\n{}\n".to_owned(),
            "line 2, column 1: ",
        ),
        (
            format!("NXST_FLOW reply (xid=0x4):\n{good}"),
            "line 1: this is a dump of OpenFlow rules",
        ),
        (
            " cookie=0x0, duration=5.6s, actions=NORMAL\n".to_owned(),
            "line 1: this is a dump of OpenFlow rules",
        ),
        (
            "OFPST_FLOW reply (OF1.3) (xid=0x2):\n".to_owned(),
            "line 1: this is a dump of OpenFlow rules",
        ),
    ];
    for (text, expected) in rows {
        let message = read(&text).unwrap_err().to_string();
        assert!(message.starts_with(expected), "{text:?}: {message}");
        assert!(message.contains("dpctl/dump-flows"), "{message}");
    }
}

#[test]
fn a_line_cut_short_is_counted_and_named() {
    let good = format!("eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02){STATS}\n");
    let reading = read(&format!("{good}{}", &good[..60])).unwrap();
    assert_eq!(reading.poll.counters.len(), 1);
    assert_eq!(reading.poll.unattributed.malformed.flows, 1);
    let LineError { line, .. } = reading.errors[0];
    assert_eq!(line, 2);
    let many = format!("{good}{}", "x\n".repeat(1000));
    let reading = read(&many).unwrap();
    assert_eq!(
        (
            reading.errors.len(),
            reading.poll.unattributed.malformed.flows
        ),
        (10, 1000)
    );
}

#[test]
fn a_switch_without_flows_has_an_empty_dump() {
    for text in ["", "\n", "flow-dump from the main thread:\n"] {
        assert_eq!(read(text), Ok(dump::Reading::default()));
    }
}

const SAMPLES: [&str; 3] = [
    include_str!("data/ovs/vxlan-m.txt"),
    include_str!("data/ovs/vlan.txt"),
    include_str!("data/ovs/kernel-five-tuples-m.txt"),
];

fn touch(text: &str) {
    for flow in dump::flows(text).flatten() {
        let _ = (flow.counter(7), flow.station());
    }
    let _ = read(text);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_text_does_no_harm(text in ".{0,200}", line in r"([a-z_0-9]{1,5}[(),:=/ ]{1,2}){0,30}") {
        touch(&text);
        touch(&line);
    }

    #[test]
    fn mutated_dumps_do_no_harm(
        sample in 0..SAMPLES.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![
            Just("("), Just(")"), Just(","), Just(", "), Just("/"), Just(":"), Just("encap("), Just("é"), Just(""), Just("\n"),
        ], 0..4_usize), 1..6),
    ) {
        let mut text = SAMPLES[sample].to_owned();
        for (at, put, cut) in edits {
            let mut start = at.index(text.len());
            while !text.is_char_boundary(start) { start -= 1; }
            let mut end = (start + cut).min(text.len());
            while !text.is_char_boundary(end) { end += 1; }
            text.replace_range(start..end, put);
        }
        touch(&text);
    }

    /// What is printed from known addresses and masks is read back.
    #[test]
    fn printed_matches_are_read_back(
        src in any::<[u8; 4]>(), dst in any::<[u8; 4]>(), mask in prop_oneof![Just(u32::MAX), Just(0), any::<u32>()],
        packets in any::<u64>(), bytes in any::<u64>(), tags in 0..3_usize,
    ) {
        use std::net::Ipv4Addr;
        let (src, dst, mask_text) = (Ipv4Addr::from(src), Ipv4Addr::from(dst), Ipv4Addr::from(mask));
        let line = format!(
            "eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),{}ipv4(src={src}/{mask_text},dst={dst},frag=no){}, packets:{packets}, bytes:{bytes}, used:never, actions:1",
            "vlan(vid=1),encap(".repeat(tags), ")".repeat(tags),
        );
        let flow = dump::flows(&line).next().unwrap().unwrap();
        prop_assert_eq!((flow.packets, flow.bytes), (packets, bytes));
        let group = |ip: Ipv4Addr| ip.is_multicast() || ip.is_broadcast();
        let src_known = mask == u32::MAX;
        let expected = if group(dst) || (src_known && (group(src) || (src == dst && !src.is_unspecified()))) {
            "Err(Multicast)".to_owned()
        } else if src_known && !src.is_unspecified() && !dst.is_unspecified() {
            format!("{src} {dst}")
        } else {
            "02:00:00:00:00:01 02:00:00:00:00:02".to_owned()
        };
        let found = match flow.ends() {
            Ok((src, dst)) => format!("{src} {dst}"),
            Err(reason) => format!("Err({reason:?})"),
        };
        prop_assert_eq!(found, expected);
    }
}
