//! The agents of a laboratory, a process per host.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use s_core_agent::{EventLine, Said};

use super::configuration::{self, AgentSettings};
use super::site::Heard;
use crate::error::LabError;
use crate::layout::{HostNumber, Layout};
use crate::namespace;

/// How long all agents may take to start.
const START: Duration = Duration::from_secs(20);
/// How long an agent may take to end, before it is killed: it hands the token on, and lets arrivals end.
const END: Duration = Duration::from_secs(25);
/// How often to look whether it has.
const LOOK: Duration = Duration::from_millis(20);
/// How long after the end of its output an agent may still run, before that counts as its state.
const LAST: Duration = Duration::from_secs(1);
/// How much of the end of an agent's log is looked at, in bytes.
const TAIL: u64 = 4096;

/// The program that is an agent: it is started in the network of its host, with its host's number and the path of its
/// configuration after these arguments, and calls [`serve`](super::serve).
#[derive(Clone, Debug)]
pub struct AgentProgram {
    /// The program.
    pub path: PathBuf,
    /// What comes before the host's number.
    pub arguments: Vec<OsString>,
}

/// A process, and what it logs.
#[derive(Debug)]
struct Agent {
    process: Child,
    /// Can be read also when its name has gone with the laboratory.
    log: File,
    /// Where in the log this agent began.
    from: u64,
}

/// One agent per host. They end with it.
#[derive(Debug)]
pub struct Cluster {
    layout: Layout,
    program: AgentProgram,
    configurations: Vec<(HostNumber, PathBuf)>,
    agents: BTreeMap<HostNumber, Agent>,
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

    fn await_all(&mut self) -> Result<(), LabError> {
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
                }) => {
                    return Err(LabError::Failed {
                        command: format!("the agent of host {} ended", host.0),
                        message: self.why_ended(host),
                    });
                }
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

    /// Why an agent has ended: how its process did, and the last that it logged.
    pub fn why_ended(&mut self, host: HostNumber) -> String {
        let Some(agent) = self.agents.get_mut(&host) else {
            return "it was killed".into();
        };
        let by = Instant::now() + LAST;
        let status = loop {
            match agent.process.try_wait() {
                Ok(Some(status)) => break status.to_string(),
                _ if Instant::now() >= by => break "its output has ended".into(),
                _ => thread::sleep(LOOK),
            }
        };
        match agent.last_words() {
            Some(words) => format!("{status}; {words}"),
            None => status,
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
        let log = (File::options().create(true).append(true).read(true)).open(&path);
        let opened = log.and_then(|log| {
            let (length, output) = (log.metadata()?.len(), log.try_clone()?);
            Ok((log, length, output))
        });
        let (log, from, output) = opened.map_err(|source| LabError::File { path, source })?;
        let program = self.program.path.display().to_string();
        let mut command = namespace::command(&self.layout.host_namespace(host), &program);
        command.args(&self.program.arguments);
        command
            .arg(host.0.to_string())
            .arg(self.configuration(host));
        let mut process = command
            // A terminal's Ctrl-C is for this process: it tells the agents, once.
            .process_group(0)
            // An agent ends when this end of it is closed.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(output)
            .spawn()
            .map_err(|source| LabError::Program { program, source })?;
        let told = self.told.clone();
        if let Some(output) = process.stdout.take() {
            thread::spawn(move || {
                let lines = BufReader::new(output).lines().map_while(Result::ok);
                for line in lines {
                    match line.parse::<EventLine>() {
                        Ok(EventLine { said, .. }) => tell(&told, host, Some(said)),
                        Err(error) => tracing::warn!(host = host.0, %error, line, "not understood"),
                    }
                }
                tell(&told, host, None);
            });
        }
        self.agents.insert(host, Agent { process, log, from });
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
        let killed = agent.process.kill();
        let killed = killed.and_then(|()| agent.process.wait());
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
        let ticks = |agent: &Agent| {
            let stat =
                std::fs::read_to_string(format!("/proc/{}/stat", agent.process.id())).ok()?;
            cpu_ticks(&stat)
        };
        let ticks: u64 = self.agents.values().filter_map(ticks).sum();
        ticks as f64 / rustix::param::clock_ticks_per_second() as f64
    }

    /// Has all agents end as by SIGTERM, and waits for it, at most 25 s; what they say meanwhile can still be
    /// [heard](Self::next). A migration in flight and one that was admitted at its target are seen to their end, for which
    /// an agent takes up to 10 s; the token is handed on to whoever still takes it.
    ///
    /// # Errors
    ///
    /// [`LabError::DeadlineExceeded`] if one has not ended in time; it is killed when the cluster is dropped.
    pub fn stop(&mut self) -> Result<(), LabError> {
        for agent in self.agents.values_mut() {
            // The id of one that was waited for may be another's.
            let runs = matches!(agent.process.try_wait(), Ok(None));
            let pid = i32::try_from(agent.process.id()).ok();
            if let (true, Some(pid)) = (runs, pid.and_then(Pid::from_raw)) {
                // It may have ended.
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        let by = Instant::now() + END;
        let mut late = None;
        for (host, agent) in &mut self.agents {
            while matches!(agent.process.try_wait(), Ok(None)) && Instant::now() < by {
                thread::sleep(LOOK);
            }
            if matches!(agent.process.try_wait(), Ok(None)) {
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
            let _ = agent.process.kill().and_then(|()| agent.process.wait());
        }
    }
}

impl Agent {
    /// The last line that it logged.
    fn last_words(&self) -> Option<String> {
        let end = self.log.metadata().ok()?.len();
        let from = self.from.max(end.saturating_sub(TAIL));
        let mut tail = vec![0; usize::try_from(end.checked_sub(from)?).ok()?];
        self.log.read_exact_at(&mut tail, from).ok()?;
        let tail = String::from_utf8_lossy(&tail);
        tail.lines().next_back().map(str::to_owned)
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
