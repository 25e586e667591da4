//! Where a run happens.

use std::time::{Duration, Instant};

use s_core_agent::Said;

use super::course::{Course, LinkCounts};
use super::data_centre::Homes;
use super::error::RunError;
use crate::layout::{HostNumber, Layout};
use crate::traffic::Reading;

/// Something that an agent has said.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// When it was said, as far as that is known.
    pub at: Instant,
    /// Which host's agent.
    pub host: HostNumber,
    /// What; `None` when it has ended.
    pub said: Option<Said>,
}

/// How a site finds out what it tells, in words for a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// The report's title.
    pub title: String,
    /// Who counts the true traffic, as in "of what … in the last window".
    pub traffic: String,
    /// How long a VM stood still as whom sees it, as in "how long the VM stood still, …".
    pub downtime: String,
}

/// Where a run happens: hosts with agents and VMs, as whoever [follows](super::follow) the run sees them.
pub trait Site {
    /// What it is made of.
    fn layout(&self) -> &Layout;

    /// How it finds out what it tells.
    fn method(&self) -> Method;

    /// Starts the agents of all hosts, and returns once they run.
    ///
    /// # Errors
    ///
    /// [`RunError`] if one does not.
    fn start_agents(&mut self) -> Result<(), RunError>;

    /// Has all agents end as by SIGTERM, and waits for it. What they say meanwhile can still be [heard](Self::next).
    ///
    /// # Errors
    ///
    /// [`RunError`] if one has not ended in time.
    fn stop_agents(&mut self) -> Result<(), RunError>;

    /// The next thing that an agent says, if one does in time.
    fn next(&mut self, timeout: Duration) -> Option<Heard>;

    /// Why an agent has ended.
    fn why_ended(&mut self, host: HostNumber) -> String;

    /// The CPU time that all agents have taken so far, in seconds.
    fn cpu_seconds(&mut self) -> f64;

    /// Where VMs are, by the hosts themselves.
    ///
    /// # Errors
    ///
    /// [`RunError`] if a host does not tell.
    fn homes(&mut self) -> Result<Homes, RunError>;

    /// What VMs have truly sent to each other so far.
    ///
    /// # Errors
    ///
    /// [`RunError`] if it is not known.
    fn traffic(&mut self) -> Result<Reading, RunError>;

    /// Bytes of IP packets that agents have sent to each other so far.
    ///
    /// # Errors
    ///
    /// [`RunError`] if they cannot be read.
    fn control_bytes(&mut self) -> Result<u64, RunError>;

    /// What links have carried so far.
    ///
    /// # Errors
    ///
    /// [`RunError`] if a link does not tell.
    fn links(&mut self) -> Result<LinkCounts, RunError>;

    /// Ends the traffic, and adds what was measured besides: what each migration sent and how long its VM stood still, round
    /// trips, throughput. It is asked once, after all agents have ended.
    ///
    /// # Errors
    ///
    /// [`RunError`] if something went wrong meanwhile.
    fn complete(&mut self, course: &mut Course) -> Result<(), RunError>;
}
