//! What each flow source sees of what VMs sent, and what it costs the switch: a Markdown table.
//!
//! ```text
//! cargo run -p s-core-backend --example flow-accuracy
//! ```
//!
//! A real Open vSwitch with four VMs in network namespaces; needs root. VMs 1 and 2 talk, and VMs 3 and 4. The truth
//! is what the VMs' kernels counted as received on their own interfaces: what was lost before the switch it cannot have
//! seen. The switch is polled every two seconds, as by an agent.

#![expect(
    clippy::unwrap_used,
    reason = "it fails by panicking, as the laboratory of the tests does"
)]

#[path = "../tests/ovs_lab/mod.rs"]
mod ovs_lab;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ovs_lab::traffic::{tcp_stream, udp_bursts};
use ovs_lab::{Lab, address, mac};
use s_core_backend::ovs::netflow::NetFlowSource;
use s_core_backend::ovs::unixctl::Unixctl;
use s_core_backend::ovs::{OvsFlowSource, dump};
use s_core_backend::{End, FlowSource, Poll};
use s_core_flow::CounterDeltas;

const DEADLINE: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_secs(2);
/// NetFlow comes two seconds late.
const SETTLING: Duration = Duration::from_secs(3);
/// How often the switch is asked to see what a poll costs it.
const POLLS: u32 = 50;
const PAIRS: [(u8, u8); 2] = [(1, 2), (3, 4)];

const PORTS_TOO: [&str; 2] = [
    "priority=20,tcp,actions=move:NXM_OF_IP_SRC[]->NXM_NX_REG0[],move:NXM_OF_IP_DST[]->NXM_NX_REG1[],move:NXM_OF_TCP_SRC[]->NXM_NX_REG2[0..15],move:NXM_OF_TCP_DST[]->NXM_NX_REG2[16..31],NORMAL",
    "priority=20,udp,actions=move:NXM_OF_IP_SRC[]->NXM_NX_REG0[],move:NXM_OF_IP_DST[]->NXM_NX_REG1[],move:NXM_OF_UDP_SRC[]->NXM_NX_REG2[0..15],move:NXM_OF_UDP_DST[]->NXM_NX_REG2[16..31],NORMAL",
];

/// A flow source and how the bridge is set up for it.
type Set = (&'static str, fn(&Lab) -> Box<dyn FlowSource>);

const SOURCES: [Set; 4] = [
    ("datapath, NORMAL alone (MAC pairs)", |lab| {
        Box::new(datapath(lab))
    }),
    ("datapath, IP-pair rule", |lab| {
        Box::new(datapath(lab).with_ip_pair_rule("br0".parse().unwrap()))
    }),
    ("datapath, rule with ports (5-tuples)", |lab| {
        PORTS_TOO.into_iter().for_each(|rule| lab.add_rule(rule));
        Box::new(datapath(lab))
    }),
    ("NetFlow v5", |lab| {
        let bridge = "br0".parse().unwrap();
        Box::new(NetFlowSource::new(lab.run_dir(), lab.ovsdb(), bridge, 7))
    }),
];

/// Traffic between two VMs.
type Mix = (&'static str, fn(&Lab, u8, u8));

const MIXES: [Mix; 2] = [
    ("short", |lab, from, to| {
        short_connections(lab, from, to, 2000);
    }),
    ("bulk", |lab, from, to| {
        tcp_stream(lab, from, to, 1000);
        udp_bursts(lab, from, to, 1, 5000, Duration::ZERO);
    }),
];

fn datapath(lab: &Lab) -> OvsFlowSource {
    OvsFlowSource::new(lab.run_dir(), 7).with_ovsdb(lab.ovsdb())
}

/// Bytes and packets.
#[derive(Clone, Copy, Default)]
struct Count {
    bytes: u64,
    packets: u64,
}

/// What a run shows.
struct Outcome {
    sent: Count,
    seen: Count,
    flows: usize,
    cpu_during: Duration,
    cpu_per_poll: Duration,
}

fn main() {
    println!(
        "| source | mix | MB true | bytes seen | packets true | packets seen | datapath flows | vswitchd CPU ms per poll | vswitchd CPU ms per MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (mix, traffic) in MIXES {
        for (source, set_up) in SOURCES {
            let Some(lab) = Lab::new("flow-accuracy", 4) else {
                return;
            };
            let outcome = measure(&lab, set_up(&lab), traffic);
            let Outcome { sent, seen, .. } = outcome;
            let megabytes = sent.bytes as f64 / 1e6;
            println!(
                "| {source} | {mix} | {megabytes:.1} | {:.2} % | {} | {:.2} % | {} | {:.2} | {:.2} |",
                per_cent(seen.bytes, sent.bytes),
                sent.packets,
                per_cent(seen.packets, sent.packets),
                outcome.flows,
                outcome.cpu_per_poll.as_secs_f64() * 1e3,
                outcome.cpu_during.as_secs_f64() * 1e3 / megabytes,
            );
        }
    }
}

fn per_cent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole as f64
}

fn measure(lab: &Lab, source: Box<dyn FlowSource>, traffic: fn(&Lab, u8, u8)) -> Outcome {
    let mut counters = CounterDeltas::new(1 << 20, 7);
    let mut seen = Count::default();
    let mut take = |poll: &Poll| {
        poll.count(&mut counters, |flow, delta| {
            let pair = (number(flow.src), number(flow.dst));
            if PAIRS
                .iter()
                .any(|(a, b)| pair == (*a, *b) || pair == (*b, *a))
            {
                seen.bytes += delta.bytes;
                seen.packets += delta.packets;
            }
        });
    };
    let (mut source, first) = begin(lab, source);
    take(&first);
    let (sent, cpu) = (truth(lab), cpu(lab));
    let over = AtomicBool::new(false);
    let source = thread::scope(|scope| {
        let polls = scope.spawn(|| {
            let mut next = Instant::now() + INTERVAL;
            while !over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(50));
                if Instant::now() >= next {
                    next += INTERVAL;
                    take(&source.poll(DEADLINE).unwrap());
                }
            }
            thread::sleep(SETTLING);
            take(&source.poll(DEADLINE).unwrap());
            source
        });
        let talks = PAIRS.map(|(from, to)| scope.spawn(move || traffic(lab, from, to)));
        for talk in talks {
            talk.join().unwrap();
        }
        over.store(true, Ordering::Relaxed);
        polls.join().unwrap()
    });
    let after = truth(lab);
    Outcome {
        sent: Count {
            bytes: after.bytes - sent.bytes,
            packets: after.packets - sent.packets,
        },
        seen,
        cpu_during: self::cpu(lab) - cpu,
        flows: flows(lab),
        cpu_per_poll: cost(lab, source),
    }
}

