//! Flows that start and end while the token goes round (5.1.3, Fig. 5.2's spikes).

use std::time::Duration;

use rayon::prelude::*;
use s_core_token::PolicyKind;
use s_core_topology::LocationTable;

use super::token::{POINTS, curve};
use super::{Chapter5, Watches};
use crate::measure::Gauge;
use crate::report::study::{Run, Scenario};
use crate::strategy::moved;
use crate::traffic::{DynamicTraffic, Dynamics};
use crate::{
    AnyStrategy, DataCentre, Decision, GenerateError, Hop, Instance, Series, StrategyError,
};

/// How traffic changes in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changing {
    /// How long flows last, in windows.
    pub dynamics: Dynamics,
    /// After how much simulated time the next window's traffic takes the place of the last one's.
    pub every: Duration,
    /// How many windows a run has.
    pub windows: u32,
}

impl Changing {
    /// A hundred windows that together last as long as so many VMs need to settle: a migration takes seconds, and one comes
    /// after the other. Of the thesis's data centre each takes half an hour.
    pub fn of_vms(vms: u32) -> Self {
        Self {
            dynamics: Dynamics::default(),
            every: Duration::from_millis(55).saturating_mul(vms),
            windows: 100,
        }
    }
}

impl Chapter5 {
    /// Runs the policies while traffic changes; of them only curves and what holds at the end are filled in. References are
    /// those of the first window's traffic; other systems are left out.
    ///
    /// # Errors
    ///
    /// [`DynamicError`] if the numbers do not make a data centre.
    pub fn run_changing(
        &self,
        title: &str,
        data_centre: &DataCentre,
        changing: Changing,
        watches: &Watches<'_>,
    ) -> Result<Scenario, DynamicError> {
        let snapshot = data_centre.generate()?;
        let mut traffic = data_centre.dynamic_traffic(changing.dynamics)?;
        let first = traffic.next_window();
        let model = snapshot.cost_model();
        let instance =
            Instance::new(&model, &first, snapshot.allocation()).map_err(StrategyError::from)?;
        let gauge = Gauge::new(&instance);
        let run = |kind: &PolicyKind| {
            self.run_changing_policy(&instance, &traffic, changing, *kind, watches)
        };
        let reference = |strategy: &AnyStrategy| -> Result<Run, StrategyError> {
            let watch = watches(strategy.name());
            let (_, run) = self.propose(&instance, &gauge, strategy, &*watch)?;
            Ok(Run {
                name: format!("{}, first window", run.name),
                traffic: Vec::new(),
                ..run
            })
        };
        let (policies, references) = rayon::join(
            || self.policies.par_iter().map(run).collect::<Result<_, _>>(),
            || {
                let references = self.references.par_iter();
                let runs = references.map(|strategy| reference(&**strategy));
                runs.collect::<Result<Vec<_>, _>>()
            },
        );
        let references = references?;
        let description = match references.is_empty() {
            true => "",
            false => {
                "References are computed for the traffic of the first window, as in the thesis."
            }
        };
        Ok(Scenario {
            title: title.into(),
            description: description.into(),
            times: self.timing.in_words(),
            before: gauge.placement(snapshot.allocation()),
            policies: policies?,
            references,
            ..Scenario::default()
        })
    }

    fn run_changing_policy(
        &self,
        instance: &Instance<'_, &LocationTable>,
        traffic: &DynamicTraffic,
        changing: Changing,
        kind: PolicyKind,
        watches: &Watches<'_>,
    ) -> Result<Run, DynamicError> {
        let (policy, watch) = (kind.build(), watches(kind.name()));
        let mut simulation = self
            .simulation(instance, &*policy)
            .map_err(StrategyError::from)?
            .with_timing(self.timing);
        let mut series = Series::new(simulation.total_cost(), POINTS);
        let (mut later, mut last) = (traffic.clone(), instance.traffic().clone());
        let (mut windows, mut hops, mut migrations) = (1, 0, 0);
        let initial = instance.cost();
        let next = || {
            watch.progress(f64::from(windows) / f64::from(changing.windows), initial);
            if windows == changing.windows || watch.is_stopped() {
                return None;
            }
            windows += 1;
            last = later.next_window();
            Some(last.clone())
        };
        let observe = |hop: &Hop| {
            series.observe(hop);
            hops += 1;
            migrations += u64::from(matches!(hop.decision, Decision::Migrated(_)));
        };
        simulation
            .run_dynamic(changing.every, next, observe)
            .map_err(StrategyError::from)?;
        let after = simulation.allocation();
        let at_end = Instance::new(instance.model(), &last, after).map_err(StrategyError::from)?;
        Ok(Run {
            name: kind.name().into(),
            stopped: windows < changing.windows,
            after: Gauge::new(&at_end).placement(after),
            migrations,
            moved: moved(instance.allocation(), after) as u64,
            token_hops: Some(hops),
            curve: curve(&series.samples()),
            ..Run::default()
        })
    }
}

/// Why there is no run with changing traffic.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DynamicError {
    /// The numbers do not make a data centre.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// The parts do not fit each other.
    #[error(transparent)]
    Strategy(#[from] StrategyError),
}
