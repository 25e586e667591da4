//! Real traffic between VMs in network namespaces: its rates, its truth, what it does when links break, and its end.
//!
//! Needs root, iproute2, nft and ethtool; without, it says so and passes, unless `S_CORE_REQUIRE_OVS=1`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
mod traffic_lab;

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use s_core_lab::traffic::{
    Endpoint, Mix, PairTraffic, Payload, ProbeSettings, Probes, Reading, Sampler, Traffic,
    TrafficSettings, Truth,
};
use s_core_model::{Rate, VmId};

use traffic_lab::Bridge;

/// Ethernet and IPv4 headers with those of UDP, and of TCP with the time stamp option.
const UDP_HEADERS: u64 = 14 + 20 + 8;
const TCP_HEADERS: u64 = 14 + 20 + 32;
/// A question or answer for a MAC address.
const ARP: u64 = 42;
const DATAGRAM: u64 = 1200;
const SEGMENT: u64 = 1448;

fn pair(bridge: &Bridge, a: u32, b: u32, rate: f64, mix: Mix) -> PairTraffic {
    PairTraffic::new(bridge.vm(a), bridge.vm(b), Rate::new(rate).unwrap(), mix)
}

fn near(found: f64, wanted: f64, tolerance: f64, what: &str) {
    let off = (found / wanted - 1.0).abs();
    assert!(off <= tolerance, "{what}: {found}, not {wanted}");
}

fn sleep(seconds: f64) {
    thread::sleep(Duration::from_secs_f64(seconds));
}

#[test]
fn rates_are_those_of_the_matrix_and_all_counters_agree() {
    let Some(bridge) = Bridge::new("rates_are_those_of_the_matrix_and_all_counters_agree", 4)
    else {
        return;
    };
    let pairs = [
        pair(&bridge, 1, 2, 1_500_000.0, Mix::BULK),
        pair(&bridge, 1, 3, 400_000.0, Mix::SHORT),
        pair(&bridge, 2, 3, 300_000.0, Mix::UDP),
        PairTraffic {
            share_of_a: 0.9,
            ..pair(
                &bridge,
                4,
                2,
                600_000.0,
                "bulk=2,short=1,udp=1".parse().unwrap(),
            )
        },
        pair(&bridge, 3, 4, 100_000.0, Mix::default()),
    ];
    let endpoints = Endpoint::all(&bridge.layout);
    let mut truth = Truth::open(endpoints.clone()).unwrap();
    let traffic = Traffic::start(&endpoints, &pairs, TrafficSettings::default()).unwrap();
    sleep(0.3);
    let first = truth.read().unwrap();
    speak_to_itself(&bridge.endpoint(1));
    sleep(3.0);
    let rates = truth.read().unwrap().rates(&first);
    let payload = traffic.stop().unwrap();
    for wanted in pairs {
        let ends = [wanted.a.min(wanted.b), wanted.a.max(wanted.b)];
        let found = rates.iter().find(|row| [row.vm_a, row.vm_b] == ends);
        let [found, wanted] = [found.unwrap().rate, wanted.rate].map(Rate::bytes_per_second);
        near(found, wanted, 0.05, &format!("{ends:?}"));
    }
    assert_eq!(rates.len(), pairs.len());
    // What ends the last connections may still be on its way.
    sleep(0.2);
    let last = truth.read().unwrap();
    frames_are_payload_and_headers(&bridge, &payload, &last);
    interfaces_saw_the_same(&bridge, &last);
    // The counters go on where they are opened once more.
    let mut again = Truth::open(endpoints).unwrap();
    assert!(last.iter().eq(again.read().unwrap().iter()));
    truth.remove().unwrap();
    let gone = again.read().unwrap_err().to_string();
    assert!(gone.contains("counters"), "{gone}");
}

/// What a VM sends to its own address leaves its IP layer, but not the VM.
fn speak_to_itself(vm: &Endpoint) {
    let speak = || {
        vm.enter().unwrap();
        let socket = UdpSocket::bind((vm.address, 0)).unwrap();
        socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
    };
    thread::scope(|scope| scope.spawn(speak).join().unwrap());
}

/// What the kernels sent is what the programs gave them, and headers.
fn frames_are_payload_and_headers(
    bridge: &Bridge,
    payload: &BTreeMap<(VmId, VmId), Payload>,
    last: &Reading,
) {
    let mix = |a, b| payload.get(&(bridge.vm(a), bridge.vm(b))).unwrap();
    for (&(from, to), sent) in payload {
        let frames = last.sent(from, to);
        assert!(sent.sent > 0 && sent.sent == sent.received && sent.broken == 0);
        assert!(
            sent.sent <= frames.bytes,
            "{from} {to}: {sent:?} {frames:?}"
        );
    }
    for (a, b) in [(2, 3), (3, 2)] {
        let (sent, frames) = (mix(a, b).sent, last.sent(bridge.vm(a), bridge.vm(b)));
        assert_eq!(frames.packets, sent / DATAGRAM);
        assert_eq!(frames.bytes, sent + frames.packets * UDP_HEADERS);
    }
    for (a, b) in [(1, 2), (2, 1), (1, 3), (3, 1)] {
        let (sent, frames) = (mix(a, b).sent, last.sent(bridge.vm(a), bridge.vm(b)));
        let connections = mix(a, b).connections + mix(b, a).connections;
        // The first packet of each end of a connection has 8 bytes more of options.
        let headers = frames.packets * TCP_HEADERS + connections * 8;
        // On a busy machine TCP sends a segment again now and then, and is told so by 12 bytes of options.
        let again = bridge.retransmitted(a) * SEGMENT + bridge.retransmitted(b) * 12;
        let least = sent + headers;
        assert!(
            (least..=least + again).contains(&frames.bytes),
            "{a} to {b}: {frames:?}, not {least} + {again}"
        );
    }
}

