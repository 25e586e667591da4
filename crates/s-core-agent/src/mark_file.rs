//! What an agent still has to know after a crash, on disk: the highest mark it has seen (rule R1), and the migrations
//! whose end it does not know.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use s_core_model::{ServerId, VmId};
use s_core_proto::{Durable, OpenMigration};
use s_core_token::Mark;

/// The first words of the file; the number is the format's version.
const MAGIC: &str = "s-core-mark 2";
/// Those of a file of the first version, which held a mark alone.
const MAGIC_1: &str = "s-core-mark 1";
/// The most migrations that a file holds.
pub(crate) const MAX_MIGRATIONS: usize = 1024;
/// A VM, a target and a mark, in bytes.
const MIGRATION_LEN: usize = 4 + 4 + Mark::LEN;
/// More than any file of this format has.
const MAX_LEN: u64 = 64 + 2 * (Mark::LEN + MAX_MIGRATIONS * MIGRATION_LEN) as u64;
/// How many hexadecimal digits of the checksum are written.
const CHECKSUM_DIGITS: usize = 16;

/// The directory in which an agent keeps its highest mark and its open migrations, locked against a second agent.
///
/// The file is one line of text: `s-core-mark 2`; in hexadecimal the 20 bytes of the mark and for each migration
/// VM, target and mark; the first 16 digits of the BLAKE3 hash of all before. In version 1, which is still read, only
/// the mark was there and hashed. [`store`](Self::store) replaces the file as a whole, so that a crash at any moment
/// leaves what was there before or what is new.
#[derive(Debug)]
pub(crate) struct MarkFile {
    dir: PathBuf,
    path: PathBuf,
    staged: PathBuf,
    /// Held, not used: the lock goes with it.
    _lock: File,
}

