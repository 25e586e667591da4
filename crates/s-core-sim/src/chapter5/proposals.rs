//! References and other systems beside the policies.

use s_core_model::{Allocation, Levels};

use super::Chapter5;
use super::token::{MAX_BINS, POINTS};
use crate::measure::{CostCurve, CostPoint, Gauge};
use crate::report::study::{Run, TrafficMoment};
use crate::result::{ProposalResult, Reference};
use crate::{Instance, Proposal, Stability, Strategy, StrategyError, Watch};

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
        let result = ProposalResult {
            strategy: strategy.name().into(),
            initial_cost,
            final_cost: proposal.cost,
            moved: proposal.moved,
            seconds: proposal.cpu_time.as_secs_f64(),
            seed: self.seed,
            complete: proposal.complete,
            placement: placement(after),
        };
        let traffic = gauge.rack_traffic(after, MAX_BINS);
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
            curve: curve(initial_cost, &proposal),
            traffic: (traffic.into_iter())
                .map(|traffic| TrafficMoment {
                    when: "at the end".into(),
                    traffic,
                })
                .collect(),
            ..Run::default()
        };
        Ok((result, run))
    }
}

fn placement(allocation: &Allocation) -> Vec<(s_core_model::VmId, s_core_model::ServerId)> {
    let row = |vm| {
        let server = allocation.server_at(allocation.host(vm));
        (allocation.vm_at(vm), server)
    };
    allocation.vms().map(row).collect()
}

/// The course of a system that moves one VM at a time; there is none of one that proposes a placement at once.
fn curve(initial_cost: f64, proposal: &Proposal) -> CostCurve {
    let Some(last) = proposal.migrations.last() else {
        return CostCurve::default();
    };
    let begin = CostPoint {
        hops: 0,
        seconds: None,
        cost: initial_cost,
    };
    let points = proposal.migrations.iter().map(CostPoint::from);
    CostCurve::new(begin, points, last.into(), POINTS)
}

/// The cheapest of the references.
pub(super) fn best_reference(proposals: &[ProposalResult]) -> Option<Reference> {
    let best = proposals
        .iter()
        .min_by(|a, b| a.final_cost.total_cmp(&b.final_cost))?;
    Some(Reference {
        cost: best.final_cost,
        seconds: best.seconds,
        moved: best.moved,
    })
}
