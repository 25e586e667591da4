//! The files of a result.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use s_core_model::{ServerId, VmId};
use s_core_token::PolicyKind;
use serde::Serialize;

use super::{
    FIGURES_DIR, MIGRATIONS_FILE, PLACEMENT_FILE, PROPOSALS_DIR, ProposalResult, REPORT_FILE,
    ResultError, RunResult, SUMMARY_FILE,
};
use crate::probe::probe;

/// The beginning of the name of the directory inside the target that files are first written to.
const STAGE: &str = ".result-";

/// In the order in which they are put in place: a summary says that the others are there.
const FILES: [&str; 3] = [PLACEMENT_FILE, MIGRATIONS_FILE, SUMMARY_FILE];

/// What may stand beside results.
const BESIDE: [&str; 3] = [PROPOSALS_DIR, REPORT_FILE, FIGURES_DIR];

/// A directory that a result may be written to: it was missing, empty, or held a result.
#[derive(Debug)]
pub struct ResultDir {
    path: PathBuf,
}

impl ResultDir {
    /// Looks whether a result may be written there, by writing; leaves nothing behind. Ask before a long run.
    ///
    /// # Errors
    ///
    /// [`ResultError`] if the path is not a directory, cannot be read or written, or is a directory that has
    /// neither a result nor, in sub-directories of the policies' names, several.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, ResultError> {
        let mut path = path.into();
        if path.as_os_str().is_empty() {
            // What files without a directory mean: it is to be looked at as well.
            path.push(".");
        }
        let usable = match holds_nothing_else(&path) {
            Ok(false) => return Err(ResultError::ForeignDirectory(path)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(true) | Err(_) => probe(&path),
        };
        match usable {
            Ok(()) => Ok(Self { path }),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                Err(ResultError::NotADirectory(path))
            }
            Err(source) => Err(ResultError::Io { path, source }),
        }
    }

    /// Writes one result into the directory, in place of whatever results and proposals were there.
    ///
    /// The directory and those above it are made where they are missing. Nothing is replaced before
    /// everything is written; other files are left alone. Where that is interrupted there is no summary, as it
    /// goes first and comes last.
    ///
    /// # Errors
    ///
    /// [`ResultError::Io`] if that fails.
    pub fn write(&self, result: &RunResult) -> Result<(), ResultError> {
        self.replace(
            |stage| write_files(result, stage),
            |stage| {
                remove(&self.path.join(SUMMARY_FILE))?;
                self.remove_all_but(&[])?;
                put_in_place(stage, &self.path)
            },
        )
    }

    /// Writes each result into a sub-directory with the name of its policy, in place of whatever
    /// results and proposals were there; otherwise like [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// [`ResultError::Io`] if that fails.
    pub fn write_all(&self, results: &[RunResult]) -> Result<(), ResultError> {
        let names: Vec<_> = results
            .iter()
            .map(|run| run.summary.policy.name())
            .collect();
        let write = |stage: &Path| {
            results.iter().zip(&names).try_for_each(|(result, name)| {
                fs::create_dir_all(stage.join(name))?;
                write_files(result, &stage.join(name))
            })
        };
        self.replace(write, |stage| {
            for name in &names {
                fs::create_dir_all(self.path.join(name))?;
                remove(&self.path.join(name).join(SUMMARY_FILE))?;
            }
            remove_files(&self.path)?;
            self.remove_all_but(&names)?;
            (names.iter())
                .try_for_each(|name| put_in_place(&stage.join(name), &self.path.join(name)))
        })
    }

    /// Removes the results of all policies but these, and all proposals; what else is there stays.
    fn remove_all_but(&self, names: &[&str]) -> io::Result<()> {
        for kind in PolicyKind::ALL {
            if !names.contains(&kind.name()) {
                remove_result(&self.path.join(kind.name()))?;
            }
        }
        let proposals = self.path.join(PROPOSALS_DIR);
        for entry in fs::read_dir(&proposals).into_iter().flatten() {
            remove_result(&entry?.path())?;
        }
        remove_if_empty(&proposals)
    }

    /// Writes what another strategy proposes into `proposals`, a sub-directory of its name there, in place of whatever
    /// result was there: `placement.csv`, and `summary.json` with `strategy` for `policy`.
    ///
    /// # Errors
    ///
    /// [`ResultError::Io`] if that fails.
    pub fn write_proposal(&self, result: &ProposalResult) -> Result<(), ResultError> {
        let name = &result.strategy;
        let write = |stage: &Path| {
            fs::create_dir_all(stage.join(name))?;
            write_proposal_files(result, &stage.join(name))
        };
        self.replace(write, |stage| {
            let dir = self.path.join(PROPOSALS_DIR).join(name);
            fs::create_dir_all(&dir)?;
            remove_files(&dir)?;
            [PLACEMENT_FILE, SUMMARY_FILE]
                .iter()
                .try_for_each(|file| fs::rename(stage.join(name).join(file), dir.join(file)))
        })
    }

    fn replace(
        &self,
        write: impl FnOnce(&Path) -> io::Result<()>,
        publish: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<(), ResultError> {
        let stage = self.path.join(format!("{STAGE}{}", std::process::id()));
        let written = fs::create_dir_all(&stage)
            .and_then(|()| write(&stage))
            .and_then(|()| publish(&stage));
        // Whatever happened, nothing unfinished stays; the first error is the one to report.
        let removed = fs::remove_dir_all(&stage);
        written.and(removed).map_err(|source| ResultError::Io {
            path: self.path.clone(),
            source,
        })
    }
}

