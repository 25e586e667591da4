//! The testbed while a fault is made: in a known state before, mended after.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use s_core_lab::run::{Heard, RunError, Said};
use s_core_lab::traffic::{Mix, PairTraffic};
use s_core_lab::{Cable, HostNumber, LabError, Layout, VmNumber, cut, kill_host, mend, system};
use s_core_model::Rate;

use super::judge::{Observation, Terms};
use super::observe::{self, HostSeen};
use super::scenario::{Fault, token_bound};
use super::{FaultWatcher, Halt};
use crate::domain;
use crate::run::AgentSettings;
use crate::run::agents::{Agents, end_agents};
use crate::run::guests::Guests;
use crate::ssh::Remote;
use crate::up::{on_all, restart_host};

/// How long a host may take to answer.
const ANSWER: Duration = Duration::from_secs(90);
/// How often to look whether the watcher stops it.
const LOOK: Duration = Duration::from_millis(500);
/// Memory goes to a host at this rate while a fault needs time to be made: half a minute for a VM of 40 MiB.
const SLOW: &str = "root tbf rate 10mbit burst 32kb latency 300ms";
/// What the two VMs exchange, in bytes per second.
const TRAFFIC: f64 = 100e3;
/// Ends what a migration has left running on a control domain.
const END_MIGRATIONS: &str =
    "for process in $(pgrep -f '[x]l migrate'); do kill -KILL $process; done; true";

/// The domain that takes a host's memory.
pub(super) const BALLAST: &str = "ballast";

/// A migration that agents have begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moving {
    pub(super) vm: VmNumber,
    pub(super) source: HostNumber,
    pub(super) target: HostNumber,
}

/// A fault that was made, and mended where that belongs to it.
pub(super) struct Made {
    /// The migration that it has met.
    pub(super) of: Moving,
    /// When. What agents have warned of before is not what comes of it.
    pub(super) at: Instant,
    /// From when on the token is waited for.
    pub(super) since: Instant,
    /// Which VMs may be gone.
    pub(super) gone: Vec<VmNumber>,
    /// The host whose agent was killed, alone or with it, and is started again.
    pub(super) restarts: Option<HostNumber>,
    /// What was seen.
    pub(super) seen: String,
}

/// A testbed with agents.
pub(super) struct Stage<'a> {
    pub(super) remote: Remote,
    fault: Fault,
    settings: AgentSettings,
    guests: Guests,
    agents: Option<Agents>,
    watcher: &'a mut dyn FaultWatcher,
    /// All that the agents have said.
    heard: Vec<Heard>,
    cut_off: Option<HostNumber>,
    without_power: Option<HostNumber>,
    slowed: bool,
    tidy: bool,
}

impl<'a> Stage<'a> {
    pub(super) fn new(
        remote: &Remote,
        fault: Fault,
        watcher: &'a mut dyn FaultWatcher,
    ) -> Result<Self, RunError> {
        let [_, target] = ends(remote.plan().layout())?;
        Ok(Self {
            guests: Guests::reach(remote.plan())?,
            remote: remote.clone(),
            fault,
            // What a migration that has failed keeps there is in the way of every other.
            settings: AgentSettings {
                only_room: Some(target),
                ..fault.agents()
            },
            agents: None,
            watcher,
            heard: Vec::new(),
            cut_off: None,
            without_power: None,
            slowed: false,
            tidy: false,
        })
    }

    pub(super) fn step(&mut self, what: &str) {
        self.watcher.step(&format!("{}: {what}", self.fault));
    }

    pub(super) fn migration_limit(&self) -> Duration {
        self.settings.migration
    }

    pub(super) fn hosts(&self) -> Vec<HostNumber> {
        self.remote.plan().layout().hosts().collect()
    }

    /// Puts VMs in their places, lets two of them exchange traffic, and starts the agents. What was there before they did.
    pub(super) fn begin(&mut self) -> Result<BTreeMap<HostNumber, HostSeen>, Halt> {
        self.reset()?;
        self.step("VMs to their places");
        self.home()?;
        let before = self.look(Duration::ZERO);
        if before.len() < self.hosts().len() {
            return Err(LabError::Missing("not all hosts answer".into()).into());
        }
        let layout = self.remote.plan().layout();
        let first = |of| layout.vms().find(|vm| layout.first_host(*vm) == of);
        if let [Some(a), Some(b)] = ends(layout)?.map(first) {
            let rate = Rate::new(TRAFFIC).expect("the constant is a rate");
            let pair = PairTraffic::new(layout.vm(a), layout.vm(b), rate, Mix::BULK);
            self.guests.send(&[pair])?;
        }
        self.step("starting agents");
        self.agents = Some(Agents::start(&self.remote, &self.settings)?);
        Ok(before)
    }

    /// Ends and mends what a process has left that was killed: its agents would move VMs on their way to their places.
    fn reset(&mut self) -> Result<(), LabError> {
        let layout = self.remote.plan().layout();
        for host in layout.hosts() {
            mend(layout, Cable::Management(host))?;
        }
        // What is not there cannot be deleted.
        self.slow()?;
        self.fast()?;
        end_agents(&self.remote, &AgentSettings::default())
    }

