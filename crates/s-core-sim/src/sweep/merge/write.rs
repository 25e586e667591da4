//! Tables of merged runs.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::distinction::{PARAMETERS, parameters};
use super::{Group, Merged, MergedRun, Spread};
use crate::sweep::{SweepError, shortest};

/// The name of the file with a row per run.
pub const MERGED_FILE: &str = "merged.csv";
/// The name of the file with a row per group of runs that differ in their seed alone.
pub const MERGED_GROUPS_FILE: &str = "merged-groups.csv";

/// A number that a run may have.
type Measure = fn(&MergedRun) -> Option<f64>;

/// The columns of what is measured of a group, each as mean, standard deviation, lowest and highest.
const MEASURES: [(&str, Measure); 10] = [
    ("initial_cost", |run| Some(run.report.initial_cost)),
    ("final_cost", |run| Some(run.report.final_cost)),
    ("reduction_percent", |run| Some(run.reduction_percent())),
    ("migrations", |run| Some(run.report.migrations as f64)),
    ("vms_moved", |run| Some(run.report.vms_moved as f64)),
    ("token_hops", |run| Some(run.report.token_hops as f64)),
    ("rounds", |run| Some(run.report.rounds as f64)),
    ("seconds", |run| Some(run.report.seconds)),
    ("reference_cost", |run| Some(run.reference?.cost)),
    ("ratio", MergedRun::ratio),
];

pub(super) fn write(merged: &Merged, dir: &Path) -> Result<(), SweepError> {
    Merged::check_target(dir)?;
    let written = fs::create_dir_all(dir)
        .and_then(|()| replace(&dir.join(MERGED_FILE), |file| write_runs(merged, file)))
        .and_then(|()| {
            let groups = merged.groups();
            replace(&dir.join(MERGED_GROUPS_FILE), |file| {
                write_groups(&groups, file)
            })
        });
    written.map_err(|source| SweepError::Write {
        path: dir.to_owned(),
        source,
    })
}

/// Writes a file beside its place first, so that it is there whole or not at all.
fn replace(path: &Path, write: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let stage = path.with_extension(format!("csv-{}", std::process::id()));
    let written = File::create(&stage)
        .and_then(|file| write(&file))
        .and_then(|()| fs::rename(&stage, path));
    if written.is_err() {
        drop(fs::remove_file(&stage));
    }
    written
}

fn write_runs(merged: &Merged, file: &File) -> io::Result<()> {
    let mut rows = csv::Writer::from_writer(file);
    let [names, results] = [PARAMETERS.as_slice(), &RESULTS];
    rows.write_record([&["id"], names, &["seed", "complete"], results].concat())?;
    for run in &merged.runs {
        let report = &run.report;
        let seed = report.run.data_centre.seed.to_string();
        rows.write_record(
            [report.run.id()]
                .into_iter()
                .chain(parameters(&report.run))
                .chain([seed, report.complete.to_string()])
                .chain(results_of(run)),
        )?;
    }
    rows.flush()
}

fn write_groups(groups: &[Group<'_>], file: &File) -> io::Result<()> {
    let mut rows = csv::Writer::from_writer(file);
    let columns = ["mean", "deviation", "min", "max"];
    let measures = MEASURES
        .iter()
        .flat_map(|(name, _)| columns.map(|column| format!("{name}_{column}")));
    let names = PARAMETERS.map(str::to_owned).into_iter();
    rows.write_record(names.chain(["runs".to_owned()]).chain(measures))?;
    for group in groups {
        let count = group.runs().len().to_string();
        let measures = MEASURES
            .iter()
            .flat_map(|(_, measure)| spread_of(group.spread(measure)));
        rows.write_record(
            parameters(group.parameters())
                .into_iter()
                .chain([count])
                .chain(measures),
        )?;
    }
    rows.flush()
}

/// The columns of what a run came to.
const RESULTS: [&str; 12] = [
    "initial_cost",
    "final_cost",
    "reduction_percent",
    "migrations",
    "vms_moved",
    "token_hops",
    "rounds",
    "seconds",
    "reference",
    "reference_cost",
    "reference_seconds",
    "ratio",
];

fn results_of(run: &MergedRun) -> [String; RESULTS.len()] {
    let report = &run.report;
    let number = |number: Option<f64>| number.map(shortest).unwrap_or_default();
    let reference = run.reference;
    [
        shortest(report.initial_cost),
        shortest(report.final_cost),
        shortest(run.reduction_percent()),
        report.migrations.to_string(),
        report.vms_moved.to_string(),
        report.token_hops.to_string(),
        report.rounds.to_string(),
        shortest(report.seconds),
        reference
            .map_or("", |reference| reference.name.name())
            .to_owned(),
        number(reference.map(|reference| reference.cost)),
        number(reference.map(|reference| reference.seconds)),
        number(run.ratio()),
    ]
}

fn spread_of(spread: Option<Spread>) -> [String; 4] {
    let numbers = spread.map(|spread| [spread.mean, spread.deviation, spread.min, spread.max]);
    numbers
        .map(|numbers| numbers.map(shortest))
        .unwrap_or_default()
}
