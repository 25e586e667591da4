//! The highest mark that an agent has seen, on disk (rule R1).

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use s_core_token::Mark;

/// The first words of the file; the number is the format's version.
const MAGIC: &str = "s-core-mark 1";
/// More than any file of this format has.
const MAX_LEN: u64 = 256;

/// The directory in which an agent keeps its highest mark, locked against a second agent.
///
/// The mark is one line of text: `s-core-mark 1`, its 20 bytes and a checksum of them in hexadecimal.
/// [`store`](Self::store) replaces the file as a whole, so that a crash at any moment leaves the old mark or the new.
#[derive(Debug)]
pub(crate) struct MarkFile {
    dir: PathBuf,
    path: PathBuf,
    staged: PathBuf,
    /// Held, not used: the lock goes with it.
    _lock: File,
}

impl MarkFile {
    /// Opens the directory, making it if it is missing, and reads the mark; none was stored on the very first start.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Option<Mark>), MarkFileError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| MarkFileError::Io { path, source }
        };
        make_dir(dir).map_err(failed(dir))?;
        let lock_path = dir.join("lock");
        let lock = File::create(&lock_path).map_err(failed(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(MarkFileError::InUse(dir.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(&lock_path)(source)),
        }
        let path = dir.join("mark");
        let mark = read(&path)?;
        let marks = Self {
            dir: dir.to_owned(),
            staged: dir.join("mark.new"),
            path,
            _lock: lock,
        };
        Ok((marks, mark))
    }

    /// Makes a mark durable; when this returns without an error, the mark survives a crash of the host.
    pub(crate) fn store(&self, mark: Mark) -> Result<(), MarkFileError> {
        let stored = || {
            let mut file = File::create(&self.staged)?;
            file.write_all(line(mark).as_bytes())?;
            file.sync_all()?;
            fs::rename(&self.staged, &self.path)?;
            File::open(&self.dir)?.sync_all()
        };
        stored().map_err(|source| MarkFileError::Io {
            path: self.path.clone(),
            source,
        })
    }
}

/// Makes a directory, with those above it, so that a crash of the host leaves it there.
fn make_dir(dir: &Path) -> io::Result<()> {
    let named = |path: &&Path| !path.as_os_str().is_empty();
    let missing: Vec<_> = dir
        .ancestors()
        .filter(named)
        .take_while(|path| !path.exists())
        .collect();
    fs::create_dir_all(dir)?;
    for made in missing {
        let parent = made.parent().filter(named).unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

fn line(mark: Mark) -> String {
    let bytes = mark.to_bytes();
    let checksum = blake3::hash(&bytes).to_hex();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{MAGIC} {hex} {}\n", &checksum[..16])
}

fn read(path: &Path) -> Result<Option<Mark>, MarkFileError> {
    let mut text = Vec::new();
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened,
    };
    file.and_then(|file| file.take(MAX_LEN).read_to_end(&mut text))
        .map_err(|source| MarkFileError::Io {
            path: path.to_owned(),
            source,
        })?;
    let damaged = || MarkFileError::Damaged(path.to_owned());
    let mark = parse(&text).ok_or_else(damaged)?;
    Ok(Some(mark))
}

/// The mark of a file that is exactly what [`line`] makes.
fn parse(text: &[u8]) -> Option<Mark> {
    let text = std::str::from_utf8(text).ok()?;
    let hex = text.strip_prefix(MAGIC)?.strip_prefix(' ')?;
    let mut bytes = [0; Mark::LEN];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    let mark = Mark::from_bytes(bytes);
    (line(mark) == text).then_some(mark)
}

/// The highest mark cannot be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MarkFileError {
    /// The system refuses.
    #[error("cannot keep the highest mark in {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another agent has the directory.
    #[error("{} is in use by another agent; give each agent a state_dir of its own", .0.display())]
    InUse(PathBuf),
    /// The file holds no mark with a right checksum.
    #[error(
        "{} is damaged, so it is not known which tokens this server has acted on; \
         remove it only when no token has been on its way for longer than the data centre's longest migration",
        .0.display()
    )]
    Damaged(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;
    use s_core_model::ServerId;

    fn mark() -> Mark {
        let epoch = Mark::default().new_epoch(ServerId::new(0x0a00_0001));
        epoch.unwrap().next().unwrap()
    }

    #[test]
    fn a_restart_finds_the_last_mark() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("made/when/missing");
        let (marks, found) = MarkFile::open(&state).unwrap();
        assert_eq!(found, None);
        marks.store(mark()).unwrap();
        marks.store(mark().next().unwrap()).unwrap();
        assert!(matches!(
            MarkFile::open(&state),
            Err(MarkFileError::InUse(_))
        ));
        drop(marks);
        let (_, found) = MarkFile::open(&state).unwrap();
        assert_eq!(found, mark().next());
    }

    #[test]
    fn every_damage_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mark");
        let good = line(mark());
        let check = |text: &str| {
            fs::write(&path, text).unwrap();
            let error = MarkFile::open(dir.path()).unwrap_err();
            assert!(matches!(error, MarkFileError::Damaged(_)), "{text:?}");
        };
        for end in 0..good.len() {
            check(&good[..end]);
        }
        for (at, wrong) in [(0, "S"), (12, "2"), (20, "7"), (60, "z")] {
            let mut text = good.clone();
            assert_ne!(&text[at..=at], wrong);
            text.replace_range(at..=at, wrong);
            check(&text);
        }
        check(&format!("{good}\n"));
        check(&good.to_uppercase());
        fs::write(&path, good).unwrap();
        assert_eq!(MarkFile::open(dir.path()).unwrap().1, Some(mark()));
    }
}
