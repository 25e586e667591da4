//! Real traffic between VMs in network namespaces: its rates, its truth, and its end.

mod traffic_lab;

use std::thread;
use std::time::{Duration, Instant};

use s_core_lab::traffic::{Mix, PairTraffic, Traffic, TrafficSettings, Truth};
use s_core_model::Rate;

use traffic_lab::Bridge;

fn pair(bridge: &Bridge, a: u32, b: u32, rate: f64, mix: Mix) -> PairTraffic {
    PairTraffic::new(bridge.vm(a), bridge.vm(b), Rate::new(rate).unwrap(), mix)
}

#[test]
fn rates_are_those_of_the_matrix() {
    let Some(bridge) = Bridge::new("rates_are_those_of_the_matrix", 4) else {
        return;
    };
    let pairs = [
        pair(&bridge, 1, 2, 1_500_000.0, Mix::BULK),
        pair(&bridge, 1, 3, 400_000.0, Mix::SHORT),
        pair(&bridge, 2, 3, 300_000.0, Mix::UDP),
        PairTraffic {
            share_of_a: 0.9,
            ..pair(&bridge, 4, 2, 600_000.0, "bulk=2,short=1,udp=1".parse().unwrap())
        },
        pair(&bridge, 3, 4, 40_000.0, Mix::default()),
    ];
    let endpoints = s_core_lab::traffic::Endpoint::all(&bridge.layout);
    let mut truth = Truth::open(endpoints.clone()).unwrap();
    let traffic = Traffic::start(&endpoints, &pairs, TrafficSettings::default()).unwrap();
    thread::sleep(Duration::from_millis(500));
    let first = truth.read().unwrap();
    thread::sleep(Duration::from_secs(4));
    let second = truth.read().unwrap();
    let payload = traffic.stop().unwrap();
    for row in second.rates(&first) {
        eprintln!("{row:?}");
    }
    eprintln!("{payload:#?}");
    let t = Instant::now();
    let last = truth.read().unwrap();
    eprintln!("{:?}", t.elapsed());
    for ((from, to), p) in &payload {
        eprintln!("{from} {to} {} {:?}", p.sent, last.sent(*from, *to));
    }
    panic!();
}
