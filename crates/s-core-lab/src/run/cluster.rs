//! The agents of a laboratory, a process per host.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::configuration::{self, AgentSettings};
use super::said::Said;
use crate::error::LabError;
use crate::layout::{HostNumber, Layout};
use crate::namespace;

/// How long all agents may take to start.
const START: Duration = Duration::from_secs(20);
/// How long an agent may take to end, before it is killed.
const END: Duration = Duration::from_secs(15);
/// How often to look whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// The program that is an agent: it is started in the network of its host, with its host's number and the path of its
/// configuration after these arguments, and calls [`serve`](super::serve).
#[derive(Clone, Debug)]
pub struct AgentProgram {
    /// The program.
    pub path: PathBuf,
    /// What comes before the host's number.
    pub arguments: Vec<OsString>,
}

/// Something that an agent has said.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// When.
    pub at: Instant,
    /// Which host's agent.
    pub host: HostNumber,
    /// What; `None` when it has ended.
    pub said: Option<Said>,
}

/// One agent per host. They end with it.
#[derive(Debug)]
pub struct Cluster {
    layout: Layout,
    program: AgentProgram,
    configurations: Vec<(HostNumber, PathBuf)>,
    agents: BTreeMap<HostNumber, Child>,
    told: Sender<Heard>,
    heard: Receiver<Heard>,
}

impl Cluster {
    /// Writes the agents' configurations, starts all of them and waits until they run. None of them knows of a token, so
    /// that they agree on one after [`silence`](AgentSettings::silence).
    ///
    /// # Errors
    ///
    /// [`LabError`] if a file cannot be written, or an agent does not start; its last words are in `agent.log` beside
    /// its configuration.
    pub fn start(
        layout: &Layout,
        settings: &AgentSettings,
        program: AgentProgram,
    ) -> Result<Self, LabError> {
        let configurations = configuration::write(layout, settings)?;
        let (told, heard) = channel();
        let mut cluster = Self {
            layout: layout.clone(),
            program,
            configurations,
            agents: BTreeMap::new(),
            told,
            heard,
        };
        for host in layout.hosts() {
            cluster.launch(host)?;
        }
        cluster.await_all()?;
        Ok(cluster)
    }

    fn await_all(&self) -> Result<(), LabError> {
        let by = Instant::now() + START;
        let mut missing = self.agents.len();
        while missing > 0 {
            let left = by.saturating_duration_since(Instant::now());
            match self.heard.recv_timeout(left) {
                Ok(Heard {
                    said: Some(Said::Ready),
                    ..
                }) => missing -= 1,
                Ok(Heard {
                    said: None, host, ..
                }) => return Err(self.last_words(host)),
                Ok(_) => {}
                Err(_) => {
                    return Err(LabError::DeadlineExceeded {
                        what: format!("the start of all agents ({missing} have not)"),
                        after: START,
                    });
                }
            }
        }
        Ok(())
    }

    /// Why an agent has ended, as far as it said.
    fn last_words(&self, host: HostNumber) -> LabError {
        let log = self.log(host);
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let last = text.lines().next_back().unwrap_or("it said nothing");
        LabError::Failed {
            command: format!("the agent of host {} ended", host.0),
            message: format!("{last} ({})", log.display()),
        }
    }

    fn log(&self, host: HostNumber) -> PathBuf {
        self.layout.host_directory(host).join("agent.log")
    }

    fn configuration(&self, host: HostNumber) -> &Path {
        let mut all = self.configurations.iter();
        let found = all.find(|(of, _)| *of == host);
        &found.expect("every host of the layout has one").1
    }

