//! The agents of a testbed, each in its control domain.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use s_core_agent::Said;
use s_core_lab::run::{Heard, random_key};
use s_core_lab::{HostNumber, LabError};

use super::configuration::{AGENT, AgentSettings, LOG, start_script, stop_script};
use super::events::Follower;
use crate::ssh::Remote;
use crate::up::on_all;

/// How long the agents may take until they are ready, once all of before have ended and all are started.
const START: Duration = Duration::from_secs(300);
/// How long a host may take to answer.
const ANSWER: Duration = Duration::from_secs(90);
/// How long an agent takes to end beside a migration of its own.
const END: Duration = Duration::from_secs(60);
/// How often an agent is told to end that cannot be told, and after how long again.
const STOPS: u32 = 4;
const STOP_AGAIN: Duration = Duration::from_secs(10);
/// How long the last lines may take once the agents have ended.
const LAST_LINES: Duration = Duration::from_secs(10);

/// One agent per host. They are told to end with it.
#[derive(Debug)]
pub(crate) struct Agents {
    remote: Remote,
    settings: AgentSettings,
    followers: Vec<Follower>,
    heard: Receiver<Heard>,
    running: bool,
}

impl Agents {
    /// Starts them and waits until all run.
    pub(crate) fn start(remote: &Remote, settings: &AgentSettings) -> Result<Self, LabError> {
        let (plan, key) = (remote.plan(), random_key()?);
        let (told, heard) = channel();
        // From here on whatever has been started is ended.
        let mut this = Self {
            remote: remote.clone(),
            settings: *settings,
            followers: Vec::new(),
            heard,
            running: true,
        };
        let within = longest_end(settings) + ANSWER;
        on_all(plan, |host| {
            let script = start_script(plan, settings, host, &key);
            remote.run(host, "sh -s", &script, within).map(drop)
        })?;
        for host in plan.layout().hosts() {
            this.followers.push(Follower::start(remote, host, &told)?);
        }
        this.await_all(Instant::now() + START)?;
        Ok(this)
    }

    fn await_all(&self, by: Instant) -> Result<(), LabError> {
        let mut missing: Vec<_> = self.remote.plan().layout().hosts().collect();
        while let Some(first) = missing.first() {
            let left = by.saturating_duration_since(Instant::now());
            let Ok(heard) = self.heard.recv_timeout(left) else {
                return Err(LabError::Failed {
                    command: format!(
                        "the agent of {} has not started",
                        self.remote.plan().host_name(*first)
                    ),
                    message: self.last_words(*first),
                });
            };
            if heard.said == Some(Said::Ready) {
                missing.retain(|host| *host != heard.host);
            }
        }
        Ok(())
    }

    /// The next thing that an agent says, if one does in time.
    pub(crate) fn next(&self, timeout: Duration) -> Option<Heard> {
        self.heard.recv_timeout(timeout).ok()
    }

    /// The last line that an agent has logged before it ended, and how it ended; or its last line if it has not ended.
    pub(crate) fn last_words(&self, host: HostNumber) -> String {
        let script = format!("grep -B 1 '^keeper: ' {LOG} | tail -n 2 | grep . || tail -n 1 {LOG}");
        let said = self.remote.run(host, &script, "", ANSWER);
        let said = said.unwrap_or_else(|error| error.to_string());
        said.trim_end().replace('\n', "; ")
    }

    /// The CPU time that all agents have taken, in seconds; those that do not tell are left out.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        // Of `proc(5)`; a control domain's clock ticks a hundred times a second for programs.
        let script = format!("awk '{{ print $14 + $15 }}' /proc/$(cat {AGENT})/stat");
        let (remote, ticks) = (&self.remote, Mutex::new(0.0));
        let asked = on_all(remote.plan(), |host| {
            let said = remote.run(host, &script, "", ANSWER)?;
            *locked(&ticks) += said.trim().parse::<f64>().unwrap_or_default();
            Ok(())
        });
        if let Err(error) = asked {
            tracing::warn!(%error, "an agent does not say what it has computed");
        }
        let ticks = *locked(&ticks);
        ticks / 100.0
    }

    /// Has all end as by SIGTERM, and waits for it: for a migration in flight, too. What they say meanwhile can still be heard.
    pub(crate) fn stop(&mut self) -> Result<(), LabError> {
        if !std::mem::take(&mut self.running) {
            return Ok(());
        }
        let stopped = end_agents(&self.remote, &self.settings);
        let by = Instant::now() + LAST_LINES;
        for follower in &mut self.followers {
            follower.end(by);
        }
        stopped
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::warn!(%error, "an agent was not told to end");
        }
    }
}

/// Has the agents of all control domains end as by SIGTERM, those that were started with these settings or a run has left that was
/// killed, and waits for it. Where none runs nothing is done.
pub(crate) fn end_agents(remote: &Remote, settings: &AgentSettings) -> Result<(), LabError> {
    let (script, within) = (stop_script(remote.plan()), longest_end(settings));
    on_all(remote.plan(), |host| {
        let mut tries = 1..STOPS;
        loop {
            match remote.run(host, "sh -s", &script, within) {
                // A host that has too much to do may not answer now. Telling it twice does no harm.
                Err(_) if tries.next().is_some() => thread::sleep(STOP_AGAIN),
                told => return told.map(drop),
            }
        }
    })
}

fn longest_end(settings: &AgentSettings) -> Duration {
    settings.migration + END
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked has not left it half written: each value is set at once.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
