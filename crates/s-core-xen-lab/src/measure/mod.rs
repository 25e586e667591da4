//! How long live migrations take and how much they send, over background load: thesis 5.2.3 and 5.2.4, Figs. 5.9 to 5.11.
//!
//! A VM is migrated back and forth between two Xen hosts, of a testbed or real ones ([`Hosts`]), while a constant UDP stream runs over
//! the same links from the source to the target. Each migration becomes a [`Row`] of a file ([`Log`]), from which a later call goes on.
//!
//! - **Bytes** are the octets of the migration's stream: what the program that carries it (`socat` or `ssh`, started by `xl` on the source)
//!   has written, as the kernel accounts for it (`wchar` of `proc(5)`). It is exact; retransmissions and headers are not in it, and
//!   the receiver's answers, below 300 octets, are. With `ssh` it is what is encrypted.
//! - **Time** is that from the start of `xl migrate` to its end, by the source's clock.
//! - **Downtime** is the longest run of probes that were not answered ([`Silence`]).

mod attempt;
mod hosts;
mod listening;
mod log;
mod row;
mod schedule;
mod scripts;
mod silence;
mod told;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use s_core_lab::LabError;
use s_core_lab::traffic::TrafficError;
use s_core_xen_guest::ClientError;

pub use hosts::Hosts;
pub use log::Log;
pub use row::{Outcome, Row};
pub use silence::Silence;

use attempt::{attempt, find, write_memory};
use schedule::next;

/// After so many failures one after the other something is wrong that time does not mend.
const MOST_FAILURES: usize = 5;

/// What is measured, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Loads in per cent of the link's rate, each 0 to 100. Points take turns, so that a slow hour hits all.
    pub loads: Vec<u32>,
    /// How many migrations are attempted at each load, those of earlier calls included.
    pub migrations: usize,
    /// After this time no further migration begins.
    pub limit: Duration,
    /// How often the VM is probed: from 1 ms.
    pub probe: Duration,
    /// The highest rate at which the VM writes memory, in 10⁶ bytes per second; each migration draws its own, from 0 up. With 0 it is
    /// not told anything.
    pub most_dirty: f64,
    /// How much memory it writes to, in MiB.
    pub working_set_mib: u32,
    /// What the order of loads and the rates are drawn from.
    pub seed: u64,
    /// How long the VM is probed before its migration, and after.
    pub margin: Duration,
    /// How long hosts may not answer, or the VM not be at home on exactly one, after a migration.
    pub patience: Duration,
}

/// Measuring cannot go on. What was measured is in the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// A command or a file of the testbed failed.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The VM cannot be probed.
    #[error(transparent)]
    Probe(#[from] TrafficError),
    /// The VM does not take what it is told.
    #[error("{0}: give it a program that listens, or let it write no memory")]
    Guest(#[from] ClientError),
    /// It is not known where the VM is.
    #[error(
        "{vm} is not at home on exactly one host ({found}): look with `xl list` at both, also for {vm}--incoming and {vm}--migratedaway"
    )]
    Unknown {
        /// What Xen calls it.
        vm: String,
        /// What each host said.
        found: String,
    },
    /// Migrations fail one after the other.
    #[error("{count} migrations failed one after the other, the last one so: {problem}")]
    Failing {
        /// How many.
        count: usize,
        /// What the last one said.
        problem: String,
    },
    /// A file cannot be used.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
}

impl MeasureError {
    fn content(path: &Path, problem: impl ToString) -> Self {
        Self::Content {
            path: path.into(),
            problem: problem.to_string(),
        }
    }
}

/// Migrates until there are as many attempts at each load as wanted, the time is over, or `stop` says so; it is asked before each.
///
/// `tell` hears of each when it has been recorded. One that fails is recorded, too; before the next the VM is looked for on both hosts.
///
/// # Errors
///
/// [`MeasureError`], also for a log that holds others than are wanted ([`Log::check`]). It holds all migrations until then, also the
/// one of which nobody knows where it ended.
pub fn measure(
    hosts: &Hosts,
    settings: &Settings,
    log: &mut Log,
    stop: &dyn Fn() -> bool,
    tell: &mut dyn FnMut(&Row),
) -> Result<(), MeasureError> {
    log.check(hosts, settings)?;
    let measured = take_turns(hosts, settings, log, stop, tell);
    if settings.most_dirty > 0.0 {
        // An error before counts more.
        measured.and(write_memory(hosts, None))
    } else {
        measured
    }
}

fn take_turns(
    hosts: &Hosts,
    settings: &Settings,
    log: &mut Log,
    stop: &dyn Fn() -> bool,
    tell: &mut dyn FnMut(&Row),
) -> Result<(), MeasureError> {
    let begun = Instant::now();
    let mut home = find(hosts, settings.patience)?;
    let mut failures = 0;
    while let Some(turn) = next(settings, log.rows()) {
        if begun.elapsed() >= settings.limit || stop() {
            break;
        }
        let (row, found) = attempt(hosts, settings, turn, &home)?;
        log.append(row.clone())?;
        tell(&row);
        home = found?;
        failures = match row.outcome {
            Outcome::Moved => 0,
            _ => failures + 1,
        };
        if failures >= MOST_FAILURES {
            return Err(MeasureError::Failing {
                count: failures,
                problem: row.problem,
            });
        }
    }
    Ok(())
}
