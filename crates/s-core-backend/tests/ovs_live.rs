//! A real Open vSwitch, real TCP and UDP between VMs in network namespaces, and what is counted.
//!
//! What the senders sent is known from their payload and the headers of each datagram or segment;
//! for TCP's acknowledgements, which are the kernel's choice, from the VM's own interface counters.
//! Needs root and Open vSwitch; without, it says so and passes, unless `S_CORE_REQUIRE_OVS=1`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ovs_lab;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ovs_lab::traffic::{tcp_stream, udp_bursts, udp_ping_pong, within_one_per_cent};
use ovs_lab::{Lab, address, mac};
use s_core_backend::ovs::ovsdb::Ovsdb;
use s_core_backend::ovs::unixctl::Unixctl;
use s_core_backend::ovs::{IP_PAIR_RULE, OvsFlowSource};
use s_core_backend::{End, FlowSource, FlowSourceError};
use s_core_flow::CounterDeltas;

const DEADLINE: Duration = Duration::from_secs(10);

/// Bytes from a source to a destination, as `OvsFlowSource` and `CounterDeltas` tell them.
struct Watched {
    bytes: BTreeMap<(End, End), u64>,
    polls_without_flows: u32,
}

impl Watched {
    /// Polls the switch of `lab` while `traffic` goes on.
    fn during(lab: &Lab, traffic: impl FnOnce()) -> Self {
        let mut source = OvsFlowSource::new(lab.run_dir(), 7)
            .with_datapath("netdev@ovs-netdev")
            .with_ovsdb(lab.ovsdb());
        let mut counters = CounterDeltas::new(10_000, 7);
        let mut bytes: BTreeMap<(End, End), u64> = BTreeMap::new();
        let mut polls_without_flows = 0;
        let mut poll = || {
            let poll = source.poll(DEADLINE).unwrap();
            assert_eq!(
                poll.unattributed.malformed.flows,
                0,
                "{:?}",
                source.line_errors()
            );
            polls_without_flows += u32::from(poll.counters.is_empty());
            poll.count(&mut counters, |flow, delta| {
                *bytes.entry((flow.src, flow.dst)).or_default() += delta.bytes;
            });
        };
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                poll();
                while !over.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(200));
                    poll();
                }
            });
            // Let the baseline be taken first.
            thread::sleep(Duration::from_millis(300));
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(traffic));
            over.store(true, Ordering::Relaxed);
            if let Err(panic) = result {
                std::panic::resume_unwind(panic);
            }
        });
        Self {
            bytes,
            polls_without_flows,
        }
    }

    /// Bytes from one VM to another.
    fn one_way(&self, from: u8, to: u8) -> u64 {
        let ends = (End::Ipv4(address(from)), End::Ipv4(address(to)));
        self.bytes.get(&ends).copied().unwrap_or_default()
    }

    /// Fails unless the bytes between two VMs are within 1 % of what was sent.
    fn check(&self, a: u8, b: u8, sent: u64) {
        let found = self.one_way(a, b) + self.one_way(b, a);
        assert!(
            within_one_per_cent(found, sent),
            "VMs {a} and {b}: {found} bytes found, {sent} sent; all: {:?}",
            self.bytes
        );
    }
}

#[test]
fn with_the_ip_pair_rule_every_pair_is_within_one_per_cent() {
    let Some(lab) = Lab::new("ip pairs", 4) else {
        return;
    };
    lab.add_rule(IP_PAIR_RULE);
    let fourth_before = lab.frames(4);
    let (mut bursts, mut ping_pong, mut stream) = (0, 0, 0);
    let watched = Watched::during(&lab, || {
        thread::scope(|scope| {
            scope.spawn(|| bursts = udp_bursts(&lab, 1, 2, 1, 3000, Duration::ZERO));
            scope.spawn(|| ping_pong = udp_ping_pong(&lab, 2, 3, 1500));
            scope.spawn(|| stream = tcp_stream(&lab, 3, 4, 300));
        });
    });
    watched.check(1, 2, bursts);
    watched.check(2, 3, ping_pong);
    assert!(within_one_per_cent(watched.one_way(3, 4), stream));
    // VM 4 talks to VM 3 alone.
    watched.check(3, 4, lab.frames(4) - fourth_before);
    assert!(watched.one_way(1, 3) == 0 && watched.one_way(2, 4) == 0);
}

#[test]
fn flows_that_vanish_and_return_lose_nothing() {
    let Some(lab) = Lab::new("vanishing flows", 2) else {
        return;
    };
    lab.add_rule(IP_PAIR_RULE);
    lab.vsctl("set Open_vSwitch . other_config:max-idle=500");
    let mut sent = 0;
    let pause = Duration::from_millis(1800);
    let watched = Watched::during(&lab, || sent = udp_bursts(&lab, 1, 2, 3, 1500, pause));
    watched.check(1, 2, sent);
    assert!(watched.polls_without_flows >= 3, "the flows did not vanish");
}

#[test]
fn with_the_normal_action_mac_pairs_become_pairs_of_learnt_addresses() {
    let Some(lab) = Lab::new("MAC pairs", 3) else {
        return;
    };
    // Round the ring, so that each VM asks for an address once and thereby shows its own.
    for (from, to) in [(1, 2), (2, 3), (3, 1)] {
        udp_ping_pong(&lab, from, to, 1);
    }
    let (mut first, mut second, mut third) = (0, 0, 0);
    let watched = Watched::during(&lab, || {
        first = udp_ping_pong(&lab, 1, 2, 500);
        second = udp_ping_pong(&lab, 2, 3, 500);
        third = udp_ping_pong(&lab, 3, 1, 500);
    });
    // Multicast and the like may stay between MAC addresses.
    let vms: BTreeSet<End> = (1..=3).map(|n| End::Ipv4(address(n))).collect();
    let is_vm = |end: &End| vms.contains(end);
    let others = watched.bytes.iter();
    let others = others.filter(|((src, dst), _)| !(is_vm(src) && is_vm(dst)));
    assert!(
        others.map(|(_, bytes)| bytes).sum::<u64>() < 1000,
        "{:?}",
        watched.bytes
    );
    watched.check(1, 2, first);
    watched.check(2, 3, second);
    watched.check(3, 1, third);
}

#[test]
fn the_database_and_the_refusals_of_the_daemon() {
    let Some(lab) = Lab::new("database", 2) else {
        return;
    };
    let interfaces = Ovsdb::new(lab.ovsdb()).interfaces(DEADLINE).unwrap();
    let found: Vec<_> = interfaces
        .iter()
        .map(|i| {
            (
                i.name.as_str(),
                i.attached_mac.map(|m| m.to_string()),
                i.bridge.as_deref(),
            )
        })
        .collect();
    let expected = [
        ("br0", None, Some("br0")),
        ("vif1.0", Some(mac(1)), Some("br0")),
        ("vif2.0", Some(mac(2)), Some("br0")),
    ];
    assert_eq!(found, expected);
    assert!(interfaces.iter().all(|i| i.ofport.is_some()));

    let mut source = OvsFlowSource::new(lab.unixctl(), 7).with_datapath("netdev@nosuch");
    let error = source.poll(DEADLINE).unwrap_err();
    assert!(matches!(&error, FlowSourceError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("datapath not found"), "{error}");
    let error = Unixctl::new(lab.unixctl())
        .call("nosuch", &[], DEADLINE)
        .unwrap_err();
    assert!(
        error.to_string().contains("is not a valid command"),
        "{error}"
    );
}
