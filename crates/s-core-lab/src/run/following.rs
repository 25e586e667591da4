//! Keeps account of a run while it happens.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use s_core_agent::embedded::Settling;
use s_core_model::{MigrationCost, VmId};

use super::cluster::{AgentProgram, Cluster, Heard};
use super::control::ControlTraffic;
use super::course::{Course, LinkLoads, LostAgent, Migration, Round, Sample};
use super::data_centre::{Homes, cost, homes, planned, snapshot};
use super::error::RunError;
use super::said::Said;
use super::{RunSettings, Watcher};
use crate::layout::{HostNumber, Layout};
use crate::traffic::{Reading, Truth};

/// How often the cost is computed.
const SAMPLE: Duration = Duration::from_secs(1);

/// Keeps account of a run.
pub(super) struct Following<'a> {
    layout: &'a Layout,
    settings: &'a RunSettings,
    truth: Truth,
    control: ControlTraffic,
    begin: Instant,
    /// Those of the last window, the oldest first; and the very first.
    readings: VecDeque<Reading>,
    course: Course,
    settling: Settling,
    settled: bool,
    sampled: Instant,
    /// When each migration that is under way began.
    under_way: BTreeMap<VmId, Duration>,
    /// Whose agents have not ended by themselves.
    alive: BTreeSet<HostNumber>,
}

impl<'a> Following<'a> {
    pub(super) fn new(
        layout: &'a Layout,
        settings: &'a RunSettings,
        truth: Truth,
        control: ControlTraffic,
        begin: Instant,
        homes: Homes,
    ) -> Self {
        Self {
            layout,
            settings,
            truth,
            control,
            begin,
            readings: VecDeque::new(),
            course: Course::new(layout, homes),
            settling: Settling::default(),
            settled: false,
            sampled: begin,
            under_way: BTreeMap::new(),
            alive: layout.hosts().collect(),
        }
    }

    /// Starts the agents, follows them, and looks on for a while once the cost has settled, until all have ended.
    pub(super) fn work(
        &mut self,
        program: AgentProgram,
        watcher: &mut dyn Watcher,
    ) -> Result<(), RunError> {
        let mut cluster = Cluster::start(self.layout, &self.settings.agents, program)?;
        self.course.agents_from = self.begin.elapsed();
        self.follow(&mut cluster, watcher)?;
        self.rest(Some(&mut cluster), watcher)?;
        self.course.agents_seconds = cluster.cpu_seconds();
        watcher.ending();
        let stopped = cluster.stop();
        // What was still said: a migration may have ended meanwhile. All have ended, as they were told to.
        while let Some(heard) = cluster.next(Duration::ZERO) {
            if let Some(said) = &heard.said {
                watcher.heard(&heard);
                self.hear(&heard, said)?;
            }
        }
        let late = stopped.err().map(|error| error.to_string());
        self.course.warnings.extend(late);
        Ok(())
    }

    /// Looks at the traffic for a while, without agents or with agents that have settled.
    pub(super) fn rest(
        &mut self,
        mut cluster: Option<&mut Cluster>,
        watcher: &mut dyn Watcher,
    ) -> Result<(), RunError> {
        let before = LinkLoads::counters(self.layout)?;
        let began = Instant::now();
        let by = began + self.settings.rest;
        while Instant::now() < by && !watcher.is_stopped() {
            self.second(cluster.as_deref_mut(), watcher)?;
        }
        let after = LinkLoads::counters(self.layout)?;
        let loads = LinkLoads::between(&before, &after, began.elapsed());
        self.course.loads.push(loads);
        Ok(())
    }

    fn follow(&mut self, cluster: &mut Cluster, watcher: &mut dyn Watcher) -> Result<(), RunError> {
        let by = Instant::now() + self.settings.limit;
        while !self.settled && !watcher.is_stopped() && Instant::now() < by {
            self.second(Some(cluster), watcher)?;
        }
        Ok(())
    }

    /// Hears what is said until it is time to compute the cost, and does; or until the cost has settled.
    fn second(
        &mut self,
        cluster: Option<&mut Cluster>,
        watcher: &mut dyn Watcher,
    ) -> Result<(), RunError> {
        let by = self.sampled + SAMPLE;
        let left = || by.saturating_duration_since(Instant::now());
        let Some(cluster) = cluster else {
            std::thread::sleep(left());
            return self.sample(watcher);
        };
        let settled_before = self.settled;
        while !left().is_zero() && self.settled == settled_before {
            let Some(heard) = cluster.next(left()) else {
                continue;
            };
            watcher.heard(&heard);
            match &heard.said {
                Some(said) => self.hear(&heard, said)?,
                None => self.lose(&heard, cluster, watcher)?,
            }
        }
        if left().is_zero() {
            self.sample(watcher)?;
        }
        Ok(())
    }