    /// Waits until an agent begins to migrate a VM.
    pub(super) fn moving(&mut self) -> Result<Moving, Halt> {
        self.step("waiting for a migration");
        let layout = self.remote.plan().layout().clone();
        // A token, half a window of rates, and a round; on a busy machine several.
        let within = self.settings.silence * 4 + self.settings.window * 4;
        let moving = self.hear("a migration", within, |heard| match &heard.said {
            Some(Said::Migrating { vm, target, .. }) => Some(Moving {
                vm: layout.vm_of(*vm)?,
                source: heard.host,
                target: layout.host_of(*target)?,
            }),
            _ => None,
        })?;
        let Moving {
            vm, source, target, ..
        } = moving;
        self.step(&format!(
            "v{} migrates from host {} to host {}",
            vm.0, source.0, target.0
        ));
        Ok(moving)
    }

    /// Waits until the source says that the migration has failed, and why.
    pub(super) fn ending(&mut self, of: Moving) -> Result<(Instant, String), Halt> {
        let address = self.remote.plan().layout().vm(of.vm);
        let within = self.settings.migration + ANSWER;
        let ended = self.hear("the end of the migration", within, |heard| {
            match &heard.said {
                Some(Said::Migrated { vm, .. }) if *vm == address => Some(None),
                Some(Said::NotMoved { vm, why, .. }) if *vm == address => {
                    Some(Some((heard.at, why.clone())))
                }
                _ => None,
            }
        })?;
        ended.ok_or_else(|| LabError::Missing("the VM had migrated before".into()).into())
    }

    fn hear<T>(
        &mut self,
        what: &str,
        within: Duration,
        mut wanted: impl FnMut(&Heard) -> Option<T>,
    ) -> Result<T, Halt> {
        let by = Instant::now() + within;
        while Instant::now() < by {
            if let Some(heard) = self.next()?
                && let Some(found) = wanted(&heard)
            {
                return Ok(found);
            }
        }
        let what = what.to_owned();
        Err(LabError::DeadlineExceeded {
            what,
            after: within,
        }
        .into())
    }

    /// The next thing that an agent says, if one soon does.
    fn next(&mut self) -> Result<Option<Heard>, Halt> {
        if self.watcher.is_stopped() {
            return Err(Halt::Interrupted);
        }
        let heard = self.agents.as_ref().and_then(|agents| agents.next(LOOK));
        self.heard.extend(heard.clone());
        Ok(heard)
    }

    /// Takes note of what agents say for a while.
    pub(super) fn listen(&mut self, time: Duration) -> Result<(), Halt> {
        let by = Instant::now() + time;
        while Instant::now() < by {
            self.next()?;
        }
        Ok(())
    }

    /// Makes migrations slow, so that there is time to make a fault.
    pub(super) fn slow(&mut self) -> Result<(), LabError> {
        self.slowed = true;
        self.qdiscs(|port| format!("qdisc replace dev {port} {SLOW}"))
    }

    /// Makes migrations as fast as they were.
    pub(super) fn fast(&mut self) -> Result<(), LabError> {
        if !std::mem::take(&mut self.slowed) {
            return Ok(());
        }
        self.qdiscs(|port| format!("qdisc del dev {port} root"))
    }

    fn qdiscs(&self, line: impl Fn(&str) -> String) -> Result<(), LabError> {
        let layout = self.remote.plan().layout();
        let ports = layout
            .hosts()
            .map(|host| layout.management_switch_port(host));
        let lines: Vec<_> = ports.map(|port| line(&port)).collect();
        system::tc_batch(&layout.fabric_namespace(), &lines)
    }

    pub(super) fn cut_off(&mut self, host: HostNumber) -> Result<(), LabError> {
        self.cut_off = Some(host);
        cut(self.remote.plan().layout(), Cable::Management(host))
    }

    pub(super) fn mend_link(&mut self) -> Result<(), LabError> {
        let Some(host) = self.cut_off else {
            return Ok(());
        };
        mend(self.remote.plan().layout(), Cable::Management(host))?;
        self.cut_off = None;
        Ok(())
    }

    pub(super) fn cut_power(&mut self, host: HostNumber) -> Result<(), LabError> {
        self.without_power = Some(host);
        kill_host(self.remote.plan().layout(), host)
    }

    pub(super) fn restart_host(&mut self) -> Result<(), LabError> {
        let Some(host) = self.without_power else {
            return Ok(());
        };
        let name = self.remote.plan().layout().name().clone();
        restart_host(&name, host, &|_, _| {})?;
        self.without_power = None;
        Ok(())
    }

