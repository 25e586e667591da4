//! The directory of a laboratory: who may change the laboratory now, and what its layout is.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::LabError;
use crate::layout::{ALL_LABS, LabName, Layout};
use crate::namespace;

/// The layout's file in the directory.
const FILE: &str = "layout.toml";
/// How long a program that a killed process was about to start may hold that one's lock.
const TRANSIENT: Duration = Duration::from_secs(1);
/// The most bytes of the layout's file; it has some 200.
const LONGEST: u64 = 64 << 10;

/// The right to make or remove a laboratory: a lock on its directory, which ends with this process at the latest.
#[derive(Debug)]
pub(crate) struct Claim {
    _lock: File,
}

impl Claim {
    /// Makes the directory, with the layout in it.
    pub(crate) fn new(layout: &Layout) -> Result<Self, LabError> {
        let name = layout.name();
        if !namespace::with_prefix(&name.prefix())?.is_empty() {
            return Err(LabError::Exists(name.clone()));
        }
        let directory = name.directory();
        create(&directory).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => LabError::Exists(name.clone()),
            _ => file_error(&directory, source),
        })?;
        let claim = Self::of(name)?.ok_or_else(|| LabError::Unknown(name.clone()))?;
        write(layout)?;
        Ok(claim)
    }

    /// Takes the right over a laboratory; `None` if it has no directory.
    pub(crate) fn of(name: &LabName) -> Result<Option<Self>, LabError> {
        let directory = name.directory();
        let lock = match File::open(&directory) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(file_error(&directory, source)),
        };
        let deadline = Instant::now() + TRANSIENT;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Some(Self { _lock: lock })),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => return Err(LabError::Busy(name.clone())),
                Err(TryLockError::Error(source)) => return Err(file_error(&directory, source)),
            }
        }
    }
}

/// Makes a directory that does not exist yet. The one above it goes away with the last laboratory, perhaps right now.
fn create(directory: &Path) -> io::Result<()> {
    for _ in 0..10 {
        fs::create_dir_all(ALL_LABS)?;
        match fs::create_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => return done,
        }
    }
    fs::create_dir(directory)
}

fn write(layout: &Layout) -> Result<(), LabError> {
    let path = layout.directory().join(FILE);
    let text = toml::to_string(layout).map_err(|error| LabError::Content {
        path: path.clone(),
        problem: error.to_string(),
    })?;
    fs::write(&path, text).map_err(|source| file_error(&path, source))
}

/// The layout of the laboratory of this name.
///
/// # Errors
///
/// [`LabError::Unknown`] if there is none, [`LabError::File`] and [`LabError::Content`] if its layout cannot be read.
pub fn load(name: &LabName) -> Result<Layout, LabError> {
    let path = name.directory().join(FILE);
    let mut text = String::new();
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(LabError::Unknown(name.clone()));
        }
        Err(source) => return Err(file_error(&path, source)),
    };
    let read = file.take(LONGEST).read_to_string(&mut text);
    read.map_err(|source| file_error(&path, source))?;
    parse(name, &text).map_err(|problem| LabError::Content { path, problem })
}

fn parse(name: &LabName, text: &str) -> Result<Layout, String> {
    let layout: Layout = toml::from_str(text).map_err(|error| error.to_string())?;
    if layout.name() != name {
        return Err(format!("is of a laboratory {}", layout.name()));
    }
    // What was read has not been checked.
    Layout::new(layout.name().clone(), layout.shape().clone()).map_err(|error| error.to_string())
}

/// Removes the directory and all that is in it; whether there was one.
pub(crate) fn remove(name: &LabName) -> Result<bool, LabError> {
    let directory = name.directory();
    let removed = match fs::remove_dir_all(&directory) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(source) => return Err(file_error(&directory, source)),
    };
    // Fails while there are other laboratories.
    let _ = fs::remove_dir(ALL_LABS);
    Ok(removed)
}

fn file_error(path: &Path, source: io::Error) -> LabError {
    LabError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    #[test]
    fn a_layout_comes_back_and_a_damaged_one_does_not() {
        let name: LabName = "demo".parse().unwrap();
        let layout = Layout::new(name.clone(), Shape::default()).unwrap();
        let text = toml::to_string(&layout).unwrap();
        assert_eq!(parse(&name, &text), Ok(layout));
        let check = |from: &str, to: &str, says: &str| {
            let damaged = text.replace(from, to);
            assert_ne!(damaged, text);
            let refused = parse(&name, &damaged).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        };
        check("demo", "other", "is of a laboratory other");
        check("demo", "De/mo", "is not 1 to 8 lower-case letters");
        check("hosts = 4", "hosts = 0", "hosts: 0 is not 1 to 250");
        check("[2, 2]", "[2, 0]", "fan_out: 0 is not 1 to 64");
        check("hosts = 4", "hosts = -1", "hosts");
        check("hosts = 4", "hosts = 4\nmore = 1", "more");
    }
}