impl MarkFile {
    /// Opens the directory, making it if it is missing, and reads what is there; nothing on the very first start.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Option<Durable>), MarkFileError> {
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
        let found = read(&path)?;
        let marks = Self {
            dir: dir.to_owned(),
            staged: dir.join("mark.new"),
            path,
            _lock: lock,
        };
        Ok((marks, found))
    }

    /// Makes this durable; when it returns without an error, it survives a crash of the host.
    pub(crate) fn store(&self, durable: &Durable) -> Result<(), MarkFileError> {
        let stored = || {
            let mut file = File::create(&self.staged)?;
            file.write_all(line(durable).as_bytes())?;
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

fn line(durable: &Durable) -> String {
    let mut text = format!("{MAGIC} {}", hex(&durable.mark.to_bytes()));
    for migration in &durable.migrations {
        text += &hex(&migration.vm.get().to_be_bytes());
        text += &hex(&migration.target.get().to_be_bytes());
        text += &hex(&migration.mark.to_bytes());
    }
    let checksum = checksum(text.as_bytes());
    format!("{text} {checksum}\n")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn checksum(bytes: &[u8]) -> String {
    let mut digits = blake3::hash(bytes).to_hex().to_string();
    digits.truncate(CHECKSUM_DIGITS);
    digits
}

fn read(path: &Path) -> Result<Option<Durable>, MarkFileError> {
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
    let durable = parse(&text).ok_or_else(damaged)?;
    Ok(Some(durable))
}

/// What a file holds that is exactly what [`line`] makes, or made in the first version.
fn parse(text: &[u8]) -> Option<Durable> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(rest) = text.strip_prefix(MAGIC_1) {
        let bytes = unhex(rest.strip_prefix(' ')?.get(..2 * Mark::LEN)?)?;
        let mark = Mark::from_bytes(bytes.try_into().ok()?);
        return (line_1(mark) == text).then(|| mark.into());
    }
    let (digits, _) = text
        .strip_prefix(MAGIC)?
        .strip_prefix(' ')?
        .split_once(' ')?;
    let bytes = unhex(digits)?;
    let (mark, rest) = bytes.split_first_chunk()?;
    let (migrations, rest) = rest.as_chunks::<MIGRATION_LEN>();
    if !rest.is_empty() {
        return None;
    }
    let durable = Durable {
        mark: Mark::from_bytes(*mark),
        migrations: migrations.iter().map(migration).collect(),
    };
    (line(&durable) == text).then_some(durable)
}

fn line_1(mark: Mark) -> String {
    let bytes = mark.to_bytes();
    format!("{MAGIC_1} {} {}\n", hex(&bytes), checksum(&bytes))
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    rest.is_empty()
        .then(|| pairs.iter().map(byte).collect())
        .flatten()
}

fn migration(bytes: &[u8; MIGRATION_LEN]) -> OpenMigration {
    let word = |at: usize| {
        let word = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        u32::from_be_bytes(word)
    };
    let mut mark = [0; Mark::LEN];
    mark.copy_from_slice(&bytes[8..]);
    OpenMigration {
        vm: VmId::new(word(0)),
        target: ServerId::new(word(4)),
        mark: Mark::from_bytes(mark),
    }
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
    /// The file has no right checksum, or is longer than any that an agent writes.
    #[error(
        "{} is damaged, so it is not known which tokens this server has acted on and which of its VMs may have left; \
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

    fn durable(migrations: u32) -> Durable {
        let migration = |n| OpenMigration {
            vm: VmId::new(0x0a01_0000 + n),
            target: ServerId::new(0x0a00_0002),
            mark: mark(),
        };
        Durable {
            mark: mark().next().unwrap(),
            migrations: (0..migrations).map(migration).collect(),
        }
    }

    #[test]
    fn a_restart_finds_what_was_stored_last() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("made/when/missing");
        let (marks, found) = MarkFile::open(&state).unwrap();
        assert_eq!(found, None);
        marks.store(&mark().into()).unwrap();
        marks.store(&durable(2)).unwrap();
        assert!(matches!(
            MarkFile::open(&state),
            Err(MarkFileError::InUse(_))
        ));
        drop(marks);
        for migrations in [0, u32::try_from(MAX_MIGRATIONS).unwrap()] {
            let (marks, _) = MarkFile::open(&state).unwrap();
            marks.store(&durable(migrations)).unwrap();
            drop(marks);
            let (_, found) = MarkFile::open(&state).unwrap();
            assert_eq!(found, Some(durable(migrations)));
        }
    }

    #[test]
    fn the_files_of_both_versions_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let check = |text: &str, expected: Durable| {
            fs::write(dir.path().join("mark"), text).unwrap();
            assert_eq!(MarkFile::open(dir.path()).unwrap().1, Some(expected));
        };
        check(
            "s-core-mark 1 00000000000000010a0000010000000000000001 5f8c189fc676af07\n",
            mark().into(),
        );
        check(
            "s-core-mark 2 00000000000000010a00000100000000000000020a0100000a000002\
             00000000000000010a0000010000000000000001 83b89faed6bde091\n",
            durable(1),
        );
    }

    #[test]
    fn every_damage_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mark");
        let check = |text: &str| {
            fs::write(&path, text).unwrap();
            let error = MarkFile::open(dir.path()).unwrap_err();
            assert!(matches!(error, MarkFileError::Damaged(_)), "{text:?}");
        };
        for good in [line(&durable(1)), line(&durable(0)), line_1(mark())] {
            for end in 0..good.len() {
                check(&good[..end]);
            }
            let last = good.len() - 2;
            for at in [0, 12, 20, 60, last] {
                for wrong in ["S", "1", "2", "7", "z", "+"] {
                    let mut text = good.clone();
                    text.replace_range(at..=at, wrong);
                    if text != good {
                        check(&text);
                    }
                }
            }
            check(&format!("{good}\n"));
            check(&good.to_uppercase());
        }
        let too_many = durable(u32::try_from(MAX_MIGRATIONS).unwrap() + 2);
        check(&line(&too_many));
    }
}