/// Whether a directory is empty, or holds a result or several of them, and at most a report beside them.
fn holds_nothing_else(dir: &Path) -> io::Result<bool> {
    let (mut only_ours, mut results, mut empty) = (true, 0, true);
    for entry in fs::read_dir(dir)? {
        empty = false;
        let entry = entry?;
        let name = entry.file_name();
        // What is written to first is there when a write was interrupted.
        if name == SUMMARY_FILE || name.to_string_lossy().starts_with(STAGE) {
            return Ok(true);
        }
        let result = PolicyKind::ALL.iter().any(|kind| name == kind.name())
            && entry.path().join(SUMMARY_FILE).is_file();
        results += usize::from(result);
        only_ours &= result || BESIDE.iter().any(|known| name == *known);
    }
    Ok(empty || (only_ours && results > 0))
}

fn put_in_place(stage: &Path, dir: &Path) -> io::Result<()> {
    FILES
        .iter()
        .try_for_each(|file| fs::rename(stage.join(file), dir.join(file)))
}

/// Removes a result, and its directory if nothing else is there.
fn remove_result(dir: &Path) -> io::Result<()> {
    if !dir.join(SUMMARY_FILE).is_file() {
        return Ok(());
    }
    remove_files(dir)?;
    remove_if_empty(dir)
}

fn remove_if_empty(dir: &Path) -> io::Result<()> {
    match fs::remove_dir(dir) {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Err(error)
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Removes the files of a result, the summary first.
fn remove_files(dir: &Path) -> io::Result<()> {
    FILES
        .iter()
        .rev()
        .try_for_each(|file| remove(&dir.join(file)))
}

/// Removes a file, if there is one.
fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn open(dir: &Path, file: &str) -> io::Result<BufWriter<File>> {
    File::create(dir.join(file)).map(BufWriter::new)
}

fn write_placement(placement: &[(VmId, ServerId)], dir: &Path) -> io::Result<()> {
    let mut rows = open(dir, PLACEMENT_FILE)?;
    writeln!(rows, "vm,server")?;
    for (vm, server) in placement {
        writeln!(rows, "{vm},{server}")?;
    }
    rows.flush()
}

fn write_summary(summary: &impl Serialize, dir: &Path) -> io::Result<()> {
    let mut file = open(dir, SUMMARY_FILE)?;
    serde_json::to_writer_pretty(&mut file, summary)?;
    writeln!(file)?;
    file.flush()
}

/// Writes the files of a proposal into a directory.
pub(crate) fn write_proposal_files(result: &ProposalResult, dir: &Path) -> io::Result<()> {
    write_placement(&result.placement, dir)?;
    write_summary(
        &ProposalFile {
            strategy: &result.strategy,
            initial_cost: result.initial_cost,
            final_cost: result.final_cost,
            moved: result.moved,
            seconds: result.seconds,
            seed: result.seed,
            complete: result.complete,
        },
        dir,
    )
}

/// Writes the files of a result into a directory.
pub(crate) fn write_files(result: &RunResult, dir: &Path) -> io::Result<()> {
    write_placement(&result.placement, dir)?;
    let mut rows = open(dir, MIGRATIONS_FILE)?;
    writeln!(rows, "step,vm,source,target,gain,total_cost")?;
    for row in &result.migrations {
        // `{:?}` writes a float without loss and, where that is shorter, with an exponent.
        writeln!(
            rows,
            "{},{},{},{},{:?},{:?}",
            row.step, row.vm, row.source, row.target, row.gain, row.total_cost
        )?;
    }
    rows.flush()?;
    write_summary(&SummaryFile::new(result), dir)
}

/// `summary.json` of a [`ProposalResult`].
#[derive(Serialize)]
struct ProposalFile<'a> {
    strategy: &'a str,
    initial_cost: f64,
    final_cost: f64,
    moved: usize,
    seconds: f64,
    seed: Option<u64>,
    complete: bool,
}

/// `summary.json`.
#[derive(Serialize)]
struct SummaryFile {
    policy: &'static str,
    initial_cost: f64,
    final_cost: f64,
    migrations: usize,
    token_hops: u64,
    rounds: u64,
    seconds: f64,
    seed: Option<u64>,
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_cost: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_moved: Option<usize>,
}

impl SummaryFile {
    fn new(result: &RunResult) -> Self {
        let summary = result.summary;
        Self {
            policy: summary.policy.name(),
            initial_cost: summary.initial_cost,
            final_cost: summary.final_cost,
            migrations: result.migrations.len(),
            token_hops: summary.token_hops,
            rounds: summary.rounds,
            seconds: summary.seconds,
            seed: summary.seed,
            complete: summary.complete,
            reference_cost: summary.reference.map(|reference| reference.cost),
            reference_seconds: summary.reference.map(|reference| reference.seconds),
            reference_moved: summary.reference.map(|reference| reference.moved),
        }
    }
}
