//! Runs of the token, with what figures show of them.

use s_core_model::Levels;
use s_core_proto::Rules;
use s_core_token::PolicyKind;

use super::Chapter5;
use crate::measure::{CostCurve, CostPoint, Gauge};
use crate::report::study::{Run, TrafficMoment};
use crate::result::RunResult;
use crate::{Instance, Sample, Series, Simulation, SimulationError, Stability, Watch};

/// The most rows of a heat map; more racks are put together.
pub(super) const MAX_BINS: usize = 128;

/// About how many points a curve has.
pub(super) const POINTS: usize = 600;

/// Fig. 5.4 is after so many iterations.
const ROUNDS_OF_HEAT_MAP: u64 = 5;

/// How many hops pass before the watch is asked again.
const HOPS_BETWEEN_LOOKS: u64 = 4096;

impl Chapter5 {
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
        Ok(simulation.with_start(self.start).with_timing(self.timing))
    }

    pub(super) fn run_policy<L: Levels>(
        &self,
        instance: &Instance<'_, L>,
        gauge: &Gauge<'_, L>,
        kind: PolicyKind,
        watch: &dyn Watch,
    ) -> Result<(RunResult, Run), SimulationError> {
        let policy = kind.build();
        let mut simulation = self.simulation(instance, &*policy)?;
        let mut series = Series::new(simulation.total_cost(), POINTS);
        let mut moments = Vec::new();
        let (mut hops, mut rounds) = (0_u64, 0);
        let about = 6.0 * instance.allocation().vm_count() as f64;
        let (outcome, ended) = simulation.run_while(self.limits, |simulation, hop| {
            series.observe(hop);
            (hops, rounds) = (hops + 1, rounds + u64::from(hop.round_ended));
            if hop.round_ended && rounds == ROUNDS_OF_HEAT_MAP {
                let traffic = gauge.rack_traffic(simulation.allocation(), MAX_BINS);
                let when = format!("after {rounds} rounds");
                moments.extend(traffic.map(|traffic| TrafficMoment { when, traffic }));
            }
            if !hops.is_multiple_of(HOPS_BETWEEN_LOOKS) {
                return true;
            }
            watch.progress(hops as f64 / (hops as f64 + about), hop.total_cost);
            !watch.is_stopped()
        });
        let after = simulation.allocation();
        let at_end = gauge.rack_traffic(after, MAX_BINS);
        moments.extend(at_end.map(|traffic| TrafficMoment {
            when: "at the end".into(),
            traffic,
        }));
        let mut result = outcome.to_result(kind, self.seed, after);
        result.summary.complete = ended.is_some();
        let before = instance.allocation();
        let stability = Stability::new(&outcome.migrations, after.vm_count(), 0);
        let run = Run {
            name: kind.name().into(),
            stopped: ended.is_none(),
            after: gauge.placement(after),
            migrations: outcome.migrations.len() as u64,
            moved: (after.vms())
                .filter(|vm| before.host(*vm) != after.host(*vm))
                .count() as u64,
            migrations_per_vm: stability.vms_by_migrations,
            returns: stability.returns,
            oscillations: stability.oscillations,
            token_hops: Some(outcome.token_hops),
            rounds: Some(outcome.rounds),
            cpu_seconds: outcome.cpu_time.as_secs_f64(),
            curve: curve(&series.samples()),
            traffic: moments,
        };
        Ok((result, run))
    }
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