/// What a VM's interface received is what the others sent to it, and questions for MAC addresses.
fn interfaces_saw_the_same(bridge: &Bridge, last: &Reading) {
    for n in 1..=4 {
        let vm = bridge.vm(n);
        let [packets_in, bytes_in, packets_out, bytes_out] = bridge.interface(n);
        let sum = |is: &dyn Fn(VmId, VmId) -> bool| {
            let all = last.iter().filter(|(from, to, _)| is(*from, *to));
            all.fold((0, 0), |(packets, bytes), (_, _, frames)| {
                (packets + frames.packets, bytes + frames.bytes)
            })
        };
        let (packets, bytes) = sum(&|_, to| to == vm);
        let arp = packets_in - packets;
        assert!(arp < 100, "{arp}");
        assert_eq!(bytes_in, bytes + arp * ARP);
        let (packets, bytes) = sum(&|from, _| from == vm);
        let arp = packets_out - packets;
        assert!(arp < 100, "{arp}");
        assert_eq!(bytes_out, bytes + arp * ARP);
    }
}

#[test]
fn traffic_goes_on_after_an_outage_and_ends_in_time() {
    let Some(bridge) = Bridge::new("traffic_goes_on_after_an_outage_and_ends_in_time", 3) else {
        return;
    };
    let mix = "bulk=2,short=1,udp=1".parse().unwrap();
    let pairs = [pair(&bridge, 1, 2, 800_000.0, mix)];
    let endpoints = Endpoint::all(&bridge.layout);
    let mut truth = Truth::open(endpoints.clone()).unwrap();
    let begin = Instant::now();
    let settings = TrafficSettings {
        limit: Duration::from_secs(10),
        ..TrafficSettings::default()
    };
    let traffic = Traffic::start(&endpoints, &pairs, settings).unwrap();
    let probed = [(bridge.endpoint(1), bridge.endpoint(2))];
    let probes = Probes::start(&probed, ProbeSettings::from(begin)).unwrap();
    let ends = (bridge.vm(1), bridge.vm(2));
    let every = Duration::from_millis(100);
    let sampler = Sampler::start(&traffic, &[ends], every, begin).unwrap();
    sleep(1.0);
    bridge.link(2, "down");
    sleep(2.0);
    bridge.link(2, "up");
    sleep(3.0);
    let first = truth.read().unwrap();
    sleep(2.0);
    let rates = truth.read().unwrap().rates(&first);
    // With the probes, and what short flows make up for.
    near(
        rates[0].rate.bytes_per_second(),
        811_600.0,
        0.1,
        "afterwards",
    );

    let [probes] = &probes.stop().unwrap()[..] else {
        panic!("one pair is probed")
    };
    let gap = probes.longest_gap().as_secs_f64();
    assert!((1.9..3.5).contains(&gap), "{gap}");
    assert!(probes.quantile(0.5) < Some(Duration::from_millis(5)));
    let [series] = &sampler.stop()[..] else {
        panic!("one pair is watched")
    };
    let received = |from, to| {
        let within = (series.throughput()).filter(|one| (from..to).contains(&one.at.as_secs_f64()));
        within
            .map(|one| one.received.bytes_per_second())
            .sum::<f64>()
            * 0.1
    };
    assert!(received(1.3, 2.9) == 0.0, "{series:?}");
    assert!(received(6.0, 7.5) > 0.0, "{series:?}");

    // Other pairs take their place, and the time runs out.
    let others = [pair(&bridge, 3, 1, 200_000.0, Mix::UDP)];
    traffic.change(&others).unwrap();
    sleep(0.5);
    let first = truth.read().unwrap();
    sleep(0.5);
    let rates = truth.read().unwrap().rates(&first);
    assert!(
        rates.iter().all(|row| row.vm_b == bridge.vm(3)) && rates.len() == 1,
        "{rates:?}"
    );
    let left = Duration::from_secs(11).saturating_sub(begin.elapsed());
    thread::sleep(left);
    assert!(traffic.is_over());
    let payload = traffic.stop().unwrap();
    assert!(payload[&ends].connections > 0, "{payload:?}");
}

#[test]
fn what_cannot_be_used_is_named() {
    let Some(bridge) = Bridge::new("what_cannot_be_used_is_named", 1) else {
        return;
    };
    let other = Endpoint {
        address: [10, 99, 99, 99].into(),
        ..bridge.endpoint(1)
    };
    let settings = TrafficSettings::default();
    let refused = Traffic::start(&[bridge.endpoint(1), other.clone()], &[], settings.clone());
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.starts_with("cannot open UDP 10.99.99.99:7701: "),
        "{refused}"
    );
    let refused = Truth::open(vec![other]).unwrap_err().to_string();
    assert!(
        refused.ends_with("10.99.99.99: no interface has this address"),
        "{refused}"
    );
    let away = Endpoint {
        address: bridge.vm(1).addr(),
        network: s_core_lab::traffic::Network::Namespace("score-not-there".into()),
    };
    let refused = Traffic::start(&[away], &[], settings)
        .unwrap_err()
        .to_string();
    assert!(
        refused.starts_with("/run/netns/score-not-there: "),
        "{refused}"
    );
}
