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
mod report;
mod said;
mod serve;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use s_core_agent::DEFAULT_PORT;
use s_core_agent::embedded::Settling;
use s_core_model::{MigrationCost, ServerId, VmId};

pub use cluster::{AgentProgram, Cluster, Heard};
pub use configuration::{AgentSettings, link_weights};
pub use course::{Course, LinkLoads, Migration, Round, Sample};
pub use data_centre::Homes;
pub use error::RunError;
pub use said::Said;
pub use serve::serve;

use crate::hypervisor::reports_since;
use crate::layout::Layout;
use crate::link_counters;
use crate::traffic::{
    Endpoint, PairTraffic, ProbeSettings, Probes, Reading, Sampler, Traffic, TrafficSettings, Truth,
};
use control::ControlTraffic;
use data_centre::{cost, planned, snapshot};

/// How often the cost is computed.
const SAMPLE: Duration = Duration::from_secs(1);
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

/// Is told what happens while it happens.
pub trait Watcher {
    /// An agent says something.
    fn heard(&mut self, heard: &Heard) {
        let _ = heard;
    }

    /// The cost has been computed.
    fn sample(&mut self, sample: &Sample) {
        let _ = sample;
    }
}

/// Starts traffic and an agent per host, and follows them until the cost has settled, `stop` is raised or the limit is over.
///
/// # Errors
///
/// [`RunError`] if something cannot be started, an agent ends by itself, or VMs are not where the agents said at the end. All
/// that was started has ended then.
pub fn run(
    layout: &Layout,
    settings: &RunSettings,
    program: AgentProgram,
    watcher: &mut dyn Watcher,
    stop: &AtomicBool,
) -> Result<Course, RunError> {
    let endpoints = Endpoint::all(layout);
    let truth = Truth::open(endpoints.clone())?;
    let control = ControlTraffic::open(layout, DEFAULT_PORT)?;
    let homes = homes_now(layout)?;
    let traffic = Traffic::start(&endpoints, &settings.pairs, settings.traffic.clone())?;
    let (begin, began) = (Instant::now(), SystemTime::now());
    let probed = probed(&settings.pairs);
    let probes = Probes::start(&ends(&endpoints, &probed), ProbeSettings::from(begin))?;
    let both_ways: Vec<_> = (probed.iter())
        .flat_map(|&(a, b)| [(a, b), (b, a)])
        .collect();
    let sampler = Sampler::start(&traffic, &both_ways, THROUGHPUT, begin)?;
    let mut following = Following {
        layout,
        settings,
        truth,
        control,
        begin,
        readings: VecDeque::new(),
        course: Course::new(layout, homes),
        settling: Settling::default(),
        settled: false,
        sampled: begin,
        under_way: BTreeMap::new(),
    };
    following.rest(watcher, stop)?;
    let mut cluster = Cluster::start(layout, &settings.agents, program)?;
    following.course.agents_from = begin.elapsed();
    following.follow(&cluster, watcher, stop)?;
    following.rest(watcher, stop)?;
    following.course.agents_seconds = cluster.cpu_seconds();
    cluster.stop()?;
    following.hear_the_rest(&cluster, watcher)?;
    let reports = reports_since(layout, began)?;
    let series = probes.stop()?;
    let throughput = sampler.stop();
    traffic.stop()?;
    let mut course = following.finish()?;
    course.reports = reports;
    course.probes = series;
    course.throughput = throughput;
    check_homes(layout, &course.homes)?;
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
    let mut seen = std::collections::BTreeSet::new();
    let mut probed = Vec::new();
    for pair in dearest {
        let new = [pair.a, pair.b].map(|vm| seen.insert(vm));
        if new != [false, false] && probed.len() < MOST_PROBED {
            probed.push((pair.a, pair.b));
        }
    }
    probed
}

/// Which host each VM is at, by the hosts' own databases.
fn homes_now(layout: &Layout) -> Result<Homes, RunError> {
    let mut homes = Homes::new();
    for host in crate::status(layout.name())?.hosts {
        let server = layout.server(host.host);
        homes.extend(host.vms?.into_iter().map(|vm| (layout.vm(vm), server)));
    }
    Ok(homes)
}

fn check_homes(layout: &Layout, told: &Homes) -> Result<(), RunError> {
    let found = homes_now(layout)?;
    for (vm, told) in told {
        let found = found.get(vm);
        if found != Some(told) {
            return Err(RunError::Misplaced {
                vm: *vm,
                found: found.map_or("no host".into(), ServerId::to_string),
                told: *told,
            });
        }
    }
    Ok(())
}

/// Keeps account of a run.
struct Following<'a> {
    layout: &'a Layout,
    settings: &'a RunSettings,
    truth: Truth,
    control: ControlTraffic,
    begin: Instant,
    /// Those of the last window, the oldest first; and the very first.
    readings: VecDeque<Reading>,
    course: Course,
    settling: Settling,
    settled: bool,
    sampled: Instant,
    /// When each migration that is under way began.
    under_way: BTreeMap<VmId, Duration>,
}

