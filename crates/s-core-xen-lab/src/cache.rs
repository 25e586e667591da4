//! Where what was made once is kept: directories named after what went into them.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, DirEntry, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use s_core_lab::LabError;

use crate::record;

/// What the names begin with of what is made of changing inputs.
const MADE: [&str; 4] = ["system-", "guest-kernel-", "image-", "snapshot-"];
/// What all other names in a cache begin with; what has none of these is somebody else's.
const OWN: [&str; 3] = ["key", "target", "current"];
/// The extension of what is being made.
const PARTIAL: &str = "partial";
/// The link to the image in use.
const CURRENT: &str = "current";
/// How many hexadecimal digits of a hash make a name.
const DIGITS: usize = 16;

/// A directory with what was made once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    directory: PathBuf,
}

/// The right to change a cache, or that nobody else does, until it is dropped.
#[derive(Debug)]
pub(crate) struct CacheLock {
    _file: File,
}

impl Cache {
    /// `$XDG_CACHE_HOME/s-core-xen-lab`, or `/var/cache/s-core-xen-lab`.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn of_system() -> Result<Self, LabError> {
        Self::in_home(env::var_os("XDG_CACHE_HOME").map(PathBuf::from))
    }

    fn in_home(home: Option<PathBuf>) -> Result<Self, LabError> {
        let home = home.filter(|home| home.is_absolute());
        let home = home.unwrap_or_else(|| "/var/cache".into());
        Self::new(&home.join("s-core-xen-lab"))
    }

    /// The cache in this directory, which need not exist.
    ///
    /// # Errors
    ///
    /// [`LabError::Layout`] if the path has other characters than letters, digits, `/`, `.`, `_` and `-`: it becomes part
    /// of an emulator's options, where others have a meaning.
    pub fn new(directory: &Path) -> Result<Self, LabError> {
        let directory = std::path::absolute(directory).map_err(|source| LabError::File {
            path: directory.into(),
            source,
        })?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        let text = directory.to_str().filter(|text| text.chars().all(plain));
        match text {
            Some(_) => Ok(Self { directory }),
            None => Err(LabError::Layout {
                what: "cache",
                problem: format!(
                    "{} has other characters than letters, digits, /, ., _ and -",
                    directory.display()
                ),
            }),
        }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Makes the directory, and keeps other processes from changing what is in it, or from relying on it.
    pub(crate) fn lock(&self) -> Result<CacheLock, LabError> {
        fs::create_dir_all(&self.directory)
            .map_err(|source| file_error(&self.directory, source))?;
        self.locked(File::try_lock, "uses")
    }

    /// Keeps other processes from changing what is in it.
    pub(crate) fn share(&self) -> Result<CacheLock, LabError> {
        self.locked(File::try_lock_shared, "changes")
    }

    fn locked(
        &self,
        lock: fn(&File) -> Result<(), TryLockError>,
        other: &str,
    ) -> Result<CacheLock, LabError> {
        let error = |source| file_error(&self.directory, source);
        let file = File::open(&self.directory).map_err(error)?;
        match lock(&file) {
            Ok(()) => Ok(CacheLock { _file: file }),
            Err(TryLockError::Error(source)) => Err(error(source)),
            Err(TryLockError::WouldBlock) => Err(LabError::Content {
                path: self.directory.clone(),
                problem: format!(
                    "another process {other} what is in it: try again when it is done"
                ),
            }),
        }
    }

    /// The directory of `kind` for these inputs, made by `make` if it is not there. What could not be made leaves nothing.
    pub(crate) fn stage(
        &self,
        kind: &str,
        key: &Key,
        make: impl FnOnce(&Path) -> Result<(), LabError>,
    ) -> Result<PathBuf, LabError> {
        let path = self.path(&format!("{kind}-{}", key.name()));
        make_once(&path, make)?;
        Ok(path)
    }

    /// Removes what was made of other inputs than these paths.
    pub(crate) fn clean(&self, kept: &[PathBuf]) -> Result<(), LabError> {
        // By name alone: a directory may have several paths.
        let is_kept = |name: &OsStr| kept.iter().any(|path| path.iter().any(|part| part == name));
        let is_old = |entry: &DirEntry| begins(entry, &MADE) && !is_kept(&entry.file_name());
        let mut old = self.entries()?.into_iter().filter(is_old);
        old.try_for_each(|entry| remove(&entry.path()))
    }

    /// Takes this image into use.
    pub(crate) fn set_current(&self, image: &Path) -> Result<(), LabError> {
        let (link, new) = (self.path(CURRENT), self.path("current.new"));
        remove(&new)?;
        let target = image.file_name().unwrap_or_default();
        std::os::unix::fs::symlink(target, &new)
            .and_then(|()| fs::rename(&new, &link))
            .map_err(|source| file_error(&link, source))
    }

    /// The image in use.
    pub(crate) fn current(&self) -> Option<PathBuf> {
        fs::canonicalize(self.path(CURRENT)).ok()
    }

    /// Removes all that was made here, and the directory if nothing else is in it; whether there was anything.
    ///
    /// # Errors
    ///
    /// [`LabError::File`] if something remains; [`LabError::Content`] while another process builds here or starts hosts, and while
    /// a testbed's hosts run from it.
    pub fn remove(&self) -> Result<bool, LabError> {
        if !self.directory.is_dir() {
            return Ok(false);
        }
        let _lock = self.lock()?;
        let mut users = record::images()?.into_iter();
        if let Some((name, _)) = users.find(|(_, image)| self.holds(image.directory())) {
            return Err(LabError::Content {
                path: self.directory.clone(),
                problem: format!(
                    "the hosts of testbed {name} run from here: remove it first (xen-lab down --name {name})"
                ),
            });
        }
        let mut found = false;
        for entry in self.entries()? {
            if begins(&entry, &MADE) || begins(&entry, &OWN) {
                remove(&entry.path())?;
                found = true;
            }
        }
        // Fails if something of somebody else's is in it.
        let _ = fs::remove_dir(&self.directory);
        Ok(found)
    }

    /// Whether something finished with such a name is in it.
    pub(crate) fn has(&self, begin: &str) -> bool {
        let is_partial =
            |entry: &DirEntry| entry.path().extension().is_some_and(|of| of == PARTIAL);
        let entries = self.entries().unwrap_or_default();
        (entries.iter()).any(|entry| begins(entry, &[begin]) && !is_partial(entry))
    }

    /// Whether this directory lies in it.
    pub(crate) fn holds(&self, directory: &Path) -> bool {
        let identity = |path: &Path| fs::metadata(path).map(|of| (of.dev(), of.ino())).ok();
        let above = directory.parent().and_then(identity);
        above.is_some() && above == identity(&self.directory)
    }

    fn entries(&self) -> Result<Vec<DirEntry>, LabError> {
        let entries = fs::read_dir(&self.directory);
        let entries = entries.map_err(|source| file_error(&self.directory, source))?;
        Ok(entries.flatten().collect())
    }
}

