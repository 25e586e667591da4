//! What real agents send in a round: they run in a network namespace of their own, whose counters count nobody else.

use std::fs;
use std::time::{Duration, Instant};

use s_core_agent::Event;
use s_core_agent::embedded::{Embedded, EmbeddedConfig, Scenario, ScenarioVm};
use s_core_examples::Failure;
use s_core_lab::VmNumber;
use s_core_lab::namespace::spawn_in;
use s_core_model::{MigrationCost, Rate};
use s_core_proto::Report;
use s_core_token::PolicyKind;

use super::computed::{Frames, Round};
use crate::decision::{peer, server};
use crate::laboratory::Laboratory;
use crate::progress::Progress;

/// Each VM talks to so many after it and before it in the order of the ids; all on other servers.
const NEIGHBOURS: u16 = 2;
/// Rounds that pass before counting begins: until everybody knows where the VMs are and what they exchange.
const FIRST_ROUNDS: u32 = 2;
/// Rounds that are counted.
const ROUNDS: u32 = 3;
/// How long nothing may happen.
const SILENCE: Duration = Duration::from_secs(60);
/// IPv4 and UDP headers.
const UDP_HEADERS: u64 = 20 + 8;
/// IPv4 and TCP headers with the time stamp option, and what the segments that open a connection have more.
const TCP_HEADERS: u64 = 20 + 32;
const TCP_OPENING: u64 = 8;

/// A round as it was sent, the mean of several.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) servers: u16,
    pub(crate) vms: u16,
    /// Peers of each VM.
    pub(crate) peers: u16,
    pub(crate) handovers: u64,
    /// Bytes of messages, from the wire format.
    pub(crate) computed: u64,
    /// Bytes of messages that were sent.
    pub(crate) sent: f64,
    /// The same with the headers of UDP, TCP and IP, and TCP's own segments.
    pub(crate) sent_with_headers: f64,
    /// Seconds.
    pub(crate) duration: f64,
}

/// For each of these numbers of servers and VMs, without and with peers; or why it cannot be counted here.
pub(super) fn measure(
    runs: &[(u16, u16)],
    frames: &mut Frames,
    progress: &Progress,
) -> Result<Result<Vec<Counted>, String>, Failure> {
    if let Some(missing) = Laboratory::missing() {
        return Ok(Err(missing));
    }
    let laboratory = Laboratory::up()?;
    // Nobody else uses a VM's loopback interface.
    let namespace = laboratory.layout().vm_namespace(VmNumber(1));
    let mut all = Vec::new();
    for &(servers, vms) in runs {
        for neighbours in [0, NEIGHBOURS] {
            progress.step(&format!("bytes of a round: {servers} servers, {vms} VMs"))?;
            let scenario = scenario(servers, vms, neighbours)?;
            let thread = spawn_in(&namespace, move || rounds(&scenario))?;
            let ended = thread
                .join()
                .map_err(|_| Failure::failed("an agent's thread panicked"))?;
            let (counters, duration) = ended??;
            let round = round_of(vms, neighbours);
            let token = frames.token(vms.into())?;
            let per_round = |count: u64| count as f64 / f64::from(ROUNDS);
            all.push(Counted {
                servers,
                vms,
                peers: 2 * neighbours,
                handovers: round.handovers,
                computed: round.bytes(frames, token),
                sent: per_round(counters.payload()),
                sent_with_headers: per_round(counters.bytes),
                duration: duration.as_secs_f64() / f64::from(ROUNDS),
            });
        }
    }
    Ok(Ok(all))
}

/// VM n on server n modulo the number of servers, so that each hop of the token leads to another server.
fn scenario(servers: u16, vms: u16, neighbours: u16) -> Result<Scenario, Failure> {
    let all: Vec<_> = (0..servers).map(server).collect();
    let rate = Rate::new(1e5)?;
    let pairs = (0..vms).flat_map(|vm| {
        (1..=neighbours).map(move |further| (peer(vm), peer((vm + further) % vms), rate))
    });
    let vm = |number: u16| ScenarioVm {
        id: peer(number),
        server: all[usize::from(number % servers)].id,
        memory_mib: 16,
        name: String::new(),
    };
    Ok(Scenario {
        link_weights: vec![1.0, std::f64::consts::E],
        traffic: pairs.collect(),
        vms: (0..vms).map(vm).collect(),
        servers: all,
    })
}

/// Each VM is on another server than those before and after it.
fn round_of(vms: u16, neighbours: u16) -> Round {
    let asked = u64::from(vms) * u64::from(2 * neighbours);
    Round {
        handovers: vms.into(),
        requests: asked,
        responses: asked,
    }
}

