//! Keeps account of a run while it happens.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use s_core_agent::Said;
use s_core_agent::embedded::Settling;
use s_core_model::{MigrationCost, VmId};
use s_core_token::PolicyKind;

use super::course::{Course, LinkLoads, LostAgent, Migration, Round, Sample};
use super::data_centre::{cost, planned, snapshot};
use super::error::RunError;
use super::site::{Heard, Site};
use super::{RunSettings, Watcher};
use crate::layout::HostNumber;
use crate::traffic::Reading;

/// How often to look whether the watcher stops a run.
const LOOK: Duration = Duration::from_secs(1);

/// How a run is followed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FollowSettings {
    /// The agents' policy, for the plan that their work is compared with.
    pub policy: PolicyKind,
    /// The agents' c_m, relative to what the VM costs, for the same.
    pub migration_cost: f64,
    /// How far back the true rates look, as the agents' do.
    pub window: Duration,
    /// How often the cost is computed.
    pub every: Duration,
    /// How long to measure before the agents start, and again after the cost has settled.
    pub rest: Duration,
    /// After this time the run ends though the cost has not settled.
    pub limit: Duration,
}

impl From<&RunSettings> for FollowSettings {
    /// The cost is computed every second.
    fn from(settings: &RunSettings) -> Self {
        Self {
            policy: settings.agents.policy,
            migration_cost: settings.agents.migration_cost,
            window: settings.agents.window,
            every: Duration::from_secs(1),
            rest: settings.rest,
            limit: settings.limit,
        }
    }
}

/// Looks at a site's traffic, starts its agents, and follows them until the cost has settled, the watcher stops it or the limit is
/// over. All times of the result are since `begin`.
///
/// # Errors
///
/// [`RunError`] if the site fails, or all agents have ended by themselves. The caller sees to it that nothing is left running.
pub fn follow(
    site: &mut dyn Site,
    settings: &FollowSettings,
    begin: Instant,
    watcher: &mut dyn Watcher,
) -> Result<Course, RunError> {
    let homes = site.homes()?;
    watcher.placed(&homes);
    let course = Course::new(site.layout(), site.method(), homes);
    let mut following = Following {
        alive: site.layout().hosts().collect(),
        site,
        settings,
        watcher,
        begin,
        readings: VecDeque::new(),
        course,
        settling: Settling::default(),
        settled: false,
        sampled: begin,
        under_way: BTreeMap::new(),
    };
    following.rest(Agents::None)?;
    if !following.watcher.is_stopped() {
        following.work()?;
    }
    following.finish()
}

/// Whether there are agents to listen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Agents {
    None,
    Running,
}

/// Keeps account of a run.
struct Following<'a> {
    site: &'a mut dyn Site,
    settings: &'a FollowSettings,
    watcher: &'a mut dyn Watcher,
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

