//! References and other systems beside the policies.

use s_core_model::Levels;

use super::Chapter5;
use super::token::{POINTS, moment};
use crate::measure::{CostCurve, CostPoint, Gauge};
use crate::report::study::Run;
use crate::result::{ProposalResult, Reference};
use crate::{Instance, Migration, Stability, Strategy, StrategyError, Watch};

impl Chapter5 {
    pub(super) fn propose<'a, L: Levels>(
        &self,
        instance: &Instance<'a, L>,
        gauge: &Gauge<'a, L>,
        strategy: &dyn Strategy<L>,
        watch: &dyn Watch,
    ) -> Result<(ProposalResult, Run), StrategyError> {
        let proposal = strategy.run(instance, watch)?;
        let after = &proposal.allocation;
        let initial_cost = instance.cost();
        let result = ProposalResult::new(strategy.name(), initial_cost, &proposal, self.seed);
        let run = Run {
            name: strategy.name().into(),
            stopped: !proposal.complete,
            after: gauge.placement(after),
            migrations: (proposal.migrations.len()).max(proposal.moved) as u64,
            moved: proposal.moved as u64,
            migrations_per_vm: match proposal.migrations.as_slice() {
                [] => Vec::new(),
                migrations => Stability::new(migrations, after.vm_count(), 0).vms_by_migrations,
            },
            cpu_seconds: proposal.cpu_time.as_secs_f64(),
            curve: curve(initial_cost, &proposal.migrations),
            traffic: (moment("at the end".into(), gauge, after).into_iter()).collect(),
            ..Run::default()
        };
        Ok((result, run))
    }
}

/// The course of a system that moves one VM at a time; there is none of one that proposes a placement at once.
pub(super) fn curve(initial_cost: f64, migrations: &[Migration]) -> CostCurve {
    let Some(last) = migrations.last() else {
        return CostCurve::default();
    };
    let begin = CostPoint {
        hops: 0,
        seconds: None,
        cost: initial_cost,
    };
    let points = migrations.iter().map(CostPoint::from);
    CostCurve::new(begin, points, last.into(), POINTS)
}

/// The cheapest of the references that came to their end.
pub(super) fn best_reference(proposals: &[ProposalResult]) -> Option<Reference> {
    let best = proposals
        .iter()
        .filter(|proposal| proposal.complete)
        .min_by(|a, b| a.final_cost.total_cmp(&b.final_cost))?;
    Some(Reference {
        cost: best.final_cost,
        seconds: best.seconds,
        moved: best.moved,
    })
}
