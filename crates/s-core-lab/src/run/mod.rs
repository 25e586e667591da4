//! Agents at work in a laboratory: real traffic, real agents, and the cost as it truly is.
//!
//! [`run`] starts everything, follows it until the cost has settled, and tells what came of it as a [`Course`]; the
//! laboratory is left up, with its VMs where they are.

mod cluster;
mod configuration;
mod control;
mod course;
mod data_centre;
mod error;
mod following;
mod lock;
mod report;
mod said;
mod serve;

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use s_core_agent::DEFAULT_PORT;
use s_core_model::VmId;

pub use cluster::{AgentProgram, Cluster, Heard};
pub use configuration::{AgentSettings, link_weights};
pub use course::{Course, LinkLoads, LostAgent, Migration, Round, Sample};
pub use data_centre::Homes;
pub use error::RunError;
pub use lock::RunLock;
pub use said::Said;
pub use serve::serve;

use crate::hypervisor::reports_since;
use crate::layout::{HostNumber, Layout};
use crate::traffic::{
    Endpoint, PairTraffic, ProbeSettings, Probes, Sampler, Traffic, TrafficSettings, Truth,
};
use control::ControlTraffic;
use following::Following;

/// How often probed pairs' throughput is looked at.
const THROUGHPUT: Duration = Duration::from_millis(100);
/// The most pairs that are probed.
const MOST_PROBED: usize = 64;

/// How long a run may take, and how it is watched.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// What the agents are told.
    pub agents: AgentSettings,
    /// What VMs exchange.
    pub pairs: Vec<PairTraffic>,
    /// How traffic is sent.
    pub traffic: TrafficSettings,
    /// How long to measure before the agents start, and again after the cost has settled.
    pub rest: Duration,
    /// After this time the run ends though the cost has not settled.
    pub limit: Duration,
}

/// Is told what happens while it happens, and may end it.
pub trait Watcher {
    /// An agent says something.
    fn heard(&mut self, heard: &Heard) {
        let _ = heard;
    }

    /// An agent has ended by itself, for this reason; the run goes on with the others.
    fn lost(&mut self, host: HostNumber, why: &str) {
        let _ = (host, why);
    }

    /// The cost has been computed.
    fn sample(&mut self, sample: &Sample) {
        let _ = sample;
    }

    /// The agents are told to end; that may take [half a minute](Cluster::stop).
    fn ending(&mut self) {}

    /// Whether the run is to end now, with what it has so far; asked every second.
    fn is_stopped(&self) -> bool {
        false
    }
}

/// Starts traffic and an agent per host, and follows them until the cost has settled, the watcher stops it or the limit is
/// over.
///
/// An agent that ends by itself is a fault like those of a data centre: the others recover the token and go on
/// (docs/protocol.md). The cost does not count as settled as long as the token passes over that one's VMs.
///
/// # Errors
///
/// [`RunError`] if another process runs agents or traffic in this laboratory, something cannot be started, or all agents
/// have ended by themselves. All that was started has ended then.
pub fn run(
    layout: &Layout,
    settings: &RunSettings,
    program: AgentProgram,
    watcher: &mut dyn Watcher,
) -> Result<Course, RunError> {
    let _lock = RunLock::take(layout)?;
    let endpoints = Endpoint::all(layout);
    let truth = Truth::open(endpoints.clone())?;
    let control = ControlTraffic::open(layout, DEFAULT_PORT)?;
    let homes = data_centre::homes(layout)?;
    let traffic = Traffic::start(&endpoints, &settings.pairs, settings.traffic.clone())?;
    let (begin, began) = (Instant::now(), SystemTime::now());
    let probed = probed(&settings.pairs);
    let probes = Probes::start(&ends(&endpoints, &probed), ProbeSettings::from(begin))?;
    let both_ways: Vec<_> = (probed.iter())
        .flat_map(|&(a, b)| [(a, b), (b, a)])
        .collect();
    let sampler = Sampler::start(&traffic, &both_ways, THROUGHPUT, begin)?;
    let mut following = Following::new(layout, settings, truth, control, begin, homes);
    following.rest(None, watcher)?;
    if !watcher.is_stopped() {
        following.work(program, watcher)?;
    }
    let reports = reports_since(layout, began)?;
    let series = probes.stop()?;
    let throughput = sampler.stop();
    traffic.stop()?;
    let mut course = following.finish()?;
    course.reports = reports;
    course.probes = series;
    course.throughput = throughput;
    Ok(course)
}

/// The endpoints of pairs.
fn ends(endpoints: &[Endpoint], pairs: &[(VmId, VmId)]) -> Vec<(Endpoint, Endpoint)> {
    let endpoint = |vm: VmId| {
        let mut all = endpoints.iter();
        all.find(|endpoint| endpoint.address == vm.addr()).cloned()
    };
    let pairs = pairs.iter();
    pairs
        .filter_map(|(a, b)| endpoint(*a).zip(endpoint(*b)))
        .collect()
}

/// Pairs that are probed: each VM with the one that it exchanges most with, as far as it is not probed from there.
fn probed(pairs: &[PairTraffic]) -> Vec<(VmId, VmId)> {
    let mut dearest: Vec<_> = pairs.iter().collect();
    dearest.sort_by(|x, y| {
        let rates = [y, x].map(|pair| pair.rate.bytes_per_second());
        rates[0]
            .total_cmp(&rates[1])
            .then((x.a, x.b).cmp(&(y.a, y.b)))
    });
    let mut seen = BTreeSet::new();
    let mut probed = Vec::new();
    for pair in dearest {
        let new = [pair.a, pair.b].map(|vm| seen.insert(vm));
        if new != [false, false] && probed.len() < MOST_PROBED {
            probed.push((pair.a, pair.b));
        }
    }
    probed
}
