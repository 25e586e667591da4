//! Reading datapath flow dumps of 10,000 flows.

use std::fmt::Write;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use s_core_backend::ovs::{MacTable, dump};

const FLOWS: u64 = 10_000;

/// Flows as the userspace datapath prints them: pairs of addresses, or with ports, and with `-m`.
fn generated(form: &str) -> String {
    let mut rng = Pcg64::seed_from_u64(10);
    let mut text = String::from("flow-dump from the main thread:\n");
    for _ in 0..FLOWS {
        let (a, b): (u16, u16) = (rng.random(), rng.random());
        let ([a2, a1], [b2, b1]) = (a.to_be_bytes(), b.to_be_bytes());
        let (port, packets) = (
            rng.random_range(1024..60_000),
            rng.random_range(1..100_000_u64),
        );
        let bytes = packets * 1000;
        let eth = format!(
            "in_port(6),packet_type(ns=0,id=0),eth(src=02:00:0a:00:{a2:02x}:{a1:02x},dst=02:00:0a:00:{b2:02x}:{b1:02x}),eth_type(0x0800)"
        );
        let line = match form {
            "ip-pair" => format!(
                "recirc_id(0),{eth},ipv4(src=10.0.{a2}.{a1},dst=10.0.{b2}.{b1},frag=no), packets:{packets}, bytes:{bytes}, used:0.953s, actions:1"
            ),
            "five-tuple" => format!(
                "recirc_id(0),{eth},ipv4(src=10.0.{a2}.{a1},dst=10.0.{b2}.{b1},proto=6,frag=no),tcp(src={port},dst=80), packets:{packets}, bytes:{bytes}, used:0.953s, flags:SFP., actions:1"
            ),
            _ => format!(
                "ufid:a53f1b47-f8c7-445b-822d-{port:012x}, skb_priority(0/0),skb_mark(0/0),ct_state(0/0),ct_zone(0/0),ct_mark(0/0),ct_label(0/0),recirc_id(0),dp_hash(0/0),{eth},ipv4(src=10.0.{a2}.{a1}/0.0.0.0,dst=10.0.{b2}.{b1}/0.0.0.0,proto=6/0,tos=0/0,ttl=64/0,frag=no),tcp(src={port}/0,dst=80/0),tcp_flags(0/0), packets:{packets}, bytes:{bytes}, used:6.094s, flags:FP., dp:ovs, actions:phy, dp-extra-info:miniflow_bits(5,1)"
            ),
        };
        let _ = writeln!(text, "{line}");
    }
    text
}

fn dumps(c: &mut Criterion) {
    let mut group = c.benchmark_group("dump");
    group.throughput(Throughput::Elements(FLOWS));
    for form in ["ip-pair", "five-tuple", "normal-m"] {
        let text = generated(form);
        group.bench_function(format!("flows/{form}"), |b| {
            b.iter(|| {
                let flows = dump::flows(black_box(&text));
                flows.map(|f| f.map_or(0, |f| f.bytes)).sum::<u64>()
            });
        });
        group.bench_function(format!("read_dump/{form}"), |b| {
            let mut stations = MacTable::new(1 << 17, 7);
            b.iter(|| {
                dump::read_dump(black_box(&text), 7, &mut stations).map(|r| r.poll.counters.len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, dumps);
criterion_main!(benches);