impl Following<'_> {
    /// Looks at the traffic for a while, without agents or with agents that have settled.
    fn rest(&mut self, watcher: &mut dyn Watcher, stop: &AtomicBool) -> Result<(), RunError> {
        let links = link_counters(self.layout)?;
        let began = Instant::now();
        while began.elapsed() < self.settings.rest && !stop.load(Ordering::SeqCst) {
            std::thread::sleep(SAMPLE.min(self.settings.rest - began.elapsed()));
            self.sample(watcher)?;
        }
        let loads = LinkLoads::between(&links, &link_counters(self.layout)?, began.elapsed());
        self.course.loads.push(loads);
        Ok(())
    }

    fn follow(
        &mut self,
        cluster: &Cluster,
        watcher: &mut dyn Watcher,
        stop: &AtomicBool,
    ) -> Result<(), RunError> {
        let by = Instant::now() + self.settings.limit;
        while !self.settled && !stop.load(Ordering::SeqCst) && Instant::now() < by {
            let next = (self.sampled + SAMPLE).saturating_duration_since(Instant::now());
            if let Some(heard) = cluster.next(next) {
                watcher.heard(&heard);
                self.hear(&heard)?;
            }
            if self.sampled.elapsed() >= SAMPLE {
                self.sample(watcher)?;
            }
        }
        Ok(())
    }

    /// What agents said after the cost had settled, or the run was to end: a migration may have ended since.
    fn hear_the_rest(
        &mut self,
        cluster: &Cluster,
        watcher: &mut dyn Watcher,
    ) -> Result<(), RunError> {
        while let Some(heard) = cluster.next(Duration::ZERO) {
            if heard.said.is_some() {
                watcher.heard(&heard);
                self.hear(&heard)?;
            }
        }
        Ok(())
    }

    fn hear(&mut self, heard: &Heard) -> Result<(), RunError> {
        let at = heard.at.saturating_duration_since(self.begin);
        let Some(said) = &heard.said else {
            return Err(RunError::AgentEnded {
                host: heard.host.0,
                directory: self.layout.host_directory(heard.host).display().to_string(),
            });
        };
        match said {
            Said::Holding { .. } => self.course.hops += 1,
            Said::Migrating { vm, .. } => drop(self.under_way.insert(*vm, at)),
            Said::Migrated {
                vm,
                source,
                target,
                gain,
            } => {
                let began = self.under_way.remove(vm).unwrap_or(at);
                self.course.homes.insert(*vm, *target);
                self.course.migrations.push(Migration {
                    hop: self.course.hops,
                    vm: *vm,
                    source: *source,
                    target: *target,
                    gain: *gain,
                    began,
                    ended: at,
                });
            }
            Said::NotMoved { vm, .. } => {
                self.under_way.remove(vm);
                self.course.failed += 1;
            }
            Said::Stayed {
                informed: false, ..
            }
            | Said::Trouble { .. } => self.settling.disturb(),
            Said::RoundEnded {
                round,
                migrations,
                quiet_rounds,
            } => {
                self.settled |= self.settling.end_round(*migrations, *quiet_rounds);
                self.course.rounds.push(Round {
                    number: *round,
                    at,
                    migrations: *migrations,
                    control_bytes: self.control.bytes()?,
                });
            }
            Said::Ready | Said::Stayed { .. } | Said::Minted { .. } => {}
        }
        Ok(())
    }

    /// Computes the cost of the last window's true traffic.
    fn sample(&mut self, watcher: &mut dyn Watcher) -> Result<(), RunError> {
        self.sampled = Instant::now();
        let reading = self.truth.read()?;
        let window = self.settings.agents.window;
        // The first one stays: the whole run is measured from there.
        while self.readings.len() > 2 && reading.at().duration_since(self.readings[1].at()) > window
        {
            self.readings.remove(1);
        }
        let then = self.readings.get(1).or(self.readings.front());
        if let Some(then) = then {
            let rates = reading.rates(then);
            let sample = Sample {
                at: self.begin.elapsed(),
                cost: cost(self.layout, &self.course.homes, rates)?,
                migrations: self.course.migrations.len(),
            };
            watcher.sample(&sample);
            self.course.samples.push(sample);
        }
        self.readings.push_back(reading);
        Ok(())
    }

    /// The whole run's true rates, and what they cost before, after, and as the planner would have it.
    fn finish(mut self) -> Result<Course, RunError> {
        self.course.settled = self.settled;
        let ends = self.readings.front().zip(self.readings.back());
        let rates = ends
            .map(|(first, last)| last.rates(first))
            .unwrap_or_default();
        let price = MigrationCost::RelativeToVm(self.settings.agents.migration_cost);
        let before = snapshot(self.layout, price, &self.course.first_homes, rates.clone())?;
        let plan = planned(&before, &self.settings.agents)?;
        self.course.initial_cost = plan.initial_cost;
        self.course.planned_cost = plan.final_cost;
        self.course.planned_migrations = plan.migrations.len();
        self.course.final_cost = cost(self.layout, &self.course.homes, rates)?;
        self.course.snapshot = Some(before);
        self.truth.remove()?;
        Ok(self.course)
    }
}
