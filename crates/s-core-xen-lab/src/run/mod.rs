//! Agents at work on a testbed: real migrations of real VMs, and the cost as it truly is.

pub(crate) mod agents;
pub(crate) mod configuration;
mod events;
pub(crate) mod guests;
mod site;
mod watching;

use std::time::{Duration, Instant};

use s_core_lab::LabName;
use s_core_lab::run::{Course, FollowSettings, RunError, RunLock, Watcher, follow};
use s_core_lab::traffic::PairTraffic;

pub use configuration::{AgentSettings, Transport};

use crate::ssh::Remote;
use site::Testbed;

/// How often the cost is computed: asking the VMs is work for their hosts.
const EVERY: Duration = Duration::from_secs(5);

/// How long a run may take, and how it is watched.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// What the agents are told.
    pub agents: AgentSettings,
    /// What VMs exchange. Emulated hosts carry some hundred kB/s in all.
    pub pairs: Vec<PairTraffic>,
    /// How long to measure before the agents start, and again after the cost has settled.
    pub rest: Duration,
    /// After this time the run ends though the cost has not settled.
    pub limit: Duration,
}

/// Has the VMs of a testbed send, configures and starts an agent in each control domain, and follows them until the cost has
/// settled, the watcher stops it or the limit is over. Then the agents end and take their rules away, the VMs send nothing any more,
/// and stay where they are.
///
/// The result has no throughput, and round trips only around migrations. Agents of an earlier run end first, and what they
/// knew is forgotten. While the run lasts a control domain that is started again starts its agent, too.
///
/// # Errors
///
/// [`RunError`] if there is no such testbed, another process has its VMs send, or a host or VM does not answer. The agents have
/// been told to end then, and the VMs to be silent.
pub fn run(
    name: &LabName,
    settings: &RunSettings,
    watcher: &mut dyn Watcher,
) -> Result<Course, RunError> {
    let remote = Remote::of(name)?;
    let _lock = RunLock::take(remote.plan().layout())?;
    let begin = Instant::now();
    let mut testbed = Testbed::start(remote, settings.agents, &settings.pairs, begin)?;
    let follow_settings = FollowSettings {
        policy: settings.agents.policy,
        migration_cost: settings.agents.migration_cost,
        window: settings.agents.window,
        every: EVERY,
        rest: settings.rest,
        limit: settings.limit,
    };
    follow(&mut testbed, &follow_settings, begin, watcher)
}
