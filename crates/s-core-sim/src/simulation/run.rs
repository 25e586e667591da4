//! A run of the token until nothing more happens.

use std::time::Duration;

use s_core_model::{Allocation, Levels};
use s_core_token::PolicyKind;

use super::{Decision, Migration, Simulation};
use crate::cpu_time;
use crate::result::{MigrationRow, RunResult, Summary};

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
        let ((ended, migrations), cpu_time) = cpu_time::measure(|| self.run(limits));
        Outcome {
            ended,
            initial_cost: self.initial_cost,
            final_cost: self.cost.get(),
            migrations,
            token_hops: self.hops,
            rounds: self.rounds,
            cpu_time,
        }
    }

    fn run(&mut self, limits: RunLimits) -> (Ended, Vec<Migration>) {
        let reached = |count, limit: Option<u64>| limit.is_some_and(|limit| count >= limit);
        let mut migrations = Vec::new();
        let ended = loop {
            if self.is_settled() {
                break Ended::Settled;
            }
            if reached(self.migrations, limits.max_migrations) {
                break Ended::MigrationLimit;
            }
            if self.round_begins && reached(self.rounds, limits.max_rounds) {
                break Ended::RoundLimit;
            }
            if let Decision::Migrated(migration) = self.step().decision {
                migrations.push(migration);
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
            placement: allocation
                .vms()
                .map(|vm| {
                    (
                        allocation.vm_at(vm),
                        allocation.server_at(allocation.host(vm)),
                    )
                })
                .collect(),
            migrations: self.migrations.iter().map(row).collect(),
        }
    }
}
