//! Messages written by hand after `linux/openvswitch.h`, and by a small encoder.

mod encoder;

use proptest::prelude::*;
use s_core_flow::MacAddr;

use super::*;
use crate::ovs::dump;
use crate::{End, FlowCounter, NoEnds, Transport};

use encoder::{attribute, done, flow, message, nested, stats};

const SEED: u64 = 7;

fn read(messages: &[Vec<u8>]) -> Result<Poll, NetlinkError> {
    read_dump(&messages.concat(), SEED, &mut MacTable::new(100, SEED))
}

fn poll(messages: &[Vec<u8>]) -> Poll {
    read(&[messages, &[done()]].concat()).unwrap()
}

/// The same flows in the form that `ovs-vswitchd` prints, but for their ids.
fn printed(text: &str) -> Poll {
    let read = dump::read_dump(text, SEED, &mut MacTable::new(100, SEED));
    read.unwrap().poll
}

fn without_ids(mut poll: Poll) -> Poll {
    poll.counters.iter_mut().for_each(|flow| flow.id = 0);
    poll.without_ends.iter_mut().for_each(|flow| flow.id = 0);
    poll
}

const ETHERNET: [u8; 12] = [2, 0, 10, 0, 1, 1, 2, 0, 10, 0, 4, 4];
const IPV4: [u8; 12] = [10, 0, 1, 1, 10, 0, 4, 4, 6, 0, 64, 0];

/// Which key attributes the IP-pair rule has the kernel match, value and mask of each.
fn ip_pair() -> [Vec<u8>; 2] {
    let mask = [&[0xff; 8][..], &[0, 0, 0, 0xff]].concat();
    let key = [
        attribute(20, &[0; 4]),
        attribute(3, &[6, 0, 0, 0]),
        attribute(4, &ETHERNET),
        attribute(6, &[8, 0]),
        attribute(7, &IPV4),
        attribute(9, &[0x14, 0x51, 0x9c, 0x40]),
    ];
    let mask = [
        attribute(20, &[0xff; 4]),
        attribute(3, &[0xff; 4]),
        attribute(4, &[0xff; 12]),
        attribute(6, &[0xff; 2]),
        attribute(7, &mask),
        attribute(9, &[0; 4]),
    ];
    [nested(1, &key), nested(7, &mask)]
}

#[test]
#[cfg(target_endian = "little")]
fn a_flow_byte_for_byte() {
    #[rustfmt::skip]
    let golden = [
        // nlmsghdr: 120 bytes, family 33, NLM_F_MULTI, sequence 5, port 77.
        120, 0, 0, 0, 0x21, 0, 2, 0, 5, 0, 0, 0, 77, 0, 0, 0,
        // genlmsghdr: OVS_FLOW_CMD_NEW, version 1. ovs_header: the datapath's local port has interface number 9.
        1, 1, 0, 0, 9, 0, 0, 0,
        // OVS_FLOW_ATTR_UFID, 16 bytes.
        20, 0, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
        // OVS_FLOW_ATTR_KEY: OVS_KEY_ATTR_ETHERNET, then OVS_KEY_ATTR_IPV4.
        36, 0, 1, 0x80,
        16, 0, 4, 0, 2, 0, 10, 0, 1, 1, 2, 0, 10, 0, 4, 4,
        16, 0, 7, 0, 10, 0, 1, 1, 10, 0, 4, 4, 6, 0, 64, 0,
        // OVS_FLOW_ATTR_MASK: of the Ethernet key alone; the first octet of the source is open.
        20, 0, 7, 0x80,
        16, 0, 4, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
        // OVS_FLOW_ATTR_STATS: 3 packets, 258 bytes.
        20, 0, 3, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0,
    ];
    let mut bytes = Vec::from(golden);
    assert_eq!(bytes.len(), 120);
    bytes.extend(done());
    let poll = read(&[bytes]).unwrap();
    assert_eq!(poll.counters, []);
    let [left] = poll.without_ends.as_slice() else {
        panic!("{poll:?}");
    };
    assert_eq!(
        (left.reason, left.packets, left.bytes),
        (NoEnds::NoAddresses, 3, 258)
    );
}

