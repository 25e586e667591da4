//! What many migrations come to.

use s_core_examples::cli;
use s_core_xen_lab::measure::{Outcome, Row};

/// What several numbers come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    pub(super) count: usize,
    pub(super) mean: f64,
    /// The standard deviation of the sample; 0 of one number.
    pub(super) deviation: f64,
    pub(super) least: f64,
    pub(super) lower_quartile: f64,
    pub(super) median: f64,
    pub(super) upper_quartile: f64,
    pub(super) greatest: f64,
}

impl Summary {
    /// Of numbers in any order; `None` of none. Between two of them quantiles are interpolated.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let (least, greatest) = (*values.first()?, *values.last()?);
        let count = values.len();
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let quantile = |share: f64| {
            let at = share * (count - 1) as f64;
            let (below, above) = (values[at.floor() as usize], values[at.ceil() as usize]);
            below + (above - below) * at.fract()
        };
        Some(Self {
            count,
            mean,
            deviation: (squares / (count.max(2) - 1) as f64).sqrt(),
            least,
            lower_quartile: quantile(0.25),
            median: quantile(0.5),
            upper_quartile: quantile(0.75),
            greatest,
        })
    }
}

/// What a number of a migration is; none if it is not known.
pub(super) type Quantity = fn(&Row) -> Option<f64>;

pub(super) const SECONDS: Quantity = |row| row.seconds;
pub(super) const DOWNTIME: Quantity = |row| row.downtime_ms;
pub(super) const MEGABYTES: Quantity = |row| row.bytes.map(|bytes| bytes as f64 / 1e6);
pub(super) const OFFERED: Quantity = |row| row.load_mbit;

/// Those that moved the VM.
pub(super) fn moved(rows: &[Row]) -> impl Iterator<Item = &Row> {
    rows.iter().filter(|row| row.outcome == Outcome::Moved)
}

/// Of the migrations at this load that moved the VM.
pub(super) fn at_load(rows: &[Row], load: u32, quantity: Quantity) -> Option<Summary> {
    let here = moved(rows).filter(|row| row.load_percent == load);
    Summary::of(here.filter_map(quantity))
}

/// The loads that were tried, ascending.
pub(super) fn loads(rows: &[Row]) -> Vec<u32> {
    let mut loads: Vec<_> = rows.iter().map(|row| row.load_percent).collect();
    loads.sort_unstable();
    loads.dedup();
    loads
}

/// A table for terminals.
pub(super) fn text(rows: &[Row]) -> String {
    let header = [
        ">load",
        ">migrations",
        ">failed",
        ">MB",
        ">s (quartiles)",
        ">down, ms (quartiles)",
    ];
    let mut table = cli::table(&header);
    for load in loads(rows) {
        let all = rows.iter().filter(|row| row.load_percent == load);
        let [all, moved] = [
            all.count(),
            moved(rows).filter(|row| row.load_percent == load).count(),
        ];
        let written = |quantity, decimals| {
            at_load(rows, load, quantity).map_or_else(String::new, |of| quartiles(of, decimals))
        };
        table.add_row([
            format!("{load} %"),
            moved.to_string(),
            (all - moved).to_string(),
            written(MEGABYTES, 1),
            written(SECONDS, 1),
            written(DOWNTIME, 0),
        ]);
    }
    format!("{table}\n")
}

/// `5.9 (5.1 to 7.0)`.
pub(super) fn quartiles(of: Summary, decimals: usize) -> String {
    let [lower, median, upper] = [of.lower_quartile, of.median, of.upper_quartile];
    format!("{median:.decimals$} ({lower:.decimals$} to {upper:.decimals$})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries() {
        let check =
            |values: &[f64], wanted: Option<[f64; 5]>, mean_and_deviation: Option<(f64, f64)>| {
                let found = Summary::of(values.iter().copied());
                let of = found.map(|of| {
                    [
                        of.least,
                        of.lower_quartile,
                        of.median,
                        of.upper_quartile,
                        of.greatest,
                    ]
                });
                assert_eq!(of, wanted, "{values:?}");
                assert_eq!(
                    found.map(|of| (of.mean, of.deviation)),
                    mean_and_deviation,
                    "{values:?}"
                );
                assert_eq!(found.map_or(0, |of| of.count), values.len());
            };
        check(&[], None, None);
        check(&[7.0], Some([7.0; 5]), Some((7.0, 0.0)));
        check(
            &[3.0, 1.0],
            Some([1.0, 1.5, 2.0, 2.5, 3.0]),
            Some((2.0, 2f64.sqrt())),
        );
        check(
            &[5.0, 1.0, 4.0, 2.0, 3.0],
            Some([1.0, 2.0, 3.0, 4.0, 5.0]),
            Some((3.0, 2.5f64.sqrt())),
        );
        let summary = Summary::of([1.0, 2.0, 4.0]).expect("three");
        assert_eq!(quartiles(summary, 1), "2.0 (1.5 to 3.0)");
    }
}