fn begins(entry: &DirEntry, with: &[&str]) -> bool {
    let name = entry.file_name();
    let name = name.to_string_lossy();
    with.iter().any(|own| name.starts_with(own))
}

/// Makes a directory by `make` if it is not there. What could not be made leaves nothing.
pub(crate) fn make_once(
    path: &Path,
    make: impl FnOnce(&Path) -> Result<(), LabError>,
) -> Result<(), LabError> {
    if path.is_dir() {
        return Ok(());
    }
    let partial = path.with_extension(PARTIAL);
    remove(&partial)?;
    fs::create_dir_all(&partial).map_err(|source| file_error(&partial, source))?;
    let made = make(&partial)
        .and_then(|()| fs::rename(&partial, path).map_err(|source| file_error(path, source)));
    if made.is_err() {
        // What went wrong first is more interesting.
        let _ = remove(&partial);
    }
    made
}

/// Removes a file or a directory with all that is in it, if it exists.
pub(crate) fn remove(path: &Path) -> Result<(), LabError> {
    let is_directory = path.symlink_metadata().is_ok_and(|of| of.is_dir());
    let removed = if is_directory {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error(path, error)),
        _ => Ok(()),
    }
}

pub(crate) fn file_error(path: &Path, source: io::Error) -> LabError {
    LabError::File {
        path: path.to_owned(),
        source,
    }
}

