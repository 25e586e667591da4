//! One policy's recommendation.

use s_core_examples::Failure;
use s_core_examples::cli::reduction_percent;
use s_core_model::{Allocation, Rate, VmIndex};
use s_core_sim::result::RunResult;
use s_core_sim::snapshot::Snapshot;
use s_core_sim::{Ended, Migration, Outcome, Rules, RunLimits, Simulation, link_loads};
use s_core_token::PolicyKind;
use serde::Serialize;

/// What one policy recommends, and what that would do.
pub(crate) struct Plan {
    pub(crate) policy: PolicyKind,
    pub(crate) outcome: Outcome,
    /// Where the VMs would be afterwards.
    pub(crate) allocation: Allocation,
    /// The traffic on the links of each level, before and after.
    pub(crate) loads: Vec<(Rate, Rate)>,
}

impl Plan {
    pub(crate) fn make(
        snapshot: &Snapshot,
        policy: PolicyKind,
        rules: Rules,
        limits: RunLimits,
    ) -> Result<Self, Failure> {
        let (model, traffic, before) = (
            snapshot.cost_model(),
            snapshot.traffic(),
            snapshot.allocation(),
        );
        let passing = policy.build();
        let mut simulation =
            Simulation::new(&model, traffic, before.clone(), passing.as_ref(), rules)?;
        let outcome = simulation.run_until_settled(limits);
        let loads_at = |allocation| link_loads(snapshot.locations(), allocation, traffic);
        let after = simulation.allocation();
        let loads = loads_at(before).into_iter().zip(loads_at(after)).collect();
        Ok(Self {
            policy,
            outcome,
            allocation: after.clone(),
            loads,
        })
    }

    pub(crate) fn reduction_percent(&self) -> f64 {
        reduction_percent(self.outcome.initial_cost, self.outcome.final_cost)
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.outcome.ended == Ended::Settled
    }

    pub(crate) fn to_result(&self) -> RunResult {
        self.outcome.to_result(self.policy, None, &self.allocation)
    }

    /// The migrations of one VM, in their order.
    pub(crate) fn migrations_of<'a>(
        &self,
        snapshot: &'a Snapshot,
        vm: VmIndex,
    ) -> Vec<MigrationJson<'a>> {
        let migrations = self.outcome.migrations.iter();
        migrations
            .filter(|migration| migration.vm == vm)
            .map(|migration| self.migration_json(snapshot, migration))
            .collect()
    }

    fn migration_json<'a>(
        &self,
        snapshot: &'a Snapshot,
        migration: &Migration,
    ) -> MigrationJson<'a> {
        MigrationJson {
            step: migration.step,
            vm: self.allocation.vm_at(migration.vm).to_string(),
            name: snapshot.name(migration.vm),
            source: self.allocation.server_at(migration.source).to_string(),
            target: self.allocation.server_at(migration.target).to_string(),
            gain: migration.gain,
            total_cost: migration.total_cost,
        }
    }

    pub(crate) fn to_json<'a>(&self, snapshot: &'a Snapshot) -> PlanJson<'a> {
        let load = |(level, (before, after)): (u8, &(Rate, Rate))| LoadJson {
            level,
            bytes_per_second_before: before.bytes_per_second(),
            bytes_per_second_after: after.bytes_per_second(),
        };
        let migration = |migration| self.migration_json(snapshot, migration);
        PlanJson {
            policy: self.policy.name(),
            initial_cost: self.outcome.initial_cost,
            final_cost: self.outcome.final_cost,
            reduction_percent: self.reduction_percent(),
            settled: self.is_settled(),
            token_hops: self.outcome.token_hops,
            rounds: self.outcome.rounds,
            seconds: self.outcome.cpu_time.as_secs_f64(),
            migrations: self.outcome.migrations.iter().map(migration).collect(),
            link_loads: (1..).zip(&self.loads).map(load).collect(),
        }
    }
}

/// `--json`: the numbers of `summary.json`, with the migrations themselves.
#[derive(Serialize)]
pub(crate) struct PlanJson<'a> {
    policy: &'static str,
    initial_cost: f64,
    final_cost: f64,
    reduction_percent: f64,
    settled: bool,
    token_hops: u64,
    rounds: u64,
    seconds: f64,
    migrations: Vec<MigrationJson<'a>>,
    link_loads: Vec<LoadJson>,
}

#[derive(Serialize)]
pub(crate) struct MigrationJson<'a> {
    pub(crate) step: u64,
    vm: String,
    name: &'a str,
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) gain: f64,
    total_cost: f64,
}

#[derive(Serialize)]
struct LoadJson {
    level: u8,
    bytes_per_second_before: f64,
    bytes_per_second_after: f64,
}
