//! A laboratory of real switches as the site of a run: agents are child processes, VMs are namespaces.

use std::time::{Duration, Instant, SystemTime};

use s_core_agent::DEFAULT_PORT;
use s_core_model::VmId;

use super::cluster::{AgentProgram, Cluster};
use super::control::ControlTraffic;
use super::course::{Course, LinkCounts, Measured};
use super::data_centre::{self, Homes};
use super::error::RunError;
use super::probed::probed;
use super::site::{Heard, Method, Site};
use super::{AgentSettings, RunSettings};
use crate::hypervisor::{Ended, MigrationReport, reports_since};
use crate::layout::{HostNumber, Layout};
use crate::traffic::{Endpoint, ProbeSettings, Probes, Reading, Sampler, Traffic, Truth};

/// How often probed pairs' throughput is looked at.
const THROUGHPUT: Duration = Duration::from_millis(100);

/// A laboratory whose VMs send.
#[derive(Debug)]
pub(super) struct Laboratory<'a> {
    layout: &'a Layout,
    agents: &'a AgentSettings,
    program: AgentProgram,
    cluster: Option<Cluster>,
    control: ControlTraffic,
    truth: Truth,
    /// Until the end.
    sending: Option<Sending>,
    began: SystemTime,
}

/// What VMs do.
#[derive(Debug)]
struct Sending {
    traffic: Traffic,
    probes: Probes,
    sampler: Sampler,
}

impl<'a> Laboratory<'a> {
    /// Lets the VMs send from `begin` on.
    pub(super) fn start(
        layout: &'a Layout,
        settings: &'a RunSettings,
        program: AgentProgram,
        begin: Instant,
    ) -> Result<Self, RunError> {
        let endpoints = Endpoint::all(layout);
        let truth = Truth::open(endpoints.clone())?;
        let control = ControlTraffic::open(layout, DEFAULT_PORT)?;
        let traffic = Traffic::start(&endpoints, &settings.pairs, settings.traffic.clone())?;
        let probed = probed(&settings.pairs);
        let probes = Probes::start(&ends(&endpoints, &probed), ProbeSettings::from(begin))?;
        let both_ways: Vec<_> = (probed.iter())
            .flat_map(|&(a, b)| [(a, b), (b, a)])
            .collect();
        let sampler = Sampler::start(&traffic, &both_ways, THROUGHPUT, begin)?;
        Ok(Self {
            layout,
            agents: &settings.agents,
            program,
            cluster: None,
            control,
            truth,
            sending: Some(Sending {
                traffic,
                probes,
                sampler,
            }),
            began: SystemTime::now(),
        })
    }

    /// Takes the counters away.
    pub(super) fn end(self) -> Result<(), RunError> {
        Ok(self.truth.remove()?)
    }
}

impl Site for Laboratory<'_> {
    fn layout(&self) -> &Layout {
        self.layout
    }

    fn method(&self) -> Method {
        Method {
            title: "S-CORE in a laboratory".into(),
            traffic: "the sending VMs' kernels counted".into(),
            downtime: "as the hypervisor measured it".into(),
        }
    }

    fn start_agents(&mut self) -> Result<(), RunError> {
        let cluster = Cluster::start(self.layout, self.agents, self.program.clone())?;
        self.cluster = Some(cluster);
        Ok(())
    }

    fn stop_agents(&mut self) -> Result<(), RunError> {
        match &mut self.cluster {
            Some(cluster) => Ok(cluster.stop()?),
            None => Ok(()),
        }
    }

    fn next(&mut self, timeout: Duration) -> Option<Heard> {
        self.cluster.as_ref()?.next(timeout)
    }

    fn why_ended(&mut self, host: HostNumber) -> String {
        let cluster = self.cluster.as_mut();
        cluster.map_or_else(String::new, |cluster| cluster.why_ended(host))
    }

    fn cpu_seconds(&mut self) -> f64 {
        self.cluster.as_ref().map_or(0.0, Cluster::cpu_seconds)
    }

    fn homes(&mut self) -> Result<Homes, RunError> {
        Ok(data_centre::homes(self.layout)?)
    }

    fn traffic(&mut self) -> Result<Reading, RunError> {
        Ok(self.truth.read()?)
    }

    fn control_bytes(&mut self) -> Result<u64, RunError> {
        Ok(self.control.bytes()?)
    }

    fn links(&mut self) -> Result<LinkCounts, RunError> {
        Ok(LinkCounts::read(self.layout)?)
    }

    fn complete(&mut self, course: &mut Course) -> Result<(), RunError> {
        let mut reports = reports_since(self.layout, self.began)?;
        for migration in &mut course.migrations {
            let of = (migration.vm, migration.target);
            let found = (reports.iter()).position(|report| is_of(self.layout, report, of));
            migration.measured = found.map(|at| {
                let report = reports.remove(at);
                Measured {
                    bytes: Some(report.bytes),
                    downtime: Some(Duration::from_secs_f64(report.downtime_seconds.max(0.0))),
                }
            });
        }
        if let Some(Sending {
            traffic,
            probes,
            sampler,
        }) = self.sending.take()
        {
            course.probes = probes.stop()?;
            course.throughput = sampler.stop();
            traffic.stop()?;
        }
        Ok(())
    }
}

/// Whether a hypervisor's report is of this migration.
fn is_of(
    layout: &Layout,
    report: &MigrationReport,
    (vm, target): (VmId, s_core_model::ServerId),
) -> bool {
    let same = layout.vm(report.vm) == vm && layout.server(report.target) == target;
    same && report.ended == Ended::Moved
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
