//! Runs side by side: references, means and spreads over seeds.

use super::{MergedRun, ReferenceCost};
use crate::sweep::{Method, RunSpec};

/// Gives each run the best reference of its data centre.
pub(super) fn put_references(runs: &mut [MergedRun]) {
    let mut best: Vec<(usize, ReferenceCost)> = Vec::new();
    // Runs of a data centre stand apart, as the seed comes last: they are brought together first.
    let mut order: Vec<usize> = (0..runs.len()).collect();
    let data_centre = |place: &usize| &runs[*place].report.run.data_centre;
    order.sort_by(|a, b| data_centre(a).order(data_centre(b)));
    for places in order.chunk_by(|a, b| data_centre(a) == data_centre(b)) {
        let costs = places.iter().filter_map(|place| reference(&runs[*place]));
        let lowest = costs.min_by(|a, b| a.cost.total_cmp(&b.cost));
        best.extend(places.iter().copied().zip(lowest.into_iter().cycle()));
    }
    for (place, reference) in best {
        runs[place].reference = Some(reference);
    }
}

/// What a run has reached, if it is a reference's and came to its end.
fn reference(run: &MergedRun) -> Option<ReferenceCost> {
    match run.report.run.method {
        Method::Strategy(strategy) if strategy.name.is_reference() && run.report.complete => {
            Some(ReferenceCost {
                name: strategy.name,
                cost: run.report.final_cost,
                seconds: run.report.seconds,
            })
        }
        Method::Strategy(_) | Method::Token(_) => None,
    }
}

/// Runs that differ in their seed alone and came to their end.
#[derive(Clone, Debug, PartialEq)]
pub struct Group<'a> {
    /// At least one.
    runs: Vec<&'a MergedRun>,
}

impl<'a> Group<'a> {
    /// The runs, in the order of their seeds.
    pub fn runs(&self) -> &[&'a MergedRun] {
        &self.runs
    }

    /// The parameters that they share; the seed is that of the first.
    pub fn parameters(&self) -> &RunSpec {
        &self.runs[0].report.run
    }

    /// The spread of a number over the runs that have it; `None` if none has.
    pub fn spread(&self, number: impl Fn(&MergedRun) -> Option<f64>) -> Option<Spread> {
        let numbers: Vec<f64> = self.runs.iter().filter_map(|run| number(run)).collect();
        Spread::of(&numbers)
    }
}

pub(super) fn groups(runs: &[MergedRun]) -> Vec<Group<'_>> {
    let complete: Vec<&MergedRun> = runs.iter().filter(|run| run.report.complete).collect();
    let alike = |a: &&MergedRun, b: &&MergedRun| {
        let (a, b) = (&a.report.run, &b.report.run);
        a.order_but_seed(b).is_eq()
    };
    let groups = complete.chunk_by(alike);
    groups
        .map(|runs| Group {
            runs: runs.to_vec(),
        })
        .collect()
}

/// How numbers are spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// How many there are.
    pub count: usize,
    /// Their arithmetic mean.
    pub mean: f64,
    /// Their standard deviation, as of a sample (divided by one less than their number); 0 for a single one.
    pub deviation: f64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
}

impl Spread {
    /// The spread of these numbers, summed in their order; `None` if there is none.
    pub fn of(numbers: &[f64]) -> Option<Self> {
        let (first, count) = (*numbers.first()?, numbers.len() as f64);
        // About the first, so that equal numbers have exactly this mean and no deviation.
        let mean = first + numbers.iter().map(|number| number - first).sum::<f64>() / count;
        let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
        Some(Self {
            count: numbers.len(),
            mean,
            deviation: (squares / (count - 1.0).max(1.0)).sqrt(),
            min: numbers.iter().copied().fold(first, f64::min),
            max: numbers.iter().copied().fold(first, f64::max),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads() {
        let check = |numbers: &[f64], mean, deviation, min, max| {
            let count = numbers.len();
            let wanted = Spread {
                count,
                mean,
                deviation,
                min,
                max,
            };
            assert_eq!(Spread::of(numbers), Some(wanted), "{numbers:?}");
        };
        check(&[3.0], 3.0, 0.0, 3.0, 3.0);
        check(&[0.1, 0.1, 0.1], 0.1, 0.0, 0.1, 0.1);
        check(&[1.0, 5.0], 3.0, 8f64.sqrt(), 1.0, 5.0);
        check(&[2.0, 4.0, 4.0, 6.0, 9.0], 5.0, 7f64.sqrt(), 2.0, 9.0);
        assert_eq!(Spread::of(&[]), None);
    }
}
