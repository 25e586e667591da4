//! A passing policy as one strategy among others.

use s_core_model::Levels;
use s_core_proto::TargetChoice;
use s_core_token::PassingPolicy;

use super::{Rules, RunLimits, Simulation};
use crate::MigrationCostForm;
use crate::strategy::{Instance, Proposal, Strategy, StrategyError, Watch, moved};

/// S-CORE itself: the token goes round by a passing policy until nothing more is to be gained.
///
/// ```
/// use s_core_sim::{DataCentre, InitialPlacement, Instance, Strategy, TokenStrategy};
/// use s_core_token::PolicyKind;
///
/// let data_centre = DataCentre { vms: 500, ..DataCentre::thesis(InitialPlacement::Random, 1) };
/// let snapshot = data_centre.generate()?;
/// let model = snapshot.cost_model();
/// let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation())?;
/// let proposal = TokenStrategy::new(PolicyKind::Distributed.build()).run(&instance, &())?;
/// assert!(proposal.complete && proposal.cost < instance.cost());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TokenStrategy {
    /// Which VM decides next.
    pub policy: Box<dyn PassingPolicy>,
    /// c_m.
    pub migration_cost: MigrationCostForm,
    /// Which of the servers that are worth a migration is taken.
    pub target_choice: TargetChoice,
    /// When to end although more could be gained; the proposal is complete all the same.
    pub limits: RunLimits,
}

impl TokenStrategy {
    /// This policy, with migrations that cost nothing, first fit, and no limits.
    pub fn new(policy: Box<dyn PassingPolicy>) -> Self {
        Self {
            policy,
            migration_cost: MigrationCostForm::default(),
            target_choice: TargetChoice::default(),
            limits: RunLimits::default(),
        }
    }
}

impl<L: Levels> Strategy<L> for TokenStrategy {
    fn name(&self) -> &str {
        self.policy.name()
    }

    fn run(
        &self,
        instance: &Instance<'_, L>,
        watch: &dyn Watch,
    ) -> Result<Proposal, StrategyError> {
        let rules = Rules {
            migration_cost: self.migration_cost.of(instance),
            target_choice: self.target_choice,
            min_gain: 0.0,
        };
        let before = instance.allocation();
        let mut simulation = Simulation::new(
            instance.model(),
            instance.traffic(),
            before.clone(),
            &*self.policy,
            rules,
        )?;
        let (outcome, complete) = simulation.run_watched(self.limits, watch, |_, _| {});
        let after = simulation.allocation;
        Ok(Proposal {
            cost: outcome.final_cost,
            moved: moved(before, &after),
            migrations: outcome.migrations,
            cpu_time: outcome.cpu_time,
            complete,
            allocation: after,
        })
    }
}
