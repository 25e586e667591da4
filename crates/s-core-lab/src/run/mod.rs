//! Agents at work in a laboratory: real traffic, real agents, and the cost as it truly is.
//!
//! [`run`] starts everything, follows it until the cost has settled, and tells what came of it as a [`Course`]; the
//! laboratory is left up, with its VMs where they are. [`follow`] does the same wherever there are hosts with agents and VMs, at
//! any [`Site`].

mod cluster;
mod configuration;
mod control;
mod course;
mod data_centre;
mod error;
mod following;
mod laboratory;
mod lock;
mod probed;
mod report;
mod serve;
mod site;

use std::time::{Duration, Instant};

pub use s_core_agent::Said;

pub use cluster::{AgentProgram, Cluster};
pub use configuration::{AgentSettings, link_weights, random_key};
pub use control::ControlTraffic;
pub use course::{Course, LinkCounts, LinkLoads, LostAgent, Measured, Migration, Round, Sample};
pub use data_centre::Homes;
pub use error::RunError;
pub use following::{FollowSettings, follow};
pub use lock::RunLock;
pub use serve::serve;
pub use site::{Heard, Method, Site};

use crate::layout::{HostNumber, Layout};
use crate::traffic::{PairTraffic, TrafficSettings};
use laboratory::Laboratory;

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

    /// VMs are there: at the beginning, and after each migration as the agents say.
    fn placed(&mut self, homes: &Homes) {
        let _ = homes;
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
    let begin = Instant::now();
    let mut laboratory = Laboratory::start(layout, settings, program, begin)?;
    let course = follow(
        &mut laboratory,
        &FollowSettings::from(settings),
        begin,
        watcher,
    )?;
    laboratory.end()?;
    Ok(course)
}