    /// An agent has ended by itself.
    fn lose(
        &mut self,
        heard: &Heard,
        cluster: &mut Cluster,
        watcher: &mut dyn Watcher,
    ) -> Result<(), RunError> {
        let host = heard.host;
        let why = cluster.why_ended(host);
        self.alive.remove(&host);
        if self.alive.is_empty() {
            return Err(RunError::NoAgentLeft { host: host.0, why });
        }
        watcher.lost(host, &why);
        self.settling.disturb();
        let at = heard.at.saturating_duration_since(self.begin);
        self.course.lost.push(LostAgent { host, at, why });
        Ok(())
    }

    fn hear(&mut self, heard: &Heard, said: &Said) -> Result<(), RunError> {
        let at = heard.at.saturating_duration_since(self.begin);
        match said {
            Said::Holding { .. } => self.course.hops += 1,
            Said::Migrating { vm, .. } => drop(self.under_way.insert(*vm, at)),
            Said::Migrated {
                vm,
                source,
                target,
                gain,
            } => {
                let began = self.under_way.remove(vm).unwrap_or(at);
                self.course.homes.insert(*vm, *target);
                self.course.migrations.push(Migration {
                    hop: self.course.hops,
                    vm: *vm,
                    source: *source,
                    target: *target,
                    gain: *gain,
                    began,
                    ended: at,
                });
            }
            Said::NotMoved { vm, .. } => {
                self.under_way.remove(vm);
                self.course.failed += 1;
            }
            Said::Stayed {
                informed: false, ..
            }
            | Said::Trouble { .. } => self.settling.disturb(),
            Said::RoundEnded {
                round,
                migrations,
                quiet_rounds,
            } => {
                self.settled |= self.settling.end_round(*migrations, *quiet_rounds);
                self.course.rounds.push(Round {
                    number: *round,
                    at,
                    migrations: *migrations,
                    control_bytes: self.control.bytes()?,
                });
            }
            Said::Ready | Said::Stayed { .. } | Said::Minted { .. } => {}
        }
        Ok(())
    }

    /// Computes the cost of the last window's true traffic.
    fn sample(&mut self, watcher: &mut dyn Watcher) -> Result<(), RunError> {
        self.sampled = Instant::now();
        let reading = self.truth.read()?;
        let window = self.settings.agents.window;
        // The first one stays: the whole run is measured from there.
        while self.readings.len() > 2 && reading.at().duration_since(self.readings[1].at()) > window
        {
            self.readings.remove(1);
        }
        let then = self.readings.get(1).or(self.readings.front());
        if let Some(then) = then {
            let rates = reading.rates(then);
            let sample = Sample {
                at: self.begin.elapsed(),
                cost: cost(self.layout, &self.course.homes, rates)?,
                migrations: self.course.migrations.len(),
            };
            watcher.sample(&sample);
            self.course.samples.push(sample);
        }
        self.readings.push_back(reading);
        Ok(())
    }

    /// The whole run's true rates, and what they cost before, after, and as the planner would have it.
    pub(super) fn finish(mut self) -> Result<Course, RunError> {
        self.course.settled = self.settled;
        self.find_homes();
        let ends = self.readings.front().zip(self.readings.back());
        let rates = ends
            .map(|(first, last)| last.rates(first))
            .unwrap_or_default();
        let price = MigrationCost::RelativeToVm(self.settings.agents.migration_cost);
        let before = snapshot(self.layout, price, &self.course.first_homes, rates.clone())?;
        let plan = planned(&before, &self.settings.agents)?;
        self.course.initial_cost = plan.initial_cost;
        self.course.planned_cost = plan.final_cost;
        self.course.planned_migrations = plan.migrations.len();
        self.course.final_cost = cost(self.layout, &self.course.homes, rates)?;
        self.course.snapshot = Some(before);
        self.truth.remove()?;
        Ok(self.course)
    }

    /// Where VMs are the hosts' databases say: an agent that was killed in the middle of a migration has told nobody.
    fn find_homes(&mut self) {
        let course = &mut self.course;
        let found = match homes(self.layout) {
            Ok(found) => found,
            Err(error) => {
                let unknown = "whether VMs are where the agents said is not known";
                course.warnings.push(format!("{unknown}: {error}"));
                return;
            }
        };
        for (vm, told) in &mut course.homes {
            let found = found.get(vm).copied();
            if found != Some(*told) {
                let place = found.map_or("no host".into(), |server| server.to_string());
                let warning = format!("{vm} is on {place}, and not on {told} as the agents said");
                course.warnings.push(warning);
                *told = found.unwrap_or(*told);
            }
        }
    }
}