#[test]
fn the_kernel_and_vswitchd_tell_the_same() {
    let check = |attributes: &[Vec<u8>], line: &str| {
        let told = poll(&[flow(attributes)]);
        assert_eq!(without_ids(told), without_ids(printed(line)), "{line}");
    };
    let [key, mask] = ip_pair();
    let ends =
        "recirc_id(0),in_port(6),eth(src=02:00:0a:00:01:01,dst=02:00:0a:00:04:04),eth_type(0x0800)";
    let counted = stats(3469, 5_247_778);
    let rest = "packets:3469, bytes:5247778, used:5.553s, actions:1";
    // One without traffic has no counters.
    check(
        &[key.clone(), mask.clone()],
        &format!(
            "{ends},ipv4(src=10.0.1.1,dst=10.0.4.4,frag=no), packets:0, bytes:0, used:never, actions:1"
        ),
    );
    // Flags, time of last use and a unique identifier.
    check(
        &[
            attribute(9, &[7; 16]),
            key.clone(),
            mask,
            counted.clone(),
            attribute(4, &[0x1a]),
            attribute(5, &[9; 8]),
        ],
        &format!("{ends},ipv4(src=10.0.1.1,dst=10.0.4.4,frag=no), {rest}"),
    );
    // Without a mask everything counts.
    check(
        &[key.clone(), counted.clone()],
        &format!(
            "{ends},ipv4(src=10.0.1.1,dst=10.0.4.4,proto=6,tos=0,ttl=64,frag=no),tcp(src=5201,dst=40000), {rest}"
        ),
    );
    // NORMAL alone: no IP address is matched.
    let only_mac = nested(7, &[attribute(4, &[0xff; 12]), attribute(7, &[0; 12])]);
    check(
        &[key, only_mac, counted.clone()],
        &format!("{ends}, {rest}"),
    );
    // A group, of which only the group bit is matched.
    let group = nested(1, &[attribute(4, &[2, 0, 0, 0, 0, 1, 1, 0, 0x5e, 0, 0, 1])]);
    let bit = nested(7, &[attribute(4, &[0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0])]);
    check(
        &[group, bit, counted.clone()],
        &format!("eth(dst=01:00:00:00:00:00/01:00:00:00:00:00), {rest}"),
    );
    // Behind a VLAN tag.
    let tagged = nested(
        1,
        &[
            attribute(4, &ETHERNET),
            attribute(5, &[0x10, 0x64]),
            attribute(6, &[0x81, 0]),
            nested(1, &[attribute(6, &[8, 0]), attribute(7, &IPV4)]),
        ],
    );
    check(
        &[tagged, counted.clone()],
        &format!(
            "eth(src=02:00:0a:00:01:01,dst=02:00:0a:00:04:04),vlan(vid=100,pcp=0),eth_type(0x8100),encap(eth_type(0x0800),ipv4(src=10.0.1.1,dst=10.0.4.4,proto=6,frag=no)), {rest}"
        ),
    );
    // A fragment has no ports, whatever stands there.
    let mut fragment = IPV4;
    fragment[11] = 2;
    let fragment = nested(
        1,
        &[
            attribute(4, &ETHERNET),
            attribute(7, &fragment),
            attribute(10, &[0; 4]),
        ],
    );
    check(
        &[fragment, counted.clone()],
        &format!(
            "eth(src=02:00:0a:00:01:01,dst=02:00:0a:00:04:04),ipv4(src=10.0.1.1,dst=10.0.4.4,proto=6,frag=later),udp(src=0,dst=0), {rest}"
        ),
    );
    // IPv6.
    let mut ipv6 = [0; 40];
    (ipv6[0], ipv6[15], ipv6[16], ipv6[31], ipv6[36]) = (0xfd, 1, 0xfd, 4, 17);
    let ipv6 = nested(
        1,
        &[
            attribute(4, &ETHERNET),
            attribute(8, &ipv6),
            attribute(10, &[0, 53, 0, 54]),
        ],
    );
    check(
        &[ipv6, counted],
        &format!(
            "eth(src=02:00:0a:00:01:01,dst=02:00:0a:00:04:04),ipv6(src=fd00::1,dst=fd00::4,proto=17,frag=no),udp(src=53,dst=54), {rest}"
        ),
    );
}