    /// What all hosts show that answer, with warnings not older than this.
    fn look(&self, time: Duration) -> BTreeMap<HostNumber, HostSeen> {
        let seen = Mutex::new(BTreeMap::new());
        let (remote, plan) = (&self.remote, self.remote.plan());
        let looked = on_all(plan, |host| {
            let found = look_at(remote, host, time)?;
            let mut seen = seen.lock().expect("nobody panics with the lock");
            seen.insert(host, found);
            Ok(())
        });
        if let Err(error) = looked {
            tracing::warn!(%error, "a host does not answer");
        }
        seen.into_inner().expect("nobody has panicked with it")
    }

    /// What there is to judge.
    pub(super) fn observation(&self, made: &Made) -> Observation {
        let hosts = self.look(made.at.elapsed());
        let (of, since) = (made.of, made.since);
        let mut token = BTreeMap::new();
        for heard in &self.heard {
            if let (Some(Said::Holding { .. }), true) = (&heard.said, heard.at >= since) {
                token.entry(heard.host).or_insert(heard.at - since);
            }
        }
        let moved = |of: &Heard| matches!(of.said, Some(Said::Migrated { .. }));
        let returned = self.heard.iter().filter(|of| of.said == Some(Said::Ready));
        let there = hosts.get(&of.target).is_some_and(|target| {
            let mut domains = target.domains.iter();
            domains.any(|domain| domain.vm == Some(of.vm) && domain.runs())
        });
        Observation {
            migrated: there || self.heard.iter().any(moved),
            // When the agents were first ready, nothing was kept yet.
            returned: returned.map(|of| of.host).collect(),
            hosts,
            token,
        }
    }

    pub(super) fn terms(&self, before: &BTreeMap<HostNumber, HostSeen>, made: &Made) -> Terms {
        let layout = self.remote.plan().layout();
        let vms = layout.vms();
        let memory = before.iter();
        Terms {
            vms: vms
                .map(|vm| (vm, (layout.vm_uuid(vm), layout.vm(vm))))
                .collect(),
            may_be_gone: made.gone.clone(),
            memory: memory.map(|(host, of)| (*host, of.memory_mib())).collect(),
            restarts: made.restarts,
            migrates: self.fault.may_migrate_again(),
            bound: token_bound(layout, &self.settings),
        }
    }

    /// Each VM on its first host, once, and nothing else of it or of a fault anywhere. Other domains are not touched.
    fn home(&self) -> Result<(), LabError> {
        let (remote, plan) = (&self.remote, self.remote.plan());
        let layout = plan.layout();
        let at_home = Mutex::new(Vec::new());
        on_all(plan, |host| {
            remote.run(host, END_MIGRATIONS, "", ANSWER)?;
            for domain in look_at(remote, host, Duration::ZERO)?.domains {
                let its_place = |vm: &VmNumber| {
                    layout.first_host(*vm) == host && plan.domain(*vm) == domain.name
                };
                match domain.vm.filter(its_place).filter(|_| domain.runs()) {
                    Some(vm) => at_home
                        .lock()
                        .expect("nobody panics with the lock")
                        .push(vm),
                    None if domain.vm.is_none() && domain.name != BALLAST => {}
                    None => {
                        let script = format!("xl destroy {}", domain.domid);
                        remote.run(host, &script, "", ANSWER)?;
                    }
                }
            }
            Ok(())
        })?;
        let at_home = at_home.into_inner().expect("nobody has panicked with it");
        on_all(plan, |host| {
            let missing = |vm: &VmNumber| layout.first_host(*vm) == host && !at_home.contains(vm);
            let mut missing = layout.vms().filter(missing);
            missing.try_for_each(|vm| domain::start(remote, host, vm))
        })
    }

    /// Mends all that was broken, ends the agents and the traffic, and puts VMs in their places.
    pub(super) fn tidy(&mut self) -> Result<(), LabError> {
        self.tidy = true;
        let mut done = self.mend_link().and(self.fast());
        done = done.and(self.restart_host());
        if let Some(mut agents) = self.agents.take() {
            done = done.and(agents.stop());
        }
        done.and(self.home()).and(self.guests.be_silent())
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        if !self.tidy
            && let Err(error) = self.tidy()
        {
            tracing::warn!(%error, "the testbed is not as it was");
        }
    }
}

/// The two hosts whose VMs exchange traffic: the one that a VM is to leave for the other, which alone has room.
fn ends(layout: &Layout) -> Result<[HostNumber; 2], LabError> {
    let mut hosts = layout.hosts();
    match (hosts.next(), hosts.next()) {
        (Some(source), Some(target)) if layout.shape().vms_per_host > 0 => Ok([source, target]),
        _ => Err(LabError::Layout {
            what: "hosts",
            problem: "a migration needs two, with a VM each".into(),
        }),
    }
}

fn look_at(remote: &Remote, host: HostNumber, time: Duration) -> Result<HostSeen, LabError> {
    let layout = remote.plan().layout();
    let text = remote.run(host, &observe::script(time), "", ANSWER)?;
    observe::parse(layout, &text).map_err(|problem| LabError::Content {
        path: layout.host_directory(host),
        problem,
    })
}
