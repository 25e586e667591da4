//! The order of runs in tables.

use std::cmp::Ordering;

use super::{DataCentreSpec, Method, RunSpec};
use crate::{MigrationCostForm, StrategyName, TokenStart};

impl RunSpec {
    /// By their parameters, the seed last; equal runs only are equal.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let seeds = self.data_centre.seed.cmp(&other.data_centre.seed);
        self.order_but_seed(other).then(seeds)
    }

    /// By their parameters but for the seed.
    pub(super) fn order_but_seed(&self, other: &Self) -> Ordering {
        let data_centres = self.data_centre.order_but_seed(&other.data_centre);
        data_centres.then_with(|| self.method.order(&other.method))
    }
}

impl DataCentreSpec {
    /// As [`RunSpec::order`].
    pub(super) fn order(&self, other: &Self) -> Ordering {
        self.order_but_seed(other).then(self.seed.cmp(&other.seed))
    }

    fn order_but_seed(&self, other: &Self) -> Ordering {
        let key = |spec: &Self| {
            (
                // Small ones first; those of sweep files all make a network.
                spec.topology.server_count().unwrap_or_default(),
                spec.topology.to_string(),
                spec.vm_slots,
                spec.vms,
                spec.flows_per_vm,
                spec.windows,
                spec.vms_per_application,
                spec.placement_name(),
            )
        };
        let weights = || {
            let pairs = self.link_weights.iter().zip(&other.link_weights);
            let differing = pairs
                .map(|(a, b)| a.total_cmp(b))
                .find(|order| order.is_ne());
            differing.unwrap_or_else(|| self.link_weights.len().cmp(&other.link_weights.len()))
        };
        key(self).cmp(&key(other)).then_with(weights)
    }
}

impl Method {
    fn order(&self, other: &Self) -> Ordering {
        let key = |method: &Self| match method {
            Self::Token(token) => {
                let choice = token.target_choice.name();
                let empty = token.start == TokenStart::Empty;
                (token.policy.code(), choice, token.max_rounds, empty, None)
            }
            Self::Strategy(strategy) => {
                (strategy.name.rank(), "", None, false, strategy.population)
            }
        };
        let cost = |method: &Self| match method.token().map(|token| token.migration_cost) {
            None => (0, 0.0),
            Some(MigrationCostForm::Absolute(cost)) => (1, cost),
            Some(MigrationCostForm::PercentOfOwn(percent)) => (2, percent),
            Some(MigrationCostForm::PercentOfMean(percent)) => (3, percent),
        };
        let costs = || {
            let (a, b) = (cost(self), cost(other));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        };
        key(self).cmp(&key(other)).then_with(costs)
    }
}

impl StrategyName {
    /// After all policies' codes, baselines before references.
    fn rank(self) -> u8 {
        let all = Self::BASELINES.into_iter().chain(Self::REFERENCES);
        let before = all.take_while(|name| *name != self).count();
        u8::MAX - 10 + before as u8
    }
}
