//! What becomes known of a migration.

use serde::{Deserialize, Serialize};

use crate::run::Transport;

/// The columns of the file, in order.
pub(super) const COLUMNS: [&str; 16] = [
    "began",
    "load_percent",
    "load_mbit",
    "vm",
    "transport",
    "source",
    "target",
    "outcome",
    "bytes",
    "seconds",
    "downtime_ms",
    "longest_gap_ms",
    "probe_ms",
    "memory_mib",
    "dirty_mb_per_second",
    "problem",
];

/// A migration, as a line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// When it began, in seconds since 1970.
    pub began: u64,
    /// The load that was wanted, in per cent of the link's rate.
    pub load_percent: u32,
    /// The load that the source offered, in Mbit/s of frames; none without load or if it is not known.
    pub load_mbit: Option<f64>,
    /// What Xen calls the VM.
    pub vm: String,
    /// How its memory got from host to host.
    pub transport: Transport,
    /// Where the VM was.
    pub source: String,
    /// Where it was sent.
    pub target: String,
    /// Where it is.
    pub outcome: Outcome,
    /// Octets of the migration's stream.
    pub bytes: Option<u64>,
    /// How long `xl migrate` took.
    pub seconds: Option<f64>,
    /// The longest run of probes without an answer; none if it is not known.
    pub downtime_ms: Option<f64>,
    /// The longest time between two answers.
    pub longest_gap_ms: Option<f64>,
    /// The time from probe to probe: the error of the two above.
    pub probe_ms: f64,
    /// The VM's memory.
    pub memory_mib: u32,
    /// How fast the VM wrote memory meanwhile, in 10⁶ bytes per second.
    pub dirty_mb_per_second: f64,
    /// What went wrong, if anything did.
    pub problem: String,
}

/// What became of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The VM is at the target.
    Moved,
    /// It is where it was.
    Stayed,
    /// It is not known where it is.
    Unknown,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One that moved, at this load.
    pub(crate) fn row(load_percent: u32) -> Row {
        Row {
            began: 1_700_000_000,
            load_percent,
            load_mbit: Some(f64::from(load_percent)),
            vm: "v1".into(),
            transport: Transport::Stream,
            source: "root@xen1".into(),
            target: "root@xen2".into(),
            outcome: Outcome::Moved,
            bytes: Some(43_123_456),
            seconds: Some(5.9),
            downtime_ms: Some(2900.0),
            longest_gap_ms: None,
            probe_ms: 10.0,
            memory_mib: 40,
            dirty_mb_per_second: 0.125,
            problem: "none, \"in\" truth".into(),
        }
    }
}
