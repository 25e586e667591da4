//! A running Open vSwitch.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use s_core_agent::on_termination;
use s_core_backend::ovs::dump::LineError;
use s_core_backend::ovs::netflow::NetFlowSource;
use s_core_backend::ovs::ovsdb::{Interface, Ovsdb};
use s_core_backend::ovs::{MacTable, OvsFlowSource};
use s_core_backend::{End, FlowSource, FlowSourceError, Poll};
use s_core_examples::Failure;
use s_core_flow::CounterDeltas;

use crate::args::{Form, Live};
use crate::report::{Names, Report, note, random_seed};

/// A flow that is idle for ten seconds goes away with what it counted since the last poll, so the
/// switch is asked at least this often however long the interval of the reports is.
const POLL_AT_LEAST: Duration = Duration::from_secs(2);

/// How long the switch may take to answer.
const DEADLINE: Duration = Duration::from_secs(30);

/// More flows than a switch holds: its own limit is 200,000.
const COUNTERS: usize = 1 << 20;

/// Polls the switch and writes a report per interval, until SIGINT or SIGTERM: what was set on the switch is taken
/// away at the end.
pub(crate) fn run(source: &Live, form: Form) -> Result<(), Failure> {
    let (told, ends) = channel();
    // It fails only when the program ends anyway.
    on_termination(move |_| {
        let _ = told.send(());
    })?;
    let mut watch = Watch::start(source, ends)?;
    let mut reports = 0;
    let mut next = Instant::now();
    while source.count.is_none_or(|count| reports < count) {
        next += source.interval;
        if !watch.until(next)? {
            break;
        }
        let report = watch.report();
        report.write(form, &watch.names())?;
        reports += 1;
    }
    Ok(())
}

/// What is read of the switch.
enum Switch {
    Datapath(Box<OvsFlowSource>),
    NetFlow(Box<NetFlowSource>, MacTable),
}

impl Switch {
    fn new(source: &Live, seed: u64) -> Result<Self, Failure> {
        if let (Some(bridge), Some(ovsdb)) = (&source.netflow, &source.ovsdb) {
            let netflow = NetFlowSource::new(&source.socket, ovsdb, bridge.clone(), seed);
            return Ok(Self::NetFlow(Box::new(netflow), MacTable::new(0, seed)));
        }
        let mut switch = OvsFlowSource::new(&source.socket, seed);
        if let Some(name) = &source.datapath {
            switch = switch.with_datapath(name);
        }
        if source.netlink {
            switch = by_netlink(switch)?;
        }
        if let Some(path) = &source.ovsdb {
            switch = switch.with_ovsdb(path);
        }
        if let Some(bridge) = &source.ip_pair_rule {
            switch = switch.with_ip_pair_rule_unless_set(bridge.clone());
        }
        Ok(Self::Datapath(Box::new(switch)))
    }

    fn poll(&mut self) -> Result<Poll, FlowSourceError> {
        match self {
            Self::Datapath(switch) => switch.poll(DEADLINE),
            Self::NetFlow(netflow, stations) => {
                let poll = netflow.poll(DEADLINE)?;
                stations.begin_poll();
                for flow in &poll.counters {
                    if let (Some(mac), End::Ipv4(address)) = (flow.src_mac, flow.src) {
                        stations.attach(mac);
                        stations.learn(mac, address);
                    }
                }
                Ok(poll)
            }
        }
    }

    /// Which MAC address goes with which IPv4 address.
    fn stations(&self) -> &MacTable {
        match self {
            Self::Datapath(switch) => switch.stations(),
            Self::NetFlow(_, stations) => stations,
        }
    }

    /// What of the latest poll was not understood.
    fn line_errors(&self) -> &[LineError] {
        match self {
            Self::Datapath(switch) => switch.line_errors(),
            Self::NetFlow(..) => &[],
        }
    }
}