#[test]
fn packets_that_come_back_are_counted_once() {
    let [key, mask] = ip_pair();
    let check = |actions: &[Vec<u8>], recirculated: bool| {
        let actions = nested(2, actions);
        let poll = poll(&[flow(&[key.clone(), mask.clone(), actions, stats(1, 98)])]);
        let reasons: Vec<_> = poll.without_ends.iter().map(|flow| flow.reason).collect();
        let expected: &[NoEnds] = if recirculated {
            &[NoEnds::Recirculated]
        } else {
            &[]
        };
        assert_eq!(reasons, expected);
    };
    let output = attribute(1, &[2, 0, 0, 0]);
    let recirc = attribute(7, &[1, 0, 0, 0]);
    check(&[], false);
    check(std::slice::from_ref(&output), false);
    check(&[output.clone(), recirc.clone()], true);
    // As the flow key's IPv4 attribute or a set action would hold the same number.
    check(&[nested(3, &[attribute(7, &IPV4)]), output], false);
    check(&[nested(20, std::slice::from_ref(&recirc))], true);
    let sample = |list| {
        nested(
            6,
            &[
                attribute(1, &[0xff; 4]),
                nested(list, std::slice::from_ref(&recirc)),
            ],
        )
    };
    check(&[sample(2)], true);
    check(&[sample(3)], false);
    check(
        &[nested(
            21,
            &[
                attribute(1, &[0xdc, 5]),
                nested(2, &[]),
                nested(3, std::slice::from_ref(&recirc)),
            ],
        )],
        true,
    );
}

