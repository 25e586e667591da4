//! A run of the token until nothing more happens.

use std::time::Duration;

use s_core_model::{Allocation, Levels};
use s_core_token::PolicyKind;

use super::{Decision, Hop, Migration, Simulation};
use crate::result::{MigrationRow, RunResult, Summary, placement_rows};
use crate::{Watch, cpu_time};

/// How many hops pass before a watch is asked again, unless a round ends.
const HOPS_BETWEEN_LOOKS: u64 = 4096;

/// After how many rounds a run is about half done, to show its progress.
const HALF_DONE_AFTER: f64 = 6.0;

/// When a run ends although more could be gained; by default never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RunLimits {
    /// The most migrations.
    pub max_migrations: Option<u64>,
    /// The most rounds of the policy.
    pub max_rounds: Option<u64>,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// [`Simulation::is_settled`].
    Settled,
    /// There were as many migrations as allowed.
    MigrationLimit,
    /// There were as many rounds as allowed.
    RoundLimit,
}

/// What a run did.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Why it ended.
    pub ended: Ended,
    /// Eq. 3.1 before the first hop.
    pub initial_cost: f64,
    /// Eq. 3.1 at the end.
    pub final_cost: f64,
    /// The migrations in their order.
    pub migrations: Vec<Migration>,
    /// How many times a VM held the token.
    pub token_hops: u64,
    /// How many rounds of the policy were begun.
    pub rounds: u64,
    /// The CPU time that the run took.
    pub cpu_time: Duration,
}

impl<L: Levels> Simulation<'_, L> {
    /// Runs the token until a whole round has passed without a migration, in the strict sense of
    /// [`is_settled`](Self::is_settled), or a limit is reached. Hops before the call count as well.
    pub fn run_until_settled(&mut self, limits: RunLimits) -> Outcome {
        self.run_observed(limits, |_| {})
    }

    /// The same, and shows every hop to `observe`, whose time counts as CPU time of the run.
    ///
    /// ```
    /// # use s_core_sim::{DataCentre, InitialPlacement, RunLimits, Rules, Series, Simulation, Timing};
    /// # use s_core_token::PolicyKind;
    /// # let snapshot = DataCentre { vms: 500, ..DataCentre::thesis(InitialPlacement::Random, 1) }.generate()?;
    /// # let (model, policy) = (snapshot.cost_model(), PolicyKind::RoundRobin.build());
    /// # let allocation = snapshot.allocation().clone();
    /// let mut simulation = Simulation::new(&model, snapshot.traffic(), allocation, &*policy, Rules::default())?
    ///     .with_timing(Timing::thesis());
    /// let mut series = Series::new(simulation.total_cost(), 1000);
    /// simulation.run_observed(RunLimits::default(), |hop| series.observe(hop));
    /// let samples = series.samples(); // cost over hops, and over seconds
    /// assert_eq!(samples[0].hops, 0);
    /// assert!(samples[500].cost < samples[0].cost && samples[500].elapsed > samples[0].elapsed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn run_observed(&mut self, limits: RunLimits, mut observe: impl FnMut(&Hop)) -> Outcome {
        let (outcome, ended) = self.run_while(limits, |_, hop| {
            observe(hop);
            true
        });
        Outcome {
            ended: ended.expect("the observer does not end it"),
            ..outcome
        }
    }

    /// The same, until `watch` stops it. Also whether it came to its own end; if not, [`Outcome::ended`] means nothing.
    pub(crate) fn run_watched(
        &mut self,
        limits: RunLimits,
        watch: &dyn Watch,
        mut observe: impl FnMut(&Self, &Hop),
    ) -> (Outcome, bool) {
        let half_done = HALF_DONE_AFTER * self.allocation.vm_count() as f64;
        let (outcome, ended) = self.run_while(limits, |simulation, hop| {
            observe(simulation, hop);
            if !hop.round_ended && !simulation.hops.is_multiple_of(HOPS_BETWEEN_LOOKS) {
                return true;
            }
            let hops = simulation.hops as f64;
            watch.progress(hops / (hops + half_done), hop.total_cost);
            !watch.is_stopped()
        });
        (outcome, ended.is_some())
    }

    /// Runs on as long as `goes_on` says so after a hop; if it is this that ends the run, no reason is returned
    /// and the one in the outcome means nothing.
    fn run_while(
        &mut self,
        limits: RunLimits,
        goes_on: impl FnMut(&Self, &Hop) -> bool,
    ) -> (Outcome, Option<Ended>) {
        let ((ended, migrations), cpu_time) = cpu_time::measure(|| self.run(limits, goes_on));
        let outcome = Outcome {
            ended: ended.unwrap_or(Ended::Settled),
            initial_cost: self.initial_cost,
            final_cost: self.cost.get(),
            migrations,
            token_hops: self.hops,
            rounds: self.rounds,
            cpu_time,
        };
        (outcome, ended)
    }

    fn run(
        &mut self,
        limits: RunLimits,
        mut goes_on: impl FnMut(&Self, &Hop) -> bool,
    ) -> (Option<Ended>, Vec<Migration>) {
        let reached = |count, limit: Option<u64>| limit.is_some_and(|limit| count >= limit);
        let mut migrations = Vec::new();
        let ended = loop {
            if self.is_settled() {
                break Some(Ended::Settled);
            }
            if reached(self.migrations, limits.max_migrations) {
                break Some(Ended::MigrationLimit);
            }
            if self.round_begins && reached(self.rounds, limits.max_rounds) {
                break Some(Ended::RoundLimit);
            }
            let hop = self.step();
            if let Decision::Migrated(migration) = hop.decision {
                migrations.push(migration);
            }
            if !goes_on(self, &hop) {
                break None;
            }
        };
        (ended, migrations)
    }
}

impl Outcome {
    /// The outcome as it is written to files; `allocation` is the one that the run ended with.
    ///
    /// # Panics
    ///
    /// If the allocation has other VMs or servers than the run.
    pub fn to_result(
        &self,
        policy: PolicyKind,
        seed: Option<u64>,
        allocation: &Allocation,
    ) -> RunResult {
        let row = |migration: &Migration| MigrationRow {
            step: migration.step,
            vm: allocation.vm_at(migration.vm),
            source: allocation.server_at(migration.source),
            target: allocation.server_at(migration.target),
            gain: migration.gain,
            total_cost: migration.total_cost,
        };
        RunResult {
            summary: Summary {
                policy,
                initial_cost: self.initial_cost,
                final_cost: self.final_cost,
                token_hops: self.token_hops,
                rounds: self.rounds,
                seconds: self.cpu_time.as_secs_f64(),
                seed,
                complete: true,
                reference: None,
            },
            placement: placement_rows(allocation),
            migrations: self.migrations.iter().map(row).collect(),
        }
    }
}
