//! The directory that a sweep's runs are written to.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::report::{Executed, RunReport};
use super::{RunSpec, SweepError};
use crate::probe::probe;

/// The name of the file of a run's parameters.
pub const RUN_FILE: &str = "run.json";

/// Where locks and unfinished files are, beside the runs. It also tells a sweep's directory from others.
const OWN: &str = ".sweep";

/// The longest name of a run: with `.lock` it is still a file name.
pub(super) const MAX_ID_BYTES: usize = 240;

/// A directory with a sub-directory for each run.
///
/// Several processes may do runs of the same or of other sweeps in it at the same time: a run is done by
/// whoever [claims](Self::claim) it first. A claim ends with its process, however that ends.
#[derive(Debug)]
pub struct SweepDir {
    path: PathBuf,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq)]
pub enum RunState {
    /// It has left nothing.
    Missing,
    /// It was stopped on the way.
    Partial(Box<RunReport>),
    /// It came to its end.
    Complete(Box<RunReport>),
}

impl SweepDir {
    /// Makes the directory, if it is not there, and finds out whether it can be written to.
    ///
    /// # Errors
    ///
    /// [`SweepError`] if the path is not a directory, cannot be written, or is a directory that has other
    /// things than a sweep.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, SweepError> {
        let mut path = path.into();
        if path.as_os_str().is_empty() {
            path.push(".");
        }
        check_target(&path, OWN)?;
        let dir = Self { path: path.clone() };
        let own = dir.path.join(OWN);
        fs::create_dir_all(&own).map_err(|source| dir.failed(source))?;
        match probe(&own) {
            Ok(()) => Ok(dir),
            Err(source) => Err(SweepError::Write { path, source }),
        }
    }

    /// The directory of a run.
    pub fn path_of(&self, run: &RunSpec) -> PathBuf {
        self.path.join(run.id())
    }

    /// How far a run is.
    ///
    /// # Errors
    ///
    /// [`SweepError`] if what is in its directory is not this run or damaged.
    pub fn state(&self, run: &RunSpec) -> Result<RunState, SweepError> {
        let path = self.path_of(run);
        match RunReport::read(&path)? {
            Some(report) if report.run != *run => Err(SweepError::OtherParameters(path)),
            Some(report) if report.complete => Ok(RunState::Complete(report.into())),
            Some(report) => Ok(RunState::Partial(report.into())),
            None if path.symlink_metadata().is_ok() => Err(SweepError::InTheWay(path)),
            None => Ok(RunState::Missing),
        }
    }

    /// The right to do a run, unless another process or thread has it.
    ///
    /// # Errors
    ///
    /// [`SweepError::Write`] if that cannot be found out.
    pub fn claim(&self, run: &RunSpec) -> Result<Option<Claim<'_>>, SweepError> {
        let id = run.id();
        let path = self.path.join(OWN).join(format!("{id}.lock"));
        let locked = lock(&path).map_err(|source| SweepError::Write {
            path: path.clone(),
            source,
        })?;
        Ok(locked.map(|_lock| Claim {
            dir: self,
            id,
            path,
            _lock,
        }))
    }

    fn failed(&self, source: io::Error) -> SweepError {
        let path = self.path.clone();
        SweepError::Write { path, source }
    }
}

/// Refuses a path that is not a directory, or one with other things than a sweep, which has `.sweep`, or
/// another file of this program.
pub(super) fn check_target(path: &Path, mark: &str) -> Result<(), SweepError> {
    let mut entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(SweepError::NotADirectory(path.to_owned()));
        }
        Err(source) => {
            let path = path.to_owned();
            return Err(SweepError::Read { path, source });
        }
    };
    if entries.next().is_none() || path.join(OWN).is_dir() || path.join(mark).exists() {
        return Ok(());
    }
    Err(SweepError::ForeignDirectory(path.to_owned()))
}

/// Locks a file, which is made if there is none, unless somebody else has it locked.
fn lock(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Whoever had it may have removed it meanwhile, so that others no longer see this file.
        match fs::metadata(path) {
            Ok(now) if now.ino() == file.metadata()?.ino() => return Ok(Some(file)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
}

/// The right to do a run. It ends when this is dropped.
#[derive(Debug)]
pub struct Claim<'a> {
    dir: &'a SweepDir,
    id: String,
    /// The lock's file.
    path: PathBuf,
    _lock: File,
}

impl Claim<'_> {
    /// Puts a run's directory in place, whole, instead of the one of a run that was stopped on the way.
    pub(super) fn publish(&self, executed: &Executed) -> Result<(), SweepError> {
        let target = self.dir.path.join(&self.id);
        let published = self.replace(executed, &target);
        published.map_err(|source| SweepError::Write {
            path: target,
            source,
        })
    }

    fn replace(&self, executed: &Executed, target: &Path) -> io::Result<()> {
        let own = |extension| {
            let name = format!("{}.{extension}", self.id);
            self.dir.path.join(OWN).join(name)
        };
        let (stage, old) = (own("new"), own("old"));
        // Left by a process that was killed; nobody else has them while this has the claim.
        remove_dir(&stage)?;
        remove_dir(&old)?;
        fs::create_dir(&stage)?;
        let written = executed.write(&stage);
        if written.is_err() {
            drop(fs::remove_dir_all(&stage));
        }
        written?;
        match fs::rename(target, &old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        fs::rename(&stage, target)?;
        remove_dir(&old)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        // The lock ends with the file's closing, after this. A file that stays does no harm.
        drop(fs::remove_file(&self.path));
    }
}

/// Removes a directory, if there is one.
fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
