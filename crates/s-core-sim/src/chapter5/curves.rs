//! How much is saved over c_m (Fig. 5.3).

use s_core_model::{Levels, MigrationCost};
use s_core_token::PolicyKind;

use super::Chapter5;
use crate::report::study::{MigrationCostCurve, MigrationCostPoint};
use crate::{Instance, MigrationCostForm, StrategyError, Watch};

/// The policy of Fig. 5.3.
const POLICY: PolicyKind = PolicyKind::Distributed;

/// Parts of the VM's own part 2 C(u), and of the mean cost C / |𝕍|, which as an absolute number is the third form.
pub(super) const THRESHOLDS: [MigrationCostForm; 24] = [
    own(0.0),
    own(2.0),
    own(5.0),
    own(10.0),
    own(20.0),
    own(30.0),
    own(40.0),
    own(50.0),
    own(60.0),
    own(70.0),
    own(80.0),
    own(90.0),
    own(100.0),
    mean(0.0),
    mean(5.0),
    mean(10.0),
    mean(20.0),
    mean(50.0),
    mean(100.0),
    mean(200.0),
    mean(300.0),
    mean(400.0),
    mean(600.0),
    mean(1000.0),
];

const fn own(percent: f64) -> MigrationCostForm {
    MigrationCostForm::PercentOfOwn(percent)
}

const fn mean(percent: f64) -> MigrationCostForm {
    MigrationCostForm::PercentOfMean(percent)
}

/// How much a run saved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    /// c_m as a number, where it is the same for all VMs.
    absolute: Option<f64>,
    reduction: f64,
    migrations: u64,
}

impl Chapter5 {
    /// A point of a curve, unless the run is stopped.
    pub(super) fn point<L: Levels>(
        &self,
        instance: &Instance<'_, L>,
        threshold: MigrationCostForm,
        watch: &dyn Watch,
    ) -> Result<Option<Point>, StrategyError> {
        let chapter = Self {
            migration_cost: threshold,
            start: self.start,
            target_choice: self.target_choice,
            ..Self::default()
        };
        let policy = POLICY.build();
        let mut simulation = chapter.simulation(instance, &*policy)?;
        let (outcome, complete) = simulation.run_watched(self.limits, watch, |_, _| {});
        let absolute = match threshold.of(instance) {
            MigrationCost::Absolute(cost) => Some(cost),
            MigrationCost::RelativeToVm(_) => None,
        };
        Ok(complete.then(|| Point {
            absolute,
            reduction: match outcome.initial_cost {
                0.0 => 0.0,
                before => 1.0 - outcome.final_cost / before,
            },
            migrations: outcome.migrations.len() as u64,
        }))
    }
}

/// The curves of all three forms; those without points are left out.
pub(super) fn curves(points: &[(MigrationCostForm, Point)]) -> Vec<MigrationCostCurve> {
    let own = |threshold, _: Point| match threshold {
        MigrationCostForm::PercentOfOwn(percent) => Some(percent),
        _ => None,
    };
    let mean = |threshold, _: Point| match threshold {
        MigrationCostForm::PercentOfMean(percent) => Some(percent),
        _ => None,
    };
    let absolute = |_, point: Point| point.absolute;
    [
        curve("c_m, % of 2 C(u), the VM's own part", points, own),
        curve("c_m, % of C / |V|, the mean cost per VM", points, mean),
        curve("c_m, bytes per second times link weight", points, absolute),
    ]
    .into_iter()
    .filter(|curve| !curve.points.is_empty())
    .collect()
}

fn curve(
    form: &str,
    points: &[(MigrationCostForm, Point)],
    cost: impl Fn(MigrationCostForm, Point) -> Option<f64>,
) -> MigrationCostCurve {
    let point = |(threshold, point): &(MigrationCostForm, Point)| {
        Some(MigrationCostPoint {
            migration_cost: cost(*threshold, *point)?,
            reduction: point.reduction,
            migrations: point.migrations,
        })
    };
    MigrationCostCurve {
        form: form.into(),
        policy: POLICY.name().into(),
        points: points.iter().filter_map(point).collect(),
    }
}
