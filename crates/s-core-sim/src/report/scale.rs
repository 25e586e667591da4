//! Scales of axes and where their ticks are.
//!
//! Crates that draw charts put ticks where they like and colours into attributes; these follow the page's
//! style sheet, light, dark or printed, so the charts are drawn here, and axes with them.

use super::number;

/// How values are spread along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Spread {
    /// Equal distances are equal differences; the axis begins at 0.
    #[default]
    Linear,
    /// Equal distances are equal ratios; values that are not above 0 are not shown.
    Logarithmic,
}

/// Values between these are shown, and 0 on linear axes: even their ratios are numbers.
const TINY: f64 = 1e-150;
const HUGE: f64 = 1e150;

/// A quantity along the side of a chart.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Axis {
    /// The quantity and its unit.
    pub label: String,
    /// How its values are spread.
    pub spread: Spread,
}

impl Axis {
    /// An axis that begins at 0.
    pub fn linear(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            spread: Spread::Linear,
        }
    }

    /// An axis of ratios.
    pub fn logarithmic(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            spread: Spread::Logarithmic,
        }
    }
}

/// An axis with its ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    spread: Spread,
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    /// A scale that has room for all values that can be shown, with about `ticks` ticks.
    ///
    /// `tight` ends at the greatest value instead of at a tick.
    pub(super) fn new(
        spread: Spread,
        values: impl Iterator<Item = f64> + Clone,
        ticks: usize,
        tight: bool,
    ) -> Self {
        let shown = values.filter(|value| shows(spread, *value));
        let max = shown.clone().fold(0.0, f64::max);
        match spread {
            Spread::Linear => {
                let max = if max > 0.0 { max } else { 1.0 };
                let step = nice_step(max / ticks as f64);
                let high = if tight {
                    max
                } else {
                    (max / step - 1e-9).ceil() * step
                };
                Self {
                    spread,
                    low: 0.0,
                    high,
                    step,
                }
            }
            Spread::Logarithmic => {
                let min = shown.fold(f64::INFINITY, f64::min);
                let (min, max) = if max > 0.0 { (min, max) } else { (1.0, 10.0) };
                let (low, high) = (
                    power(min.log10() + 1e-9, f64::floor),
                    power(max.log10() - 1e-9, f64::ceil),
                );
                let high = high.max(10.0 * low);
                let decades = (high / low).log10().round();
                let step = (decades / ticks as f64).ceil().max(1.0);
                Self {
                    spread,
                    low,
                    high: if tight { max.max(2.0 * low) } else { high },
                    step,
                }
            }
        }
    }

    /// Where a value is, from 0 at the low end to 1 at the high one; `None` if it cannot be shown.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        shows(self.spread, value).then(|| match self.spread {
            Spread::Linear => value / self.high,
            Spread::Logarithmic => (value / self.low).log10() / (self.high / self.low).log10(),
        })
    }

    /// The ticks and their labels, ascending.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let end = self.high * (1.0 + 1e-9);
        let labelled = |value: f64| (value, number::short(value));
        let value = |place: u32| match self.spread {
            // Through decimals, so that 3 × 0.1 is 0.3.
            Spread::Linear => decimal(f64::from(place) * self.step),
            Spread::Logarithmic if self.is_short() => {
                let multiple = [1.0, 2.0, 5.0][place as usize % 3];
                decimal(multiple * self.low * 10_f64.powi((place / 3) as i32))
            }
            Spread::Logarithmic => power(
                self.low.log10().round() + self.step * f64::from(place),
                |x| x,
            ),
        };
        (0..)
            .map(value)
            .take_while(|value| *value <= end)
            .map(labelled)
            .collect()
    }

    /// Whether powers of ten alone would be few ticks.
    fn is_short(&self) -> bool {
        (self.high / self.low).log10() < 2.5
    }
}

fn shows(spread: Spread, value: f64) -> bool {
    TINY < value && value < HUGE || spread == Spread::Linear && value == 0.0
}

fn power(exponent: f64, round: fn(f64) -> f64) -> f64 {
    decimal(10_f64.powf(round(exponent)))
}

/// The value with the twelve digits that a label could ever show.
fn decimal(value: f64) -> f64 {
    format!("{value:.12e}").parse().unwrap_or(value)
}

/// The least of 1, 2, 2.5 and 5 times a power of ten that is not below `least`.
fn nice_step(least: f64) -> f64 {
    let decade = 10_f64.powf(least.log10().floor());
    let nice = [1.0, 2.0, 2.5, 5.0]
        .into_iter()
        .map(|multiple| multiple * decade);
    nice.into_iter()
        .find(|step| *step >= least * (1.0 - 1e-9))
        .unwrap_or(10.0 * decade)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(spread: Spread, values: &[f64]) -> String {
        let scale = Scale::new(spread, values.iter().copied(), 5, false);
        let labels: Vec<_> = scale.ticks().into_iter().map(|(_, label)| label).collect();
        labels.join(" ").replace('\u{a0}', "")
    }

    #[test]
    fn ticks_are_round() {
        let check =
            |spread, values: &[f64], wanted: &str| assert_eq!(labels(spread, values), wanted);
        check(Spread::Linear, &[0.0, 1.0], "0 0.2 0.4 0.6 0.8 1");
        check(Spread::Linear, &[3.0, 100.0], "0 20 40 60 80 100");
        check(Spread::Linear, &[0.07], "0 0.02 0.04 0.06 0.08");
        check(Spread::Linear, &[230_000.0], "0 50k 100k 150k 200k 250k");
        check(Spread::Linear, &[1.1e12], "0 250G 500G 750G 1T 1.25T");
        check(Spread::Linear, &[], "0 0.2 0.4 0.6 0.8 1");
        check(
            Spread::Linear,
            &[f64::NAN, -4.0, f64::MAX, 5e-324],
            "0 0.2 0.4 0.6 0.8 1",
        );
        check(Spread::Logarithmic, &[0.5, 100.0], "0.1 1 10 100");
        check(Spread::Logarithmic, &[1.5, 100.0], "1 2 5 10 20 50 100");
        check(Spread::Logarithmic, &[0.0, 1.0], "1 2 5 10");
        check(Spread::Logarithmic, &[1.0, 1e12], "1 1000 1M 1G 1T");
        check(Spread::Logarithmic, &[], "1 2 5 10");
    }

    #[test]
    fn places_run_from_end_to_end() {
        let scale = Scale::new(Spread::Logarithmic, [0.1, 1000.0].into_iter(), 5, false);
        assert_eq!(scale.place(0.1), Some(0.0));
        assert_eq!(scale.place(10.0), Some(0.5));
        assert_eq!(scale.place(1000.0), Some(1.0));
        assert_eq!(scale.place(0.0), None);
        let scale = Scale::new(Spread::Linear, [0.0, 7.0].into_iter(), 5, true);
        assert_eq!(
            (scale.place(7.0), scale.place(f64::INFINITY)),
            (Some(1.0), None)
        );
    }
}
