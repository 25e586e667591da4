//! The agents of a testbed, each in its control domain.

use std::io::{BufRead, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use s_core_agent::{EventLine, Said};
use s_core_lab::run::{Heard, random_key};
use s_core_lab::{HostNumber, LabError};

use super::configuration::{AGENT, AgentSettings, EVENTS, KEEPER, LOG, start_script, stop_script};
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
/// How long a connection over which events come lasts before the next one takes over.
const CONNECTION: Duration = Duration::from_secs(600);
/// How long to wait before a connection is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// The longest line of events, in octets.
const LONGEST_LINE: u64 = 64 << 10;
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
        let within = this.longest_end() + ANSWER;
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
        let (remote, within) = (&self.remote, self.longest_end());
        let stopped = on_all(remote.plan(), |host| {
            let script = stop_script(remote.plan());
            let mut tries = 1..STOPS;
            loop {
                match remote.run(host, "sh -s", &script, within) {
                    // A host that has too much to do may not answer now. Telling it twice does no harm.
                    Err(_) if tries.next().is_some() => thread::sleep(STOP_AGAIN),
                    told => return told.map(drop),
                }
            }
        });
        let by = Instant::now() + LAST_LINES;
        for follower in &mut self.followers {
            follower.end(by);
        }
        stopped
    }

    fn longest_end(&self) -> Duration {
        self.settings.migration + END
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::warn!(%error, "an agent was not told to end");
        }
    }
}

/// Reads the events of one agent, over one connection after the other.
#[derive(Debug)]
struct Follower {
    ends: Arc<AtomicBool>,
    connection: Arc<Mutex<Option<Child>>>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    fn start(remote: &Remote, host: HostNumber, told: &Sender<Heard>) -> Result<Self, LabError> {
        let (ends, connection) = (Arc::default(), Arc::default());
        let mut reader = Reader {
            remote: remote.clone(),
            host,
            told: told.clone(),
            ends: Arc::clone(&ends),
            connection: Arc::clone(&connection),
            offset: 0,
        };
        let thread = thread::Builder::new().name(format!("events {}", host.0));
        let thread = thread.spawn(move || reader.work());
        let thread = thread.map_err(|source| LabError::Program {
            program: "a thread".into(),
            source,
        })?;
        Ok(Self {
            ends,
            connection,
            thread: Some(thread),
        })
    }

    /// Reads what there still is, but not longer than this.
    fn end(&mut self, by: Instant) {
        self.ends.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else {
            return;
        };
        while !thread.is_finished() && Instant::now() < by {
            thread::sleep(Duration::from_millis(50));
        }
        if let Some(connection) = &*locked(&self.connection) {
            let pid = i32::try_from(connection.id()).ok().and_then(Pid::from_raw);
            if let Some(pid) = pid.filter(|_| !thread.is_finished()) {
                // It may have ended just now.
                let _ = kill_process(pid, Signal::TERM);
            }
        }
    }
}

#[derive(Debug)]
struct Reader {
    remote: Remote,
    host: HostNumber,
    told: Sender<Heard>,
    ends: Arc<AtomicBool>,
    connection: Arc<Mutex<Option<Child>>>,
    /// How many octets of the file were read, in whole lines.
    offset: u64,
}

impl Reader {
    fn work(&mut self) {
        // The last connection reads to the end: it is made after the agent has ended.
        let mut last = false;
        while !last {
            last = self.ends.load(Ordering::Relaxed);
            if let Err(error) = self.connect() {
                tracing::debug!(host = self.host.0, %error, "no events");
            }
            if !last && !self.ends.load(Ordering::Relaxed) {
                thread::sleep(AGAIN);
            }
        }
    }

    /// Reads over one connection until it ends: with the agent, after its time, or because it broke.
    fn connect(&mut self) -> std::io::Result<()> {
        let mut command = self.remote.command(self.host, CONNECTION);
        command.arg(follow_script(self.offset));
        let mut child = command
            // A terminal's Ctrl-C is for this process.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = child.stdout.take();
        *locked(&self.connection) = Some(child);
        let read = output.map_or(Ok(()), |output| self.read(BufReader::new(output)));
        let child = locked(&self.connection).take();
        if let Some(mut child) = child {
            child.wait()?;
        }
        read
    }

    fn read(&mut self, mut output: impl BufRead) -> std::io::Result<()> {
        let mut line = String::new();
        // A line whose end has not come will come again.
        while (&mut output).take(LONGEST_LINE).read_line(&mut line)? > 0 && line.ends_with('\n') {
            self.offset += line.len() as u64;
            match line.trim_end().parse::<EventLine>() {
                Ok(EventLine { said, .. }) => {
                    let (at, host) = (Instant::now(), self.host);
                    let said = Some(said);
                    // Nobody may be listening any more.
                    let _ = self.told.send(Heard { at, host, said });
                }
                Err(error) => {
                    tracing::warn!(host = self.host.0, %error, line, "not understood");
                }
            }
            line.clear();
        }
        Ok(())
    }
}

/// Prints an agent's events from this octet on, until the agent has ended.
fn follow_script(offset: u64) -> String {
    let from = offset.saturating_add(1);
    let keeper = format!("$(cat {KEEPER} 2>/dev/null)");
    // Without an agent there is nothing to wait for.
    format!(
        "if [ -e {KEEPER} ]; then tail -c +{from} -F --pid={keeper} -s 1 {EVENTS}; else tail -c +{from} {EVENTS}; fi"
    )
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked has not left it half written: each value is set at once.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Image;
    use crate::plan::{Plan, Size};

    #[test]
    fn a_connection_goes_on_where_the_last_one_broke() {
        let plan = Plan::new("demo".parse().unwrap(), Size::default()).unwrap();
        let (told, heard) = channel();
        let mut reader = Reader {
            remote: Remote::new(plan, Image::from_directory("/c/image-1".into())),
            host: HostNumber(2),
            told,
            ends: Arc::default(),
            connection: Arc::default(),
            offset: 0,
        };
        let file = "{\"time\":1.5,\"event\":\"ready\"}\nnonsense\n{\"time\":2.5,\"event\":\"minted\",\"vms\":8}\n";
        // The connection broke in the middle of the last line.
        reader.read(&file.as_bytes()[..50]).unwrap();
        assert_eq!(reader.offset, 38);
        let from = usize::try_from(reader.offset).unwrap();
        reader.read(&file.as_bytes()[from..]).unwrap();
        assert_eq!(reader.offset, file.len() as u64);
        let said: Vec<_> = heard
            .try_iter()
            .map(|heard| (heard.host.0, heard.said))
            .collect();
        let wanted = [Said::Ready, Said::Minted { vms: 8 }];
        assert_eq!(said, wanted.map(|said| (2, Some(said))));
        assert!(follow_script(reader.offset).contains(&format!(" -c +{} ", file.len() + 1)));
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let plan = Plan::new("demo".parse().unwrap(), Size::default()).unwrap();
        let (told, heard) = channel();
        let mut reader = Reader {
            remote: Remote::new(plan, Image::from_directory("/c/image-1".into())),
            host: HostNumber(1),
            told,
            ends: Arc::default(),
            connection: Arc::default(),
            offset: 0,
        };
        reader.read(&[b'x'; 1 << 20][..]).unwrap();
        assert_eq!((reader.offset, heard.try_iter().count()), (0, 0));
    }
}
