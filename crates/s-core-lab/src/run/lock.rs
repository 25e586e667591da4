//! One process at a time has the VMs of a laboratory send.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use crate::error::LabError;
use crate::layout::Layout;

/// The file in the laboratory's directory.
const FILE: &str = "run.lock";
/// The most digits that a process's number has.
const MOST_DIGITS: u64 = 20;

/// The right to have a laboratory's VMs send, and to count what they do: a lock on a file of the laboratory, which ends
/// with this process at the latest. [`run`](super::run) takes it itself.
#[derive(Debug)]
pub struct RunLock {
    _lock: File,
}

impl RunLock {
    /// Takes it.
    ///
    /// # Errors
    ///
    /// [`LabError::InUse`] with the number of the process that has it; [`LabError::Unknown`] if there is no such laboratory.
    pub fn take(layout: &Layout) -> Result<Self, LabError> {
        let path = layout.directory().join(FILE);
        let lock = take(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => LabError::Unknown(layout.name().clone()),
            _ => LabError::File { path, source },
        })?;
        match lock {
            Ok(lock) => Ok(Self { _lock: lock }),
            Err(process) => Err(LabError::InUse {
                name: layout.name().clone(),
                process,
            }),
        }
    }
}

/// Locks a file and writes the number of this process to it; or tells who has locked it.
fn take(path: &Path) -> io::Result<Result<File, String>> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(path)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            write!(file, "{}", std::process::id())?;
            Ok(Ok(file))
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.take(MOST_DIGITS).read_to_string(&mut holder)?;
            Ok(Err(holder))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_and_the_next_is_told_who() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        let first = take(&path).unwrap().unwrap();
        let refused = take(&path).unwrap().unwrap_err();
        assert_eq!(refused, std::process::id().to_string());
        drop(first);
        let _again = take(&path).unwrap().unwrap();
        assert_eq!(take(&path).unwrap().unwrap_err(), refused);
    }
}