/// The first poll, from the switch's own network: there NetFlow's port has to be.
fn begin(lab: &Lab, mut source: Box<dyn FlowSource>) -> (Box<dyn FlowSource>, Poll) {
    let poll = move || {
        let poll = source.poll(DEADLINE).unwrap();
        (source, poll)
    };
    let begun = lab.in_host(poll).join().unwrap();
    // The switch needs a moment for what was set.
    thread::sleep(Duration::from_millis(300));
    begun
}

/// The CPU time that a poll takes of the switch while the flows of the traffic are still there.
fn cost(lab: &Lab, mut source: Box<dyn FlowSource>) -> Duration {
    let idle = {
        let (before, began) = (cpu(lab), Instant::now());
        thread::sleep(Duration::from_millis(500));
        (cpu(lab) - before).div_duration_f64(began.elapsed())
    };
    let (before, began) = (cpu(lab), Instant::now());
    for _ in 0..POLLS {
        source.poll(DEADLINE).unwrap();
    }
    let spent = cpu(lab) - before;
    spent.saturating_sub(began.elapsed().mul_f64(idle)) / POLLS
}

/// The VM behind an end, 0 if it is none.
fn number(end: End) -> u8 {
    let is = |n: &u8| match end {
        End::Ipv4(ip) => ip == address(*n),
        End::Mac(of) => of.to_string() == mac(*n),
        End::Ipv6(_) => false,
    };
    (1..=4).find(is).unwrap_or(0)
}

/// What all VMs have received.
fn truth(lab: &Lab) -> Count {
    let counts = (1..=4).map(|vm| lab.received(vm));
    counts.fold(Count::default(), |sum, (bytes, packets)| Count {
        bytes: sum.bytes + bytes,
        packets: sum.packets + packets,
    })
}

/// How many flows the datapath has.
fn flows(lab: &Lab) -> usize {
    let dump = Unixctl::new(lab.run_dir()).call("dpctl/dump-flows", &[], DEADLINE);
    dump::flows(&dump.unwrap()).count()
}

/// The CPU time of all threads of ovs-vswitchd.
fn cpu(lab: &Lab) -> Duration {
    let pid = fs::read_to_string(lab.run_dir().join("ovs-vswitchd.pid")).unwrap();
    let tasks = fs::read_dir(format!("/proc/{}/task", pid.trim())).unwrap();
    let nanos = tasks.map(|task| {
        let text = fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        let first = text.split(' ').next().unwrap();
        first.parse::<u64>().unwrap()
    });
    Duration::from_nanos(nanos.sum())
}

/// One connection after the other, with 100 to 20,000 bytes there and as many as a tenth back.
fn short_connections(lab: &Lab, from: u8, to: u8, count: u32) {
    let bind = move || TcpListener::bind((address(to), 0)).unwrap();
    let listener = lab.in_vm(to, bind).join().unwrap();
    let target = listener.local_addr().unwrap();
    let serve = lab.in_vm(to, move || {
        for stream in listener.incoming().take(count as usize) {
            let mut stream = stream.unwrap();
            let mut asked = Vec::new();
            stream.read_to_end(&mut asked).unwrap();
            stream.write_all(&asked[..asked.len() / 10]).unwrap();
        }
    });
    let ask = lab.in_vm(from, move || {
        for n in 0..count {
            let size = 100 + n.wrapping_mul(2_654_435_761) % 19_900;
            let mut stream = TcpStream::connect_timeout(&target, DEADLINE).unwrap();
            stream.write_all(&vec![7; size as usize]).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            stream.read_to_end(&mut Vec::new()).unwrap();
        }
    });
    ask.join().unwrap();
    serve.join().unwrap();
}
