//! The directory of a laboratory: who may change the laboratory now, and what its layout is.

use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
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
    /// Takes the right to make a laboratory, and writes its layout.
    pub(crate) fn new(layout: &Layout) -> Result<Self, LabError> {
        let name = layout.name();
        if !namespace::with_prefix(&name.prefix())?.is_empty() {
            return Err(LabError::Exists(name.clone()));
        }
        let claim = Self::of(name)?;
        let directory = name.directory();
        if !is_empty(&directory).map_err(|source| file_error(&directory, source))? {
            return Err(LabError::Exists(name.clone()));
        }
        write(layout)?;
        Ok(claim)
    }

    /// Takes the right over a laboratory. Its directory is made if it is not there: without it nothing would keep a
    /// process from making the laboratory that another one removes.
    pub(crate) fn of(name: &LabName) -> Result<Self, LabError> {
        let directory = name.directory();
        match lock(&directory, TRANSIENT) {
            Ok(Some(lock)) => Ok(Self { _lock: lock }),
            Ok(None) => Err(LabError::Busy(name.clone())),
            Err(source) => Err(file_error(&directory, source)),
        }
    }
}

/// Makes the directory if need be, and locks it; `None` if others have it for longer than `patience`.
fn lock(directory: &Path, patience: Duration) -> io::Result<Option<File>> {
    let deadline = Instant::now() + patience;
    loop {
        create(directory)?;
        let lock = match File::open(directory) {
            Ok(opened) => try_lock(opened, directory)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if lock.is_some() || Instant::now() >= deadline {
            return Ok(lock);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Locks an opened directory, unless others have it, or it is no longer the one at this path: whoever had the lock has
/// perhaps removed it, and somebody else has made a new one.
fn try_lock(opened: File, directory: &Path) -> io::Result<Option<File>> {
    match opened.try_lock() {
        Ok(()) => Ok(is_at(&opened, directory)?.then_some(opened)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether this is what the path names now.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let identity = |of: Metadata| (of.dev(), of.ino());
    match fs::metadata(path) {
        Ok(there) => Ok(identity(there) == identity(file.metadata()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a directory unless it exists. The one above it goes away with the last laboratory, perhaps right now.
fn create(directory: &Path) -> io::Result<()> {
    for _ in 0..10 {
        match fs::create_dir_all(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => return done,
        }
    }
    fs::create_dir_all(directory)
}

fn is_empty(directory: &Path) -> io::Result<bool> {
    Ok(fs::read_dir(directory)?.next().is_none())
}

fn write(layout: &Layout) -> Result<(), LabError> {
    let path = layout.directory().join(FILE);
    let text = toml::to_string(layout).map_err(|error| LabError::Content {
        path: path.clone(),
        problem: error.to_string(),
    })?;
    fs::write(&path, text).map_err(|source| file_error(&path, source))
}

/// The names of all laboratories of this machine, sorted; also of those that are being made or removed.
///
/// # Errors
///
/// [`LabError::File`] if the directory that holds theirs cannot be read.
pub fn names() -> Result<Vec<LabName>, LabError> {
    let directory = Path::new(ALL_LABS);
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(|source| file_error(directory, source))?,
    };
    let name = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    let mut names: Vec<LabName> = entries.flatten().filter_map(name).collect();
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    Ok(names)
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

/// Removes the directory and all that is in it; whether there was anything.
pub(crate) fn remove(name: &LabName) -> Result<bool, LabError> {
    let directory = name.directory();
    let removed = match is_empty(&directory) {
        Ok(empty) => fs::remove_dir_all(&directory).map(|()| !empty),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    };
    // Fails while there are other laboratories.
    let _ = fs::remove_dir(ALL_LABS);
    removed.map_err(|source| file_error(&directory, source))
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

    #[test]
    fn a_lock_is_of_the_directory_that_is_there() {
        let above = tempfile::tempdir().unwrap();
        let directory = above.path().join("labs/one");
        let first = lock(&directory, Duration::ZERO).unwrap().unwrap();
        assert!(lock(&directory, Duration::ZERO).unwrap().is_none());
        // Two more have opened the directory when the first removes it; one finds none then, the other a new one.
        let [early, late] = [(); 2].map(|()| File::open(&directory).unwrap());
        fs::remove_dir(&directory).unwrap();
        drop(first);
        assert!(try_lock(early, &directory).unwrap().is_none());
        let second = lock(&directory, Duration::ZERO).unwrap().unwrap();
        assert!(try_lock(late, &directory).unwrap().is_none());
        let waiting = thread::spawn(move || lock(&directory, 20 * TRANSIENT).unwrap());
        thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        drop(second);
        assert!(waiting.join().unwrap().is_some());
    }
}
