//! Figs. 5.2 and 5.3: cost over hops and time, reduction over migration costs.

use super::{MigrationCostCurve, Run, Scenario};
use crate::measure::CostPoint;
use crate::report::number;
use crate::report::{Axis, Block, Chart, Course, Line, LineChart, Panel, Reference};

/// Below this share of the cost to begin with, what is left can only be told apart on an axis of ratios.
const SMALL_SHARE: f64 = 0.05;

impl Scenario {
    /// Fig. 5.2: the cost as a share of that to begin with, over seconds where all runs have them, and over hops.
    pub(super) fn cost_over_time(&self) -> Vec<Block> {
        let runs: Vec<_> = (self.policies.iter())
            .filter(|run| !run.curve.points().is_empty())
            .collect();
        if runs.is_empty() {
            return Vec::new();
        }
        let points = || runs.iter().flat_map(|run| run.curve.points());
        let mut panels = Vec::new();
        if points().all(|point| point.seconds.is_some()) {
            panels.push(self.cost_panel(
                "over time",
                "seconds since the first hop",
                &runs,
                |point| point.seconds,
            ));
        }
        panels.push(
            self.cost_panel("over hops", "hops of the token", &runs, |point| {
                Some(point.hops as f64)
            }),
        );
        if panels.len() == 1 {
            panels[0].title.clear();
        }
        let description = format!("{}.", self.ends(&runs).join("; "));
        let times = match self.times.as_str() {
            "" => String::new(),
            times => format!(" The seconds assume: {times}."),
        };
        let caption = format!(
            "Cost (Eq. 3.1) while the token goes round, in per cent of the {} (bytes per second times link weight) to begin \
             with; dotted: reference placements (cf. Fig. 5.2 of the thesis).{times}",
            number::short(self.before.cost)
        );
        let figure = self.figure(
            "cost",
            "Cost while the token goes round",
            description,
            1,
            panels,
        );
        vec![Block::Figure(caption, figure)]
    }

    fn cost_panel(
        &self,
        title: &str,
        x: &str,
        runs: &[&Run],
        at: impl Fn(&CostPoint) -> Option<f64>,
    ) -> Panel {
        let line = |run: &&Run| Line {
            name: run.label().into_owned(),
            points: (run.curve.points().iter())
                .filter_map(|point| Some((at(point)?, 100.0 * self.share(point.cost))))
                .collect(),
            course: Course::Step,
        };
        let reference = |run: &Run| Reference {
            label: format!(
                "{}: {}",
                run.label(),
                number::percent(self.share(run.after.cost))
            ),
            value: 100.0 * self.share(run.after.cost),
        };
        let least = self
            .policies
            .iter()
            .chain(&self.references)
            .map(|run| self.share(run.after.cost));
        let label = "cost, % of the beginning";
        let y = match least.fold(1.0, f64::min) < SMALL_SHARE {
            true => Axis::logarithmic(label),
            false => Axis::linear(label),
        };
        let chart = LineChart {
            x: Axis::linear(x),
            y,
            series: runs.iter().map(line).collect(),
            references: self.references.iter().map(reference).collect(),
        };
        Panel {
            title: title.into(),
            chart: Chart::Lines(chart),
        }
    }

    fn ends(&self, runs: &[&Run]) -> Vec<String> {
        let end = |run: &&Run| {
            format!(
                "{} ends at {}",
                run.label(),
                number::percent(self.share(run.after.cost))
            )
        };
        runs.iter().map(end).collect()
    }

    /// Fig. 5.3: one panel per form of c_m.
    pub(super) fn reduction_over_migration_cost(&self) -> Vec<Block> {
        if self.migration_costs.is_empty() {
            return Vec::new();
        }
        let mut forms: Vec<&str> = Vec::new();
        for curve in &self.migration_costs {
            if !forms.contains(&curve.form.as_str()) {
                forms.push(&curve.form);
            }
        }
        let panel = |form: &&str| {
            let curves: Vec<_> = self
                .migration_costs
                .iter()
                .filter(|curve| curve.form == *form)
                .collect();
            Panel {
                title: String::new(),
                chart: Chart::Lines(reduction_chart(form, &curves)),
            }
        };
        let mut panels: Vec<_> = forms.iter().map(panel).collect();
        if let [only] = panels.as_mut_slice() {
            only.title.clear();
        }
        let columns = panels.len().min(2);
        let description = "Higher migration costs allow fewer migrations and save less.".into();
        let caption = "By how much the cost falls under migration costs c_m of different forms (cf. Fig. 5.3 of the thesis). The VM's own \
            part is 2 C(u), each of its pairs counted at both ends: the most that a migration can gain. The mean is C / |V|, half \
            of the mean of 2 C(u)."
            .into();
        let figure = self.figure(
            "migration-cost",
            "Reduction over migration cost",
            description,
            columns,
            panels,
        );
        vec![Block::Figure(caption, figure)]
    }
}

fn reduction_chart(form: &str, curves: &[&MigrationCostCurve]) -> LineChart {
    let costs = || {
        curves
            .iter()
            .flat_map(|curve| curve.points.iter())
            .map(|point| point.migration_cost)
    };
    let above_zero = || costs().filter(|cost| *cost > 0.0);
    let (least, most) = (
        above_zero().fold(f64::INFINITY, f64::min),
        above_zero().fold(0.0, f64::max),
    );
    // Costs over several powers of ten; then what is saved without any is a level line.
    let wide = most > 100.0 * least;
    let is_zero = |cost: f64| cost == 0.0;
    let line = |curve: &&MigrationCostCurve| Line {
        name: curve.policy.clone(),
        points: (curve.points.iter())
            .filter(|point| !(wide && is_zero(point.migration_cost)))
            .map(|point| (point.migration_cost, 100.0 * point.reduction))
            .collect(),
        course: Course::Straight,
    };
    let free = |curve: &&MigrationCostCurve| {
        let point = curve
            .points
            .iter()
            .find(|point| wide && is_zero(point.migration_cost))?;
        Some(Reference {
            label: "c_m = 0".into(),
            value: 100.0 * point.reduction,
        })
    };
    LineChart {
        x: if wide {
            Axis::logarithmic(form)
        } else {
            Axis::linear(form)
        },
        y: Axis::linear("cost saved, %"),
        series: curves.iter().map(line).collect(),
        references: curves.iter().take(1).filter_map(free).collect(),
    }
}