impl Following<'_> {
    /// Starts the agents, follows them, and looks on for a while once the cost has settled, until all have ended.
    fn work(&mut self) -> Result<(), RunError> {
        self.site.start_agents()?;
        self.course.agents_from = self.begin.elapsed();
        let by = Instant::now() + self.settings.limit;
        while !self.settled && !self.watcher.is_stopped() && Instant::now() < by {
            self.step(Agents::Running)?;
        }
        self.rest(Agents::Running)?;
        self.course.agents_seconds = self.site.cpu_seconds();
        self.watcher.ending();
        let stopped = self.site.stop_agents();
        // What was still said: a migration may have ended meanwhile. All have ended, as they were told to.
        while let Some(heard) = self.site.next(Duration::ZERO) {
            if let Some(said) = &heard.said {
                self.watcher.heard(&heard);
                self.hear(&heard, said)?;
            }
        }
        let late = stopped.err().map(|error| error.to_string());
        self.course.warnings.extend(late);
        Ok(())
    }

    /// Looks at the traffic for a while, without agents or with agents that have settled.
    fn rest(&mut self, agents: Agents) -> Result<(), RunError> {
        let before = self.site.links()?;
        let began = Instant::now();
        let by = began + self.settings.rest;
        while Instant::now() < by && !self.watcher.is_stopped() {
            self.step(agents)?;
        }
        let after = self.site.links()?;
        let loads = LinkLoads::between(&before, &after, began.elapsed());
        self.course.loads.push(loads);
        Ok(())
    }

    /// Hears what is said until it is time to compute the cost, and does; or until the cost has settled.
    fn step(&mut self, agents: Agents) -> Result<(), RunError> {
        let by = self.sampled + self.settings.every;
        let left = || by.saturating_duration_since(Instant::now());
        let settled_before = self.settled;
        while !left().is_zero() && self.settled == settled_before && !self.watcher.is_stopped() {
            if agents == Agents::None {
                std::thread::sleep(left().min(LOOK));
            } else if let Some(heard) = self.site.next(left().min(LOOK)) {
                self.watcher.heard(&heard);
                match &heard.said {
                    Some(said) => self.hear(&heard, said)?,
                    None => self.lose(&heard)?,
                }
            }
        }
        if left().is_zero() {
            self.sample()?;
        }
        Ok(())
    }

    /// An agent has ended by itself.
    fn lose(&mut self, heard: &Heard) -> Result<(), RunError> {
        let host = heard.host;
        let why = self.site.why_ended(host);
        self.alive.remove(&host);
        if self.alive.is_empty() {
            return Err(RunError::NoAgentLeft { host: host.0, why });
        }
        self.watcher.lost(host, &why);
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
                    measured: None,
                });
                self.watcher.placed(&self.course.homes);
            }
            Said::NotMoved { vm, .. } => {
                self.under_way.remove(vm);
                self.course.failed += 1;
            }
            Said::Stayed {
                informed: false, ..
            }
            | Said::Trouble { .. }
            // It was started anew.
            | Said::Ready => self.settling.disturb(),
            Said::RoundEnded {
                round,
                migrations,
                quiet_rounds,
            } => {
                self.settled |= self.settling.end_round(*migrations, *quiet_rounds);
                let control_bytes = self.site.control_bytes()?;
                self.course.rounds.push(Round {
                    number: *round,
                    at,
                    migrations: *migrations,
                    control_bytes,
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// Computes the cost of the last window's true traffic.
    fn sample(&mut self) -> Result<(), RunError> {
        self.sampled = Instant::now();
        let reading = self.site.traffic()?;
        let window = self.settings.window;
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
                cost: cost(self.site.layout(), &self.course.homes, rates)?,
                migrations: self.course.migrations.len(),
            };
            self.watcher.sample(&sample);
            self.course.samples.push(sample);
        }
        self.readings.push_back(reading);
        Ok(())
    }

    /// The whole run's true rates, and what they cost before, after, and as the planner would have it.
    fn finish(mut self) -> Result<Course, RunError> {
        self.course.settled = self.settled;
        self.find_homes();
        self.site.complete(&mut self.course)?;
        let ends = self.readings.front().zip(self.readings.back());
        let rates = ends
            .map(|(first, last)| last.rates(first))
            .unwrap_or_default();
        let price = MigrationCost::RelativeToVm(self.settings.migration_cost);
        let before = snapshot(
            self.site.layout(),
            price,
            &self.course.first_homes,
            rates.clone(),
        )?;
        let plan = planned(&before, self.settings.policy)?;
        self.course.initial_cost = plan.initial_cost;
        self.course.planned_cost = plan.final_cost;
        self.course.planned_migrations = plan.migrations.len();
        self.course.final_cost = cost(self.site.layout(), &self.course.homes, rates)?;
        self.course.snapshot = Some(before);
        Ok(self.course)
    }

    /// Where VMs are the hosts say: an agent that was killed in the middle of a migration has told nobody.
    fn find_homes(&mut self) {
        let found = self.site.homes();
        let course = &mut self.course;
        let found = match found {
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
