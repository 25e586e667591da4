//! What came of a run, as numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use s_core_model::{ServerId, VmId};
use s_core_sim::snapshot::Snapshot;

use super::data_centre::Homes;
use super::site::Method;
use crate::error::LabError;
use crate::layout::{HostNumber, Layout, Link};
use crate::traffic::{ProbeSeries, ThroughputSeries};
use crate::{LinkCounters, host_link_counters, link_counters};

/// The cost at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Since the run began.
    pub at: Duration,
    /// Eq. 3.1 of the last window's true traffic, with the VMs where the agents said they are.
    pub cost: f64,
    /// How many VMs had migrated.
    pub migrations: usize,
}

/// A migration that succeeded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Migration {
    /// At which hop of the token, from 1.
    pub hop: u64,
    /// The VM.
    pub vm: VmId,
    /// From where.
    pub source: ServerId,
    /// Where to.
    pub target: ServerId,
    /// By how much Eq. 3.1 fell, as its agent had measured it.
    pub gain: f64,
    /// When it began.
    pub began: Duration,
    /// When it had ended.
    pub ended: Duration,
    /// What it took, as far as somebody has measured it.
    pub measured: Option<Measured>,
}

/// What a migration took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// What was sent from host to host, in bytes.
    pub bytes: Option<u64>,
    /// How long the VM stood still.
    pub downtime: Option<Duration>,
}

/// A round of the token that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// Its number.
    pub number: u32,
    /// When it ended.
    pub at: Duration,
    /// Migrations in it.
    pub migrations: u32,
    /// Bytes of IP packets that all agents had sent by then.
    pub control_bytes: u64,
}

/// An agent that ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostAgent {
    /// Whose.
    pub host: HostNumber,
    /// When.
    pub at: Duration,
    /// How its process ended, and the last that it logged.
    pub why: String,
}

/// What links carried over a time.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkLoads {
    /// Bytes per second, both directions together, of each link between switches.
    pub links: BTreeMap<Link, f64>,
    /// The same of each host's link to its rack's switch.
    pub hosts: BTreeMap<HostNumber, f64>,
}

/// What links have carried so far, by their own counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkCounts {
    /// Links between switches.
    pub links: BTreeMap<Link, LinkCounters>,
    /// The hosts' links to their racks' switches.
    pub hosts: BTreeMap<HostNumber, LinkCounters>,
}

impl LinkCounts {
    /// The counters of a laboratory right now.
    ///
    /// # Errors
    ///
    /// As [`link_counters`].
    pub fn read(layout: &Layout) -> Result<Self, LabError> {
        Ok(Self {
            links: link_counters(layout)?,
            hosts: host_link_counters(layout)?,
        })
    }
}

impl LinkLoads {
    pub(super) fn between(before: &LinkCounts, after: &LinkCounts, passed: Duration) -> Self {
        Self {
            links: loads(&before.links, &after.links, passed),
            hosts: loads(&before.hosts, &after.hosts, passed),
        }
    }

    /// The sum over the links of a level; 0 are the hosts' links, 1 the racks' upward links.
    pub fn level(&self, level: u8) -> f64 {
        if level == 0 {
            return self.hosts.values().sum();
        }
        let links = self.links.iter().filter(|(link, _)| link.level == level);
        links.map(|(_, load)| load).sum()
    }
}

fn loads<K: Copy + Ord>(
    before: &BTreeMap<K, LinkCounters>,
    after: &BTreeMap<K, LinkCounters>,
    passed: Duration,
) -> BTreeMap<K, f64> {
    let load = |(link, after): (&K, &LinkCounters)| {
        let before = before.get(link).copied().unwrap_or_default();
        let bytes = after.up.saturating_sub(before.up) + after.down.saturating_sub(before.down);
        (*link, bytes as f64 / passed.as_secs_f64().max(1e-9))
    };
    after.iter().map(load).collect()
}

/// A run from its beginning to its end. Times are since it began; costs are Eq. 3.1.
#[derive(Clone, Debug)]
pub struct Course {
    /// The laboratory.
    pub layout: Layout,
    /// How all of this was found out.
    pub method: Method,
    /// Where VMs were.
    pub first_homes: Homes,
    /// Where they are.
    pub homes: Homes,
    /// When all agents ran.
    pub agents_from: Duration,
    /// The cost over time.
    pub samples: Vec<Sample>,
    /// All migrations that succeeded.
    pub migrations: Vec<Migration>,
    /// How many did not.
    pub failed: usize,
    /// Agents that ended by themselves.
    pub lost: Vec<LostAgent>,
    /// What else was not as it should be at the end: VMs that are not where the agents said, agents that had to be killed.
    pub warnings: Vec<String>,
    /// How many times a VM held the token.
    pub hops: u64,
    /// CPU seconds of all agents, hypervisors included.
    pub agents_seconds: f64,
    /// All rounds that ended.
    pub rounds: Vec<Round>,
    /// What links carried before agents started, and at the end.
    pub loads: Vec<LinkLoads>,
    /// Round trips of probed pairs.
    pub probes: Vec<ProbeSeries>,
    /// What the same pairs sent and received.
    pub throughput: Vec<ThroughputSeries>,
    /// Whether the cost settled; otherwise the run was ended before.
    pub settled: bool,
    /// Of the whole run's true rates, where VMs were to begin with.
    pub initial_cost: f64,
    /// Of the same rates, where VMs are now.
    pub final_cost: f64,
    /// Of the same rates, where `plan` would have put the VMs.
    pub planned_cost: f64,
    /// With how many migrations.
    pub planned_migrations: usize,
    /// The laboratory as it began, with the whole run's true rates.
    pub snapshot: Option<Snapshot>,
}

impl Course {
    pub(super) fn new(layout: &Layout, method: Method, homes: Homes) -> Self {
        Self {
            layout: layout.clone(),
            method,
            first_homes: homes.clone(),
            homes,
            agents_from: Duration::ZERO,
            samples: Vec::new(),
            migrations: Vec::new(),
            failed: 0,
            lost: Vec::new(),
            warnings: Vec::new(),
            hops: 0,
            agents_seconds: 0.0,
            rounds: Vec::new(),
            loads: Vec::new(),
            probes: Vec::new(),
            throughput: Vec::new(),
            settled: false,
            initial_cost: 0.0,
            final_cost: 0.0,
            planned_cost: 0.0,
            planned_migrations: 0,
            snapshot: None,
        }
    }

    /// The cost after this time, as far as it was looked at; otherwise that at the end.
    pub fn cost_at(&self, time: Duration) -> f64 {
        let after = self.samples.iter().find(|sample| sample.at > time);
        after.map_or(self.final_cost, |sample| sample.cost)
    }

    /// What each round's control traffic was, in bytes of IP packets.
    pub fn control_bytes_per_round(&self) -> Vec<u64> {
        let ends = self.rounds.windows(2);
        ends.map(|pair| pair[1].control_bytes.saturating_sub(pair[0].control_bytes))
            .collect()
    }
}
