//! The IP-pair rule on a real Open vSwitch: set, kept, and taken away, and nothing else touched.
//!
//! Needs root and Open vSwitch; without, it says so and passes, unless `S_CORE_REQUIRE_OVS=1`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ovs_lab;

use std::time::Duration;

use ovs_lab::traffic::udp_ping_pong;
use ovs_lab::{Lab, address};
use s_core_backend::ovs::{IP_PAIR_COOKIE, OvsFlowSource};
use s_core_backend::{End, FlowSource};

const DEADLINE: Duration = Duration::from_secs(10);

/// More polls than pass between two looks at the bridge.
const POLLS: usize = 6;

const FOREIGN: [&str; 2] = [
    "cookie=0x5,priority=200,udp,tp_dst=9,actions=drop",
    "cookie=0x5,priority=100,ip,nw_dst=10.9.0.250,actions=NORMAL",
];

fn source(lab: &Lab) -> OvsFlowSource {
    OvsFlowSource::new(lab.run_dir(), 7).with_ip_pair_rule("br0".parse().unwrap())
}

fn poll(source: &mut OvsFlowSource, polls: usize) {
    for _ in 0..polls {
        source.poll(DEADLINE).unwrap();
    }
}

/// How many rules of the bridge are the source's.
fn own(lab: &Lab) -> usize {
    lab.rules().matches(&format!("{IP_PAIR_COOKIE:#x}")).count()
}

#[test]
fn it_is_set_kept_and_taken_away_among_foreign_rules() {
    let Some(lab) = Lab::new("the IP-pair rule", 2) else {
        return;
    };
    FOREIGN.into_iter().for_each(|rule| lab.add_rule(rule));
    let before = lab.rules();
    let mut switch = source(&lab);
    poll(&mut switch, 1);
    assert_eq!(own(&lab), 1, "{}", lab.rules());
    udp_ping_pong(&lab, 1, 2, 5);
    let ends = (End::Ipv4(address(1)), End::Ipv4(address(2)));
    let flows = switch.poll(DEADLINE).unwrap().counters;
    let pair = flows.iter().find(|flow| (flow.src, flow.dst) == ends);
    // The ends are the switch's own words: it matches on the protocol's addresses and not on ports.
    assert!(
        pair.is_some_and(|flow| flow.transport.is_none()),
        "{flows:?}"
    );

    // Somebody takes it away; a process that was killed left it behind; an older version's stands there.
    let all = format!("cookie={IP_PAIR_COOKIE:#x}/-1");
    lab.ofctl(&["del-flows", "br0", &all]);
    poll(&mut switch, POLLS);
    assert_eq!(own(&lab), 1);
    lab.add_rule(&format!(
        "cookie={IP_PAIR_COOKIE:#x},priority=3,ip,actions=NORMAL"
    ));
    poll(&mut switch, POLLS);
    assert_eq!(own(&lab), 1, "{}", lab.rules());
    std::mem::forget(switch);
    let mut switch = source(&lab);
    poll(&mut switch, POLLS);
    assert_eq!(own(&lab), 1);

    drop(switch);
    assert_eq!(lab.rules(), before);
}

#[test]
fn a_rule_that_somebody_else_keeps_stays() {
    let Some(lab) = Lab::new("an IP-pair rule of somebody else's", 2) else {
        return;
    };
    let guest = || {
        let bridge = "br0".parse().unwrap();
        OvsFlowSource::new(lab.run_dir(), 7).with_ip_pair_rule_unless_set(bridge)
    };
    let before = lab.rules();
    let mut keeper = source(&lab);
    poll(&mut keeper, 1);
    let mut beside = guest();
    poll(&mut beside, POLLS);
    drop(beside);
    assert_eq!(own(&lab), 1, "it was found, and stays");
    // Its keeper ends while the other goes on, which sets one of its own and takes that away.
    let mut beside = guest();
    poll(&mut beside, 1);
    drop(keeper);
    assert_eq!(own(&lab), 0);
    poll(&mut beside, POLLS);
    assert_eq!(own(&lab), 1);
    drop(beside);
    assert_eq!(lab.rules(), before);
}

#[test]
fn a_switch_or_bridge_made_anew_has_it_again() {
    let Some(lab) = Lab::new("the IP-pair rule after restarts", 2) else {
        return;
    };
    let mut switch = source(&lab);
    poll(&mut switch, 1);
    lab.stop("ovs-vswitchd");
    assert!(switch.poll(DEADLINE).is_err());
    lab.start_again("ovs-vswitchd");
    // The new process has a new socket; the first poll that it answers finds the rule gone.
    poll(&mut switch, 1);
    assert_eq!(own(&lab), 1);

    lab.vsctl("del-br br0");
    lab.add_bridge();
    assert_eq!(own(&lab), 0);
    poll(&mut switch, POLLS);
    assert_eq!(own(&lab), 1);
}

#[test]
fn a_bridge_that_is_not_plain_is_left_alone() {
    let Some(lab) = Lab::new("bridges that are not plain", 1) else {
        return;
    };
    let check = |rules: &[&str]| {
        lab.ofctl(&["del-flows", "br0"]);
        rules.iter().for_each(|rule| lab.add_rule(rule));
        let before = lab.rules();
        let mut switch = source(&lab);
        poll(&mut switch, POLLS);
        assert_eq!(lab.rules(), before);
        drop(switch);
        assert_eq!(lab.rules(), before);
    };
    check(&[]);
    check(&["priority=0,actions=drop"]);
    check(&["priority=0,actions=resubmit(,1)", "table=1,actions=NORMAL"]);
    check(&["priority=0,actions=NORMAL", "priority=0,arp,actions=drop"]);
    // It overlaps with the rule, and which of the two counts would not be known.
    check(&["priority=0,actions=NORMAL", "priority=1,tcp,actions=drop"]);
}
