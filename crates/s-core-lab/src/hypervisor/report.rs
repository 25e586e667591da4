//! What is told of migrations.

use std::fmt::Debug;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::layout::{HostNumber, Layout, VmNumber};

/// The file of a laboratory's migrations.
const FILE: &str = "migrations.jsonl";

/// Hears of the migrations of one host. All calls come on the threads that migrate, which wait for them.
pub trait Observer: Send + Sync + Debug {
    /// A migration has come so far.
    fn phase(&self, vm: VmNumber, phase: Phase) {
        let _ = (vm, phase);
    }

    /// A migration away from this host has ended.
    fn ended(&self, report: &MigrationReport) {
        let _ = report;
    }
}

/// Hears nothing.
impl Observer for () {}

/// How far a migration has come, seen from the source (`Leaving…`) or the target (`Arriving…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The target has admitted the VM.
    LeavingAdmitted,
    /// The first round of pre-copy is through.
    LeavingCopied,
    /// The VM stands still: its interface is no port of this host any more, and still in its namespace.
    LeavingPaused,
    /// The target has the whole memory.
    LeavingComplete,
    /// The VM's interface is in the target's namespace: there is no way back.
    LeavingGiven,
    /// Room is kept for the VM and the gate has let it in.
    ArrivingAdmitted,
    /// The first page has come.
    ArrivingCopied,
    /// The whole memory is here.
    ArrivingComplete,
    /// The source says that it has given the VM's interface.
    ArrivingGiven,
    /// The VM runs here; the source does not know it yet.
    ArrivingAttached,
}

/// How a migration ended, as [`MigrationOutcome`](s_core_backend::MigrationOutcome) has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// The VM runs at the target.
    Moved,
    /// The VM runs on at the source.
    StayedHere,
    /// The target did not confirm.
    Unknown,
}

/// One migration, as its source saw it; a line of `migrations.jsonl` in the laboratory's directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MigrationReport {
    /// Which VM.
    pub vm: VmNumber,
    /// From where.
    pub source: HostNumber,
    /// Where to.
    pub target: HostNumber,
    /// When it began, in seconds since 1970.
    pub began: f64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How long the VM stood still, in seconds; 0 if it never did.
    pub downtime_seconds: f64,
    /// The VM's memory in MiB.
    pub memory_mib: u32,
    /// Octets of memory that were sent, those sent again included.
    pub bytes: u64,
    /// Rounds of pre-copy, the last while the VM stood still not counted.
    pub rounds: u8,
    /// How it ended.
    pub ended: Ended,
    /// Why it did not move, or what is known; empty if it moved.
    pub reason: String,
}

/// What the sources of a laboratory say of the migrations that began at this time or later.
///
/// # Errors
///
/// [`LabError`] if `migrations.jsonl` cannot be read or does not hold reports.
pub fn reports_since(layout: &Layout, began: SystemTime) -> Result<Vec<MigrationReport>, LabError> {
    let path = layout.directory().join(FILE);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|source| LabError::File {
            path: path.clone(),
            source,
        })?,
    };
    let began = began.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut reports = Vec::new();
    for line in text.lines() {
        let report = serde_json::from_str(line);
        let report: MigrationReport = report.map_err(|error| LabError::Content {
            path: path.clone(),
            problem: error.to_string(),
        })?;
        if report.began >= began.as_secs_f64() {
            reports.push(report);
        }
    }
    Ok(reports)
}

/// Adds a line to the laboratory's `migrations.jsonl`.
///
/// # Errors
///
/// [`LabError::File`] if that cannot be written.
pub(super) fn log(layout: &Layout, report: &MigrationReport) -> Result<(), LabError> {
    let path = layout.directory().join(FILE);
    let mut line = serde_json::to_string(report).expect("a report has no keys but strings");
    line.push('\n');
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        // In one call, so that the lines of several hosts do not mix.
        .and_then(|mut file| file.write_all(line.as_bytes()));
    written.map_err(|source| LabError::File { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_one_line_of_json() {
        let report = MigrationReport {
            vm: VmNumber(7),
            source: HostNumber(1),
            target: HostNumber(2),
            began: 1.5,
            seconds: 2.25,
            downtime_seconds: 0.125,
            memory_mib: 16,
            bytes: 17_000_000,
            rounds: 3,
            ended: Ended::StayedHere,
            reason: "it is full".into(),
        };
        let line = serde_json::to_string(&report).unwrap();
        assert_eq!(
            line,
            r#"{"vm":7,"source":1,"target":2,"began":1.5,"seconds":2.25,"downtime_seconds":0.125,"memory_mib":16,"bytes":17000000,"rounds":3,"ended":"stayed-here","reason":"it is full"}"#
        );
        assert_eq!(
            serde_json::from_str::<MigrationReport>(&line).unwrap(),
            report
        );
    }
}
