//! Finding runs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};

use super::MergedRun;
use crate::sweep::{RunReport, SweepError};

/// The most runs that are merged.
const MAX_MERGED: usize = 1_000_000;

/// The runs in directories, each run once, in the order of their parameters.
pub(super) fn read<P: AsRef<Path>>(
    paths: impl IntoIterator<Item = P>,
) -> Result<Vec<MergedRun>, SweepError> {
    let mut found = BTreeMap::new();
    for path in paths {
        let path = path.as_ref();
        if let Some(report) = RunReport::read(path)? {
            put(&mut found, path.to_owned(), report)?;
            continue;
        }
        let mut any = false;
        for path in sub_directories(path)? {
            if let Some(report) = RunReport::read(&path)? {
                any = true;
                put(&mut found, path, report)?;
            }
        }
        if !any {
            return Err(SweepError::NoRuns(path.to_owned()));
        }
    }
    let mut runs: Vec<MergedRun> = found.into_values().collect();
    runs.sort_by(|a, b| a.report.run.order(&b.report.run));
    Ok(runs)
}

/// In the order of their names, so that which of two equal runs is named does not depend on the file system.
fn sub_directories(path: &Path) -> Result<Vec<PathBuf>, SweepError> {
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotADirectory => SweepError::NotADirectory(path.to_owned()),
        _ => SweepError::Read {
            path: path.to_owned(),
            source,
        },
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Adds a run, unless it is there already.
fn put(
    found: &mut BTreeMap<String, MergedRun>,
    path: PathBuf,
    report: RunReport,
) -> Result<(), SweepError> {
    let count = found.len();
    let run = MergedRun {
        path,
        report,
        reference: None,
    };
    match found.entry(run.report.run.id()) {
        Entry::Vacant(_) if count == MAX_MERGED => Err(SweepError::TooManyRuns(MAX_MERGED)),
        Entry::Vacant(entry) => {
            entry.insert(run);
            Ok(())
        }
        Entry::Occupied(mut entry) => match difference(&entry.get().report, &run.report) {
            Some(what) => Err(SweepError::Contradiction {
                id: entry.key().clone(),
                first: entry.get().path.clone(),
                second: run.path,
                what,
            }),
            None => {
                if run.report.complete && !entry.get().report.complete {
                    entry.insert(run);
                }
                Ok(())
            }
        },
    }
}

/// In what two reports of the same run differ that should not. CPU seconds always do, and where a run was
/// stopped is chance.
fn difference(a: &RunReport, b: &RunReport) -> Option<&'static str> {
    if a.run != b.run {
        return Some("their parameters");
    }
    let what_counts = |report: &RunReport| RunReport {
        seconds: 0.0,
        ..report.clone()
    };
    (a.complete && b.complete && what_counts(a) != what_counts(b)).then_some("their results")
}
