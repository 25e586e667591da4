//! A testbed of Xen hosts as the site of a run.

use std::time::{Duration, Instant};

use s_core_agent::{DEFAULT_PORT, Said};
use s_core_lab::run::{ControlTraffic, Course, Heard, Homes, LinkCounts, Method, RunError, Site};
use s_core_lab::traffic::{PairTraffic, Reading};
use s_core_lab::{HostNumber, Layout};

use super::agents::Agents;
use super::configuration::AgentSettings;
use super::guests::Guests;
use super::watching::Watching;
use crate::plan::Plan;
use crate::ssh::Remote;
use crate::status::{DomainStatus, status};

/// A testbed whose VMs send.
#[derive(Debug)]
pub(super) struct Testbed {
    plan: Plan,
    remote: Remote,
    settings: AgentSettings,
    agents: Option<Agents>,
    guests: Guests,
    control: ControlTraffic,
    watching: Option<Watching>,
}

impl Testbed {
    /// Has the VMs send from now on.
    pub(super) fn start(
        remote: Remote,
        settings: AgentSettings,
        pairs: &[PairTraffic],
        begin: Instant,
    ) -> Result<Self, RunError> {
        let plan = remote.plan().clone();
        let guests = Guests::reach(&plan)?;
        let watching = Watching::new(plan.layout(), guests.prober(&plan), begin);
        let this = Self {
            control: ControlTraffic::open(plan.layout(), DEFAULT_PORT)?,
            plan,
            remote,
            settings,
            agents: None,
            guests,
            watching: Some(watching),
        };
        this.guests.send(pairs)?;
        Ok(this)
    }
}

impl Site for Testbed {
    fn layout(&self) -> &Layout {
        self.plan.layout()
    }

    fn method(&self) -> Method {
        Method {
            title: "S-CORE on Xen".into(),
            traffic: "the VMs' programs counted as payload".into(),
            downtime: "by a probe every 10 ms from the core switch".into(),
        }
    }

    fn start_agents(&mut self) -> Result<(), RunError> {
        self.agents = Some(Agents::start(&self.remote, &self.settings)?);
        Ok(())
    }

    fn stop_agents(&mut self) -> Result<(), RunError> {
        match &mut self.agents {
            Some(agents) => Ok(agents.stop()?),
            None => Ok(()),
        }
    }

    fn next(&mut self, timeout: Duration) -> Option<Heard> {
        let mut heard = self.agents.as_ref()?.next(timeout);
        if let Some(heard) = &mut heard
            && heard.said == Some(Said::Ready)
        {
            // All were ready before: this one has ended by itself and was started again.
            heard.said = None;
        }
        if let Some(watching) = &mut self.watching {
            let watched = watching.end_probes(false);
            let watched = watched.and(heard.as_ref().map_or(Ok(()), |heard| watching.hear(heard)));
            if let Err(error) = watched {
                tracing::warn!(%error, "a migration is not measured");
            }
        }
        heard
    }

    fn why_ended(&mut self, host: HostNumber) -> String {
        let agents = self.agents.as_ref();
        agents.map_or_else(String::new, |agents| agents.last_words(host))
    }

    fn cpu_seconds(&mut self) -> f64 {
        self.agents.as_ref().map_or(0.0, Agents::cpu_seconds)
    }

    fn homes(&mut self) -> Result<Homes, RunError> {
        let layout = self.plan.layout();
        let mut homes = Homes::new();
        for host in status(layout.name())?.hosts {
            let server = layout.server(host.host);
            let running = host.domains?.into_iter().filter(DomainStatus::runs);
            let vms = running.filter_map(|domain| domain.vm);
            homes.extend(vms.map(|vm| (layout.vm(vm), server)));
        }
        Ok(homes)
    }

    fn traffic(&mut self) -> Result<Reading, RunError> {
        Ok(self.guests.read()?)
    }

    fn control_bytes(&mut self) -> Result<u64, RunError> {
        Ok(self.control.bytes()?)
    }

    fn links(&mut self) -> Result<LinkCounts, RunError> {
        Ok(LinkCounts::read(self.plan.layout())?)
    }

    fn complete(&mut self, course: &mut Course) -> Result<(), RunError> {
        if let Err(error) = self.guests.be_silent() {
            let warning = format!("a VM may still send: {error}");
            course.warnings.push(warning);
        }
        let Some(mut watching) = self.watching.take() else {
            return Ok(());
        };
        if let Err(error) = watching.end_probes(true) {
            let warning = format!("a migration was not measured: {error}");
            course.warnings.push(warning);
        }
        for migration in &mut course.migrations {
            migration.measured = Some(watching.measured(migration));
        }
        course.probes = watching.series();
        Ok(())
    }
}

/// The VMs of a run that failed are to be silent, too.
impl Drop for Testbed {
    fn drop(&mut self) {
        if self.watching.is_some()
            && let Err(error) = self.guests.be_silent()
        {
            tracing::warn!(%error, "a VM may still send");
        }
    }
}