    fn launch(&mut self, host: HostNumber) -> Result<(), LabError> {
        let path = self.log(host);
        let log = File::options().create(true).append(true).open(&path);
        let log = log.map_err(|source| LabError::File { path, source })?;
        let program = self.program.path.display().to_string();
        let mut command = namespace::command(&self.layout.host_namespace(host), &program);
        command.args(&self.program.arguments);
        command
            .arg(host.0.to_string())
            .arg(self.configuration(host));
        let mut agent = command
            // A terminal's Ctrl-C is for this process: it tells the agents, once.
            .process_group(0)
            // An agent ends when this end of it is closed.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|source| LabError::Program { program, source })?;
        let told = self.told.clone();
        if let Some(output) = agent.stdout.take() {
            thread::spawn(move || {
                let lines = BufReader::new(output).lines().map_while(Result::ok);
                for line in lines {
                    match serde_json::from_str(&line) {
                        Ok(said) => tell(&told, host, Some(said)),
                        Err(error) => tracing::warn!(host = host.0, %error, line, "not understood"),
                    }
                }
                tell(&told, host, None);
            });
        }
        self.agents.insert(host, agent);
        Ok(())
    }

    /// The next thing that an agent says, if one does in time.
    pub fn next(&self, timeout: Duration) -> Option<Heard> {
        self.heard.recv_timeout(timeout).ok()
    }

    /// Kills an agent, as `kill -9` does. Does nothing if it has ended.
    ///
    /// # Errors
    ///
    /// [`LabError::Program`] if the system refuses.
    pub fn kill(&mut self, host: HostNumber) -> Result<(), LabError> {
        let Some(mut agent) = self.agents.remove(&host) else {
            return Ok(());
        };
        let killed = agent.kill().and_then(|()| agent.wait());
        killed.map(drop).map_err(|source| LabError::Program {
            program: format!("kill the agent of host {}", host.0),
            source,
        })
    }

    /// Starts the agent of a host anew; what it kept on disk is still there.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); it does not wait until the agent runs.
    pub fn restart(&mut self, host: HostNumber) -> Result<(), LabError> {
        self.kill(host)?;
        self.launch(host)
    }

    /// The CPU time that all agents have taken so far, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        let ticks = |agent: &Child| {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", agent.id())).ok()?;
            cpu_ticks(&stat)
        };
        let ticks: u64 = self.agents.values().filter_map(ticks).sum();
        ticks as f64 / rustix::param::clock_ticks_per_second() as f64
    }

    /// Has all agents end as by SIGTERM, and waits for it; what they say meanwhile can still be [heard](Self::next).
    ///
    /// # Errors
    ///
    /// [`LabError::DeadlineExceeded`] if one has not ended in time; it is killed when the cluster is dropped.
    pub fn stop(&mut self) -> Result<(), LabError> {
        for agent in self.agents.values() {
            if let Some(pid) = i32::try_from(agent.id()).ok().and_then(Pid::from_raw) {
                // It may have ended.
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        let by = Instant::now() + END;
        let mut late = None;
        for (host, agent) in &mut self.agents {
            while matches!(agent.try_wait(), Ok(None)) && Instant::now() < by {
                thread::sleep(LOOK);
            }
            if matches!(agent.try_wait(), Ok(None)) {
                late = Some(*host);
            }
        }
        late.map_or(Ok(()), |host| {
            Err(LabError::DeadlineExceeded {
                what: format!("the end of the agent of host {}", host.0),
                after: END,
            })
        })
    }
}

/// Agents that still run get the time to take their rules away.
impl Drop for Cluster {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.stop();
        for agent in self.agents.values_mut() {
            // It may have ended before.
            let _ = agent.kill().and_then(|()| agent.wait());
        }
    }
}

/// User and system time in `/proc/PID/stat`, in clock ticks: fields 14 and 15 of proc(5).
fn cpu_ticks(stat: &str) -> Option<u64> {
    // The second field is the program's name in brackets, and may hold anything.
    let (_, after) = stat.rsplit_once(") ")?;
    let mut fields = after.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn tell(told: &Sender<Heard>, host: HostNumber, said: Option<Said>) {
    // The cluster may have ended.
    let _ = told.send(Heard {
        at: Instant::now(),
        host,
        said,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 31 4 0 0 20 0 1 0 5 6 7";
        assert_eq!(cpu_ticks(stat), Some(35));
        assert_eq!(cpu_ticks("7 (a) S 1"), None);
    }
}