#[cfg(feature = "netlink")]
fn by_netlink(switch: OvsFlowSource) -> Result<OvsFlowSource, Failure> {
    Ok(switch.with_netlink())
}

#[cfg(not(feature = "netlink"))]
fn by_netlink(_: OvsFlowSource) -> Result<OvsFlowSource, Failure> {
    Err(Failure::usage(
        "--netlink: this program was built without it; leave it out, or build with --features netlink",
    ))
}

struct Watch {
    switch: Switch,
    /// Hears of the signal that ends the program.
    ends: Receiver<()>,
    interfaces: Vec<Interface>,
    counters: CounterDeltas,
    /// What came between these ends, in this direction, since the last report.
    bytes: BTreeMap<(End, End), u64>,
    latest: Poll,
    /// When the last report's interval ended, and when the switch was last asked.
    reported: Instant,
    polled: Instant,
    lines_named: bool,
}

impl Watch {
    /// Takes the baseline: what was counted before belongs to no interval.
    fn start(source: &Live, ends: Receiver<()>) -> Result<Self, Failure> {
        let seed = random_seed();
        let interfaces = match &source.ovsdb {
            None => Vec::new(),
            Some(path) => Ovsdb::new(path).interfaces(DEADLINE).map_err(advise)?,
        };
        let now = Instant::now();
        let mut watch = Self {
            switch: Switch::new(source, seed)?,
            ends,
            interfaces,
            counters: CounterDeltas::new(COUNTERS, seed),
            bytes: BTreeMap::new(),
            latest: Poll::default(),
            reported: now,
            polled: now,
            lines_named: false,
        };
        watch.poll()?;
        watch.reported = watch.polled;
        Ok(watch)
    }

    /// Polls as often as needed, and at `end`; `false` if the program is to end before.
    fn until(&mut self, end: Instant) -> Result<bool, Failure> {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if self.ends.recv_timeout(left.min(POLL_AT_LEAST)).is_ok() {
                return Ok(false);
            }
            self.poll()?;
            if Instant::now() >= end {
                return Ok(true);
            }
        }
    }

    fn poll(&mut self) -> Result<(), Failure> {
        self.latest = self.switch.poll().map_err(advise)?;
        self.polled = Instant::now();
        self.latest.count(&mut self.counters, |flow, delta| {
            if delta.bytes > 0 {
                let sum = self.bytes.entry((flow.src, flow.dst)).or_default();
                *sum = sum.saturating_add(delta.bytes);
            }
        });
        if !self.lines_named {
            for error in self.switch.line_errors() {
                note(&format!("the switch's dump: {error}; the line is left out"));
                self.lines_named = true;
            }
        }
        Ok(())
    }

    fn report(&mut self) -> Report {
        let bytes = std::mem::take(&mut self.bytes);
        let bytes = bytes.iter().map(|((src, dst), bytes)| (*src, *dst, *bytes));
        let duration = self.polled.duration_since(self.reported);
        self.reported = self.polled;
        Report::new(
            bytes,
            self.switch.stations(),
            self.latest.unattributed,
            Some(duration),
        )
    }

    /// The interfaces of the VMs by their MAC address, and by their IP address where it is known.
    fn names(&self) -> Names {
        let mut names = Names::new();
        for interface in &self.interfaces {
            let Some(mac) = interface.attached_mac else {
                continue;
            };
            names.insert(End::Mac(mac), interface.name.clone());
            if let Some(address) = self.switch.stations().address(mac) {
                names.insert(End::Ipv4(address), interface.name.clone());
            }
        }
        names
    }
}

/// Adds what to do.
fn advise(error: FlowSourceError) -> Failure {
    let advice = if matches!(error, FlowSourceError::Unreachable { .. }) {
        "; is Open vSwitch running, is this its socket, and may you open it (try as root)?"
    } else {
        ""
    };
    Failure::failed(format!("{error}{advice}"))
}