/// What is sent in [`ROUNDS`] rounds after the first ones, and how long they take.
fn rounds(scenario: &Scenario) -> Result<(Counters, Duration), Failure> {
    let state = tempfile::tempdir()?;
    let config = EmbeddedConfig {
        policy: PolicyKind::RoundRobin,
        migration_cost: MigrationCost::Absolute(1e18),
        // A round takes at least as long.
        window: Duration::from_millis(500),
        ..EmbeddedConfig::new(state.path())
    };
    let embedded = Embedded::start(scenario, config)?;
    embedded.mint()?;
    let mut ended = 0;
    let mut began = None;
    let counted = loop {
        let Some((_, event)) = embedded.next_event(SILENCE) else {
            return Err(Failure::failed(format!(
                "no agent did anything for {SILENCE:?}"
            )));
        };
        if !matches!(event, Event::Node(Report::RoundEnded { .. })) {
            continue;
        }
        // The token rests now, and nobody sends anything.
        ended += 1;
        if ended == FIRST_ROUNDS {
            began = Some((Counters::read()?, Instant::now()));
        } else if let (true, Some((before, began))) = (ended == FIRST_ROUNDS + ROUNDS, began) {
            break (Counters::read()?.since(before), began.elapsed());
        }
    };
    embedded.stop()?;
    Ok(counted)
}

/// What was sent in this network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counters {
    /// Bytes of the loopback interface, from the IP header on.
    bytes: u64,
    datagrams: u64,
    segments: u64,
    connections: u64,
}

impl Counters {
    fn read() -> Result<Self, Failure> {
        let read = |name: &str| {
            let path = format!("/proc/thread-self/net/{name}");
            fs::read_to_string(&path).map_err(|error| Failure::failed(format!("{path}: {error}")))
        };
        Self::parse(&read("dev")?, &read("snmp")?).ok_or_else(|| {
            Failure::failed("/proc/thread-self/net: its counters are not understood")
        })
    }

    fn parse(dev: &str, snmp: &str) -> Option<Self> {
        let line = dev
            .lines()
            .find_map(|line| line.trim().strip_prefix("lo:"))?;
        let counter = |protocol: &str, name: &str| counter(snmp, protocol, name);
        Some(Self {
            bytes: line.split_whitespace().nth(8)?.parse().ok()?,
            datagrams: counter("Udp", "OutDatagrams")?,
            segments: counter("Tcp", "OutSegs")?,
            connections: counter("Tcp", "ActiveOpens")?,
        })
    }

    const fn since(self, before: Self) -> Self {
        Self {
            bytes: self.bytes - before.bytes,
            datagrams: self.datagrams - before.datagrams,
            segments: self.segments - before.segments,
            connections: self.connections - before.connections,
        }
    }

    /// Bytes of messages: without headers.
    const fn payload(self) -> u64 {
        let headers = self.datagrams * UDP_HEADERS
            + self.segments * TCP_HEADERS
            // Both ends open.
            + self.connections * 2 * TCP_OPENING;
        self.bytes.saturating_sub(headers)
    }
}

/// A counter of `/proc/net/snmp`: a line of names for each protocol, then a line of values.
fn counter(snmp: &str, protocol: &str, name: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter_map(|line| {
        let (head, fields) = line.split_once(':')?;
        (head == protocol).then_some(fields)
    });
    let (names, values) = (lines.next()?, lines.next()?);
    let place = names.split_whitespace().position(|known| known == name)?;
    values.split_whitespace().nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: &str = "Inter-|   Receive                                                |  Transmit\n \
        face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
        lo:   10000     20    0    0    0     0          0         0    12345      20    0    0    0     0       0          0\n  \
        eth0:       1       1    0    0    0     0          0         0        2       1    0    0    0     0       0          0\n";
    const SNMP: &str = "Tcp: RtoAlgorithm ActiveOpens InSegs OutSegs\nTcp: 1 2 9 10\n\
        Udp: InDatagrams NoPorts OutDatagrams\nUdp: 5 0 6\nUdpLite: OutDatagrams\nUdpLite: 0\n";

    #[test]
    fn counters_are_read() {
        let read = Counters::parse(DEV, SNMP).unwrap();
        let wanted = Counters {
            bytes: 12_345,
            datagrams: 6,
            segments: 10,
            connections: 2,
        };
        assert_eq!(read, wanted);
        assert_eq!(read.payload(), 12_345 - 6 * 28 - 10 * 52 - 2 * 16);
        assert_eq!(read.since(read).payload(), 0);
    }

    #[test]
    fn counters_that_are_not_there_are_missed() {
        let check = |protocol, name| assert_eq!(counter(SNMP, protocol, name), None);
        check("Udp", "OutSegs");
        check("Icmp", "OutMsgs");
        assert_eq!(Counters::parse("", SNMP), None);
        assert_eq!(Counters::parse(DEV, "Tcp: OutSegs\n"), None);
    }

    #[test]
    fn each_hop_leads_to_another_server() {
        for (servers, vms) in [(4, 8), (5, 20), (10, 100)] {
            let scenario = scenario(servers, vms, NEIGHBOURS).unwrap();
            let home = |vm| scenario.vms.iter().find(|of| of.id == vm).unwrap().server;
            assert!(scenario.vms.is_sorted_by_key(|vm| vm.id));
            for (a, b, _) in &scenario.traffic {
                assert_ne!(home(*a), home(*b), "{servers} servers, {vms} VMs");
            }
            assert_eq!(scenario.traffic.len(), usize::from(vms * NEIGHBOURS));
        }
    }
}
