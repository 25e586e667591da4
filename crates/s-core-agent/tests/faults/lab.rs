//! Servers with their agents, each a process in a network of its own, and what the agents say.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use s_core_backend::emulated::DataCentre;
use s_core_model::VmId;
use s_core_token::Mark;

use crate::network::{Network, number_of};
use crate::remote;
use crate::world;

/// How many servers there are.
pub(crate) const SERVERS: u8 = 5;
/// The server whose state directory is a file system of two pages: one for the mark, one to replace it.
pub(crate) const SMALL_DISK: u8 = 5;

/// Something that an agent has said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) server: u8,
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Holding(VmId, Mark),
    Migrating,
    Outcome,
    Superseded,
    Unstored,
}

/// Everything; ended when it is dropped, also by a panic.
pub(crate) struct Lab {
    agents: BTreeMap<u8, Child>,
    pub(crate) data_centre: DataCentre,
    pub(crate) ends: remote::Ends,
    told: Sender<Seen>,
    heard: Receiver<Seen>,
    /// Who has acted on which mark.
    marks: BTreeMap<Mark, u8>,
    /// The last server that held the token and its mark there.
    pub(crate) holder: (u8, Mark),
    /// The server that held it before.
    pub(crate) before: u8,
    /// When a token was last acted on although one of a higher epoch had been before.
    pub(crate) two_tokens: Option<Instant>,
    pub(crate) network: Network,
    dir: tempfile::TempDir,
}

impl Lab {
    /// Agents on all servers; nobody is told to make a token.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data_centre = world::build(SERVERS);
        let ends = remote::serve(data_centre.clone(), &dir.path().join("hypervisors"));
        world::change_traffic(data_centre.clone());
        let (told, heard) = channel();
        let mut lab = Self {
            agents: BTreeMap::new(),
            data_centre,
            ends,
            told,
            heard,
            marks: BTreeMap::new(),
            holder: (0, Mark::default()),
            before: 0,
            two_tokens: None,
            network: Network::new(SERVERS),
            dir,
        };
        for server in 1..=SERVERS {
            lab.start_agent(server);
        }
        lab
    }

    fn start_agent(&mut self, server: u8) {
        let program = std::env::current_exe().unwrap();
        let state = self.state_dir(server);
        std::fs::create_dir_all(&state).unwrap();
        let small = server == SMALL_DISK;
        let shell = PathBuf::from("sh");
        let first = if small { &shell } else { &program };
        let mut command = self.network.command(Some(server), first);
        if small {
            let script = r#"mount -t tmpfs -o size=8k none "$4" && exec "$0" "$@""#;
            command.args(["-c", script]).arg(&program);
        }
        command.args(["agent", &server.to_string(), &SERVERS.to_string()]);
        command.arg(state).arg(self.dir.path().join("hypervisors"));
        let mut agent = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(agent.stdout.take().unwrap()).lines();
        let told = self.told.clone();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let (at, what) = (Instant::now(), parse(&line));
                // The lab may have ended.
                let _ = told.send(Seen { at, server, what });
            }
        });
        self.agents.insert(server, agent);
    }

    fn state_dir(&self, server: u8) -> PathBuf {
        self.dir.path().join(format!("state-{server}"))
    }

    /// A file in an agent's state directory, as the agent's mounts have it.
    pub(crate) fn state_file(&self, server: u8, name: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.pid(server)));
        let path = self.state_dir(server).join(name);
        root.join(path.strip_prefix("/").unwrap())
    }

    pub(crate) fn pid(&self, server: u8) -> u32 {
        self.agents[&server].id()
    }

    pub(crate) fn signal(&self, server: u8, signal: Signal) {
        let pid = i32::try_from(self.pid(server)).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, server: u8) {
        self.agents.get_mut(&server).unwrap().kill().unwrap();
    }

    pub(crate) fn restart(&mut self, servers: &[u8]) {
        for server in servers {
            let mut killed = self.agents.remove(server).unwrap();
            killed.wait().unwrap();
            self.start_agent(*server);
        }
    }

    /// How many VMs run on these servers.
    pub(crate) fn vms_on(&self, servers: &[u8]) -> u32 {
        let homes = self.data_centre.placement().into_values();
        let here = homes.filter(|home| servers.contains(&number_of(*home)));
        u32::try_from(here.count()).unwrap()
    }

    /// The next thing that an agent says, if one does in time. Rule R1: no mark is acted on twice.
    pub(crate) fn next(&mut self, timeout: Duration) -> Option<Seen> {
        let seen = self.heard.recv_timeout(timeout).ok()?;
        if let What::Holding(_, mark) = seen.what {
            let first = self.marks.insert(mark, seen.server);
            assert_eq!(first, None, "acted on a second time: {seen:?}");
            let (holder, newest) = self.holder;
            if mark.epoch < newest.epoch {
                self.two_tokens = Some(seen.at);
            } else {
                if holder != seen.server {
                    self.before = holder;
                }
                self.holder = (seen.server, mark);
            }
        }
        Some(seen)
    }

    /// Waits until an agent says this.
    pub(crate) fn wait(
        &mut self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&Self, &Seen) -> bool,
    ) -> Seen {
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Some(seen) = self.next(left) else {
                panic!("{what}: not within {limit:?}");
            };
            if wanted(self, &seen) {
                return seen;
            }
        }
    }

    /// Waits until the token has been with every VM.
    pub(crate) fn settle(&mut self) {
        let limit = Duration::from_secs(40);
        let end = Instant::now() + limit;
        let mut missing: Vec<VmId> = self.data_centre.placement().into_keys().collect();
        while !missing.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            let Some(seen) = self.next(left) else {
                panic!("no token for {missing:?} within {limit:?}");
            };
            if let What::Holding(vm, _) = seen.what {
                missing.retain(|other| *other != vm);
            }
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for agent in self.agents.values_mut() {
            // It may have ended before.
            drop(agent.kill());
            drop(agent.wait());
        }
    }
}

fn parse(line: &str) -> What {
    let words: Vec<_> = line.split(' ').collect();
    match words[..] {
        ["holding", vm, mark] => {
            let mut bytes = [0; Mark::LEN];
            for (i, byte) in bytes.iter_mut().enumerate() {
                *byte = u8::from_str_radix(&mark[2 * i..2 * i + 2], 16).unwrap();
            }
            What::Holding(vm.parse().unwrap(), Mark::from_bytes(bytes))
        }
        ["migrating", _] => What::Migrating,
        ["outcome", _] => What::Outcome,
        ["superseded"] => What::Superseded,
        ["unstored"] => What::Unstored,
        _ => panic!("an agent said {line:?}"),
    }
}
