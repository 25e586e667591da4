//! Runs of the token, with what figures show of them.

use s_core_model::{Allocation, Levels};
use s_core_proto::Rules;
use s_core_token::PolicyKind;

use super::{Chapter5, proposals};
use crate::measure::{CostCurve, CostPoint, Gauge};
use crate::report::study::{Run, TrafficMoment};
use crate::result::RunResult;
use crate::strategy::moved;
use crate::{Instance, Sample, Series, Simulation, SimulationError, Stability, Watch};

/// The most rows of a heat map; more racks are put together.
pub(super) const MAX_BINS: usize = 128;

/// About how many points a curve has.
pub(super) const POINTS: usize = 600;

/// Fig. 5.4 is after so many iterations.
const ROUNDS_OF_HEAT_MAP: u64 = 5;

impl Chapter5 {
    /// A token before its first hop, without a model of time.
    pub(super) fn simulation<'a, L: Levels>(
        &self,
        instance: &Instance<'a, L>,
        policy: &'a dyn s_core_token::PassingPolicy,
    ) -> Result<Simulation<'a, L>, SimulationError> {
        let rules = Rules {
            migration_cost: self.migration_cost.of(instance),
            target_choice: self.target_choice,
            min_gain: 0.0,
        };
        let allocation = instance.allocation().clone();
        let (model, traffic) = (instance.model(), instance.traffic());
        let simulation = Simulation::new(model, traffic, allocation, policy, rules)?;
        Ok(simulation.with_start(self.start))
    }

    /// Runs a policy twice: alone, which is what its CPU time is of, and then for the figures.
    pub(super) fn run_policy<L: Levels>(
        &self,
        instance: &Instance<'_, L>,
        gauge: &Gauge<'_, L>,
        kind: PolicyKind,
        watch: &dyn Watch,
    ) -> Result<(RunResult, Run), SimulationError> {
        let policy = kind.build();
        let mut simulation = self.simulation(instance, &*policy)?;
        let (outcome, complete) = simulation.run_watched(self.limits, watch, |_, _| {});
        let after = simulation.allocation();
        let mut result = outcome.to_result(kind, self.seed, after);
        result.summary.complete = complete;
        // A run that was stopped is not worth another one.
        let observed = match complete {
            true => self.observe(instance, gauge, &*policy, watch)?,
            false => None,
        };
        let (curve, mut traffic) = observed.unwrap_or_else(|| {
            let curve = proposals::curve(outcome.initial_cost, &outcome.migrations);
            (curve, Vec::new())
        });
        traffic.extend(moment("at the end".into(), gauge, after));
        let stability = Stability::new(&outcome.migrations, after.vm_count(), 0);
        let run = Run {
            name: kind.name().into(),
            stopped: !complete,
            after: gauge.placement(after),
            migrations: outcome.migrations.len() as u64,
            moved: moved(instance.allocation(), after) as u64,
            migrations_per_vm: stability.vms_by_migrations,
            returns: stability.returns,
            oscillations: stability.oscillations,
            token_hops: Some(outcome.token_hops),
            rounds: Some(outcome.rounds),
            cpu_seconds: outcome.cpu_time.as_secs_f64(),
            curve,
            traffic,
        };
        Ok((result, run))
    }

    /// The course of a run over hops and time, and the traffic on the way; nothing if it is stopped.
    fn observe<L: Levels>(
        &self,
        instance: &Instance<'_, L>,
        gauge: &Gauge<'_, L>,
        policy: &dyn s_core_token::PassingPolicy,
        watch: &dyn Watch,
    ) -> Result<Option<(CostCurve, Vec<TrafficMoment>)>, SimulationError> {
        let mut simulation = self.simulation(instance, policy)?.with_timing(self.timing);
        let mut series = Series::new(simulation.total_cost(), POINTS);
        let (mut moments, mut rounds) = (Vec::new(), 0);
        let (_, complete) = simulation.run_watched(self.limits, watch, |simulation, hop| {
            series.observe(hop);
            rounds += u64::from(hop.round_ended);
            if hop.round_ended && rounds == ROUNDS_OF_HEAT_MAP {
                let when = format!("after {rounds} rounds");
                moments.extend(moment(when, gauge, simulation.allocation()));
            }
        });
        Ok(complete.then(|| (curve(&series.samples()), moments)))
    }
}

/// The traffic between racks now, if there are racks.
pub(super) fn moment<L: Levels>(
    when: String,
    gauge: &Gauge<'_, L>,
    allocation: &Allocation,
) -> Option<TrafficMoment> {
    let traffic = gauge.rack_traffic(allocation, MAX_BINS)?;
    Some(TrafficMoment { when, traffic })
}

/// A recorded run as a curve for figures.
pub(super) fn curve(samples: &[Sample]) -> CostCurve {
    let point = |sample: &Sample| CostPoint {
        hops: sample.hops,
        seconds: Some(sample.elapsed.as_secs_f64()),
        cost: sample.cost,
    };
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return CostCurve::default();
    };
    CostCurve::new(
        point(first),
        samples.iter().map(point),
        point(last),
        samples.len(),
    )
}