#[test]
fn an_arp_request_tells_the_address_of_a_station() {
    let mut arp = [0; 24];
    arp[..4].copy_from_slice(&[10, 0, 1, 1]);
    let key = nested(
        1,
        &[
            attribute(4, &[2, 0, 10, 0, 1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            attribute(13, &arp),
        ],
    );
    let mut stations = MacTable::new(100, SEED);
    let messages = [flow(&[key]), done()].concat();
    let poll = read_dump(&messages, SEED, &mut stations).unwrap();
    assert_eq!(poll.unattributed.multicast.flows, 1);
    let mac = "02:00:0a:00:01:01".parse().unwrap();
    assert_eq!(stations.address(mac), Some([10, 0, 1, 1].into()));
}

#[test]
fn an_answer_that_is_not_whole_is_refused() {
    let check = |messages: &[Vec<u8>], expected: &str| {
        let error = read(messages).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    let [key, mask] = ip_pair();
    let good = flow(&[key, mask]);
    check(&[], "no end");
    check(std::slice::from_ref(&good), "no end");
    check(
        &[good.clone(), good[..good.len() - 4].to_vec()],
        "a message says that it has",
    );
    check(&[good.clone(), vec![0; 16]], "has 0 bytes, and 16");
    check(&[good.clone(), vec![9; 3]], "3 are there");
    let mut stray = good.clone();
    stray[8..12].copy_from_slice(&9_u32.to_ne_bytes());
    check(&[good.clone(), stray], "answers request 9, not 5");
    // ENODEV, and a list whose end says EAGAIN.
    check(
        &[message(2, 0, &[(-19_i32).to_ne_bytes(), [0; 4]].concat())],
        "No such device",
    );
    check(
        &[
            good.clone(),
            message(3, wire::MULTI, &(-11_i32).to_ne_bytes()),
        ],
        "temporarily unavailable",
    );
    check(&[message(2, 0, &i32::MIN.to_ne_bytes())], "");
    // What was lost or has changed is known at the end, which is read all the same.
    let mut changed = good.clone();
    changed[6..8].copy_from_slice(&(wire::MULTI | wire::DUMP_INTERRUPTED).to_ne_bytes());
    check(&[changed.clone(), good.clone()], "no end");
    for changed in [changed, message(4, 0, &[])] {
        check(
            &[good.clone(), changed, good.clone(), done()],
            "changed while it was told",
        );
    }
    check(
        &[
            good,
            message(3, wire::MULTI | wire::DUMP_INTERRUPTED, &[0; 4]),
        ],
        "changed while it was told",
    );
}

#[test]
fn a_flow_that_is_not_understood_is_counted() {
    let [key, mask] = ip_pair();
    let deep = (0..20).fold(attribute(7, &[0; 4]), |inner, _| nested(20, &[inner]));
    let tags = (0..5).fold(attribute(6, &[8, 0]), |inner, _| nested(1, &[inner]));
    let mut cut = attribute(4, &[0]);
    cut[0] = 99;
    for wrong in [
        vec![],
        vec![mask.clone()],
        vec![nested(1, &[attribute(4, &ETHERNET[..11])])],
        vec![nested(1, &[attribute(7, &IPV4[..8])])],
        vec![nested(1, &[attribute(9, &[0; 3])])],
        vec![nested(1, &[attribute(13, &[0; 3])])],
        vec![nested(1, &[attribute(8, &[0; 39])])],
        vec![
            nested(1, &[attribute(4, &ETHERNET)]),
            nested(7, &[attribute(4, &[0xff; 6])]),
        ],
        vec![key.clone(), attribute(3, &[0; 15])],
        vec![nested(2, &[deep]), key.clone()],
        vec![nested(1, &[tags])],
        vec![key.clone(), cut],
    ] {
        let whole = flow(&[key.clone(), mask.clone()]);
        let poll = poll(&[flow(&wrong), whole]);
        assert_eq!(poll.unattributed.malformed.flows, 1, "{wrong:?}");
        assert_eq!(poll.counters.len(), 1);
    }
}

#[test]
fn flows_are_told_apart() {
    let [key, mask] = ip_pair();
    let other_mask = nested(7, &[attribute(4, &[0xff; 12])]);
    let flows = [
        flow(&[key.clone(), mask.clone()]),
        flow(&[key.clone(), other_mask]),
        flow(&[attribute(9, &[1; 16]), key.clone(), mask.clone()]),
        flow(&[attribute(9, &[2; 16]), key, mask]),
    ];
    let ids = |poll: Poll| -> Vec<u64> { poll.counters.iter().map(|flow| flow.id).collect() };
    let mut seen = ids(poll(&flows));
    assert_eq!(seen, ids(poll(&flows)), "equal in every poll");
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 4);
}

#[test]
fn a_datapath_is_chosen() {
    let found = |names: &[&str]| -> Vec<_> {
        (1..)
            .zip(names)
            .map(|(n, name)| ((*name).to_owned(), [n, 0, 0, 0]))
            .collect()
    };
    let check = |names: &[&str], wanted: Option<&str>, expected: Result<u8, &str>| match (
        choose(&found(names), wanted),
        expected,
    ) {
        (Ok([number, ..]), Ok(expected)) => assert_eq!(number, expected),
        (Err(error), Err(expected)) => {
            let error = error.into_error().to_string();
            assert!(error.contains(expected), "{error}");
        }
        (got, _) => panic!("{wanted:?} of {names:?}: {got:?}"),
    };
    check(&["ovs-system"], None, Ok(1));
    check(&["other", "ovs-system"], Some("ovs-system"), Ok(2));
    check(&["other", "ovs-system"], Some("system@ovs-system"), Ok(2));
    check(&[], None, Err("has no datapath;"));
    check(&[], Some("ovs-system"), Err("has no datapath;"));
    check(&["a", "b"], None, Err("name one: a, b"));
    check(
        &["ovs-system"],
        Some("netdev@ovs-netdev"),
        Err("no datapath netdev@ovs-netdev"),
    );
}

/// The real kernel, which knows at least the family that knows the others.
#[test]
fn the_kernel_answers() {
    let mut socket = Socket::open(Duration::from_secs(5), 1 << 20).unwrap();
    assert_eq!(family(&mut socket, "nlctrl").unwrap(), CONTROL);
    let missing = family(&mut socket, "no_such_family").unwrap_err();
    let missing = missing.into_error().to_string();
    assert!(missing.contains("has no no_such_family"), "{missing}");
    // A list, in as many pieces as it takes.
    let request = Request {
        family: CONTROL,
        flags: DUMP,
        command: CTRL_CMD_GETFAMILY,
        version: CTRL_VERSION,
        body: &[],
    };
    let mut families = 0;
    let count = |_: &[u8]| {
        families += 1;
        Ok(())
    };
    socket.ask(&request, count).unwrap();
    assert!(families >= 1);
    let mut socket = Socket::open(Duration::from_secs(5), 20).unwrap();
    let long = socket.ask(&request, |_| Ok(())).unwrap_err().into_error();
    assert!(long.to_string().contains("longer than 20 bytes"), "{long}");
}

proptest! {
    /// What is written is read, whatever of it is matched.
    #[test]
    fn what_is_encoded_is_decoded(
        mut eth: [u8; 12], mut ip: [u8; 12], ports: [u16; 2], counted: [u64; 2], full: [bool; 3], protocol in 0..3usize,
    ) {
        // Two stations that differ, and no group.
        (eth[0], eth[5], eth[6], eth[11]) = (2, 1, 2, 2);
        (ip[0], ip[3], ip[4], ip[7]) = (10, 1, 10, 2);
        let mask = |full: bool, length: usize| vec![if full { 0xff } else { 0x7f }; length];
        let transport = [9, 10, 17][protocol];
        let raw_ports = ports.map(u16::to_be_bytes).concat();
        let key = nested(1, &[attribute(4, &eth), attribute(7, &ip), attribute(transport, &raw_ports)]);
        let masks = [attribute(4, &mask(full[0], 12)), attribute(7, &mask(full[1], 12)), attribute(transport, &mask(full[2], 4))];
        let read = poll(&[flow(&[key, nested(7, &masks), stats(counted[0], counted[1])])]);
        if !full[0] && !full[1] {
            prop_assert_eq!(read.unattributed.no_addresses.bytes, counted[1]);
            return Ok(());
        }
        let mac = |at: usize| MacAddr::new(eth[at..at + 6].try_into().unwrap());
        let address = |at: usize| End::Ipv4(<[u8; 4]>::try_from(&ip[at..at + 4]).unwrap().into());
        let ends = if full[1] { [0, 4].map(address) } else { [0, 6].map(|at| End::Mac(mac(at))) };
        let transport = Transport { protocol: ip[8], src_port: ports[0], dst_port: ports[1] };
        let expected = FlowCounter {
            id: read.counters[0].id,
            src: ends[0],
            dst: ends[1],
            src_mac: full[0].then(|| mac(0)),
            dst_mac: full[0].then(|| mac(6)),
            transport: (full[1] && full[2] && ip[11] == 0).then_some(transport),
            packets: counted[0],
            bytes: counted[1],
        };
        prop_assert_eq!(read.counters, [expected]);
    }

    /// Whatever comes is read or refused.
    #[test]
    fn damaged_messages_do_no_harm(at in 0..400usize, value: u8, cut in 0..400usize) {
        let [key, mask] = ip_pair();
        let actions = nested(2, &[nested(20, &[attribute(1, &[0; 4])])]);
        let mut bytes = [flow(&[attribute(9, &[3; 16]), key, mask, actions, stats(1, 2)]), done()].concat();
        let place = at % bytes.len();
        bytes[place] = value;
        let whole = read(&[bytes.clone()]);
        if let Ok(poll) = whole {
            prop_assert!(poll.counters.len() + poll.without_ends.len() <= 1);
        }
        bytes.truncate(cut % bytes.len());
        // Neither result is wrong.
        let _ = read(&[bytes]);
    }
}