/// What goes into something that is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Key(blake3::Hasher);

impl Key {
    pub(crate) fn with(mut self, input: impl AsRef<[u8]>) -> Self {
        let input = input.as_ref();
        // With its length, no two sequences of inputs are the same bytes.
        self.0.update(&(input.len() as u64).to_le_bytes());
        self.0.update(input);
        self
    }

    pub(crate) fn with_file(self, path: &Path) -> Result<Self, LabError> {
        let content = fs::read(path).map_err(|source| file_error(path, source))?;
        Ok(self.with(content))
    }

    pub(crate) fn name(&self) -> String {
        let mut name = self.0.finalize().to_hex().to_string();
        name.truncate(DIGITS);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_made_once_and_not_by_halves() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(&directory.path().join("cache")).unwrap();
        let key = Key::default().with("a").with("b");
        let fails = cache.stage("system", &key, |at| {
            fs::write(at.join("half"), "").unwrap();
            Err(LabError::Missing("something".into()))
        });
        assert_eq!(fails.unwrap_err().to_string(), "something");
        let make = |at: &Path| {
            fs::write(at.join("whole"), "").unwrap();
            Ok(())
        };
        let made = cache.stage("system", &key, make).unwrap();
        assert!(made.join("whole").exists() && !made.join("half").exists());
        let again = cache.stage("system", &key, |_| panic!("it is there"));
        assert_eq!(again.unwrap(), made);
        assert_ne!(key.name(), Key::default().with("ab").with("").name());
        cache.set_current(&made).unwrap();
        cache.set_current(&made).unwrap();
        assert_eq!(cache.current(), Some(fs::canonicalize(&made).unwrap()));
    }

    #[test]
    fn what_is_not_used_goes() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path()).unwrap();
        let made = [
            "system-1",
            "image-1",
            "image-2",
            "image-3.partial",
            "snapshot-1",
        ];
        for name in made.iter().chain(&["target", "key", "images"]) {
            fs::create_dir_all(directory.path().join(name).join("part")).unwrap();
        }
        cache
            .clean(&[cache.path("system-1"), cache.path("image-2/base.img")])
            .unwrap();
        let mut left: Vec<_> = (cache.entries().unwrap().iter())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["image-2", "images", "key", "system-1", "target"]);
        let other = tempfile::tempdir().unwrap();
        assert!(cache.holds(&cache.path("image-2")) && cache.holds(&cache.path("image-1")));
        assert!(!cache.holds(&other.path().join("image-2")));
        assert!(!cache.holds(Path::new("/nowhere/at/all/image-2")));
    }

    #[test]
    fn nobody_changes_what_others_rely_on() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path()).unwrap();
        let shared = [cache.share().unwrap(), cache.share().unwrap()];
        let refused = cache.lock().unwrap_err().to_string();
        assert!(refused.contains("another process uses"), "{refused}");
        drop(shared);
        let _lock = cache.lock().unwrap();
        let refused = cache.share().unwrap_err().to_string();
        assert!(refused.contains("another process changes"), "{refused}");
    }

    #[test]
    fn only_what_is_ours_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path()).unwrap();
        fs::write(directory.path().join("thesis.txt"), "").unwrap();
        cache.stage("system", &Key::default(), |_| Ok(())).unwrap();
        assert!(cache.remove().unwrap());
        assert!(!cache.remove().unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn paths_with_a_meaning_are_refused() {
        for (path, fits) in [
            ("/var/cache/x-1_2.d", true),
            ("/var/a,b", false),
            ("/var/a b", false),
            ("/var/ä", false),
        ] {
            assert_eq!(Cache::new(Path::new(path)).is_ok(), fits, "{path}");
            assert_eq!(Cache::in_home(Some(path.into())).is_ok(), fits, "{path}");
        }
        for home in [None, Some("relative,".into())] {
            let cache = Cache::in_home(home).unwrap();
            assert_eq!(cache.directory(), Path::new("/var/cache/s-core-xen-lab"));
        }
    }
}
