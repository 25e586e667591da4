//! The secret that a cluster's agents share, from a file.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use s_core_proto::wire::{Key, KeyId};

/// The id of a key whose file gives none.
const DEFAULT_ID: KeyId = KeyId(1);
/// More than any key file has.
const MAX_LEN: u64 = 1024;

/// The key of laboratories, which is no secret: it is printed here for everybody to read.
///
/// Its id is 0, which no key file can have.
pub fn lab_key() -> Key {
    Key::new(KeyId(0), *b"S-CORE laboratory key, no secret")
}

/// Reads a key file: 64 hexadecimal digits, 256 bits drawn at random, or `ID:` and the digits with an id from 1 to 255.
///
/// The file must belong to this process's user or to root, and nobody else may have any access to it. Make one with
/// `(umask 077; printf '1:%s\n' "$(openssl rand -hex 32)" > key)`.
///
/// # Errors
///
/// [`KeyFileError`]; it never shows what the file holds.
pub fn read_key_file(path: &Path) -> Result<Key, KeyFileError> {
    let failed = |source| KeyFileError::Io {
        path: path.to_owned(),
        source,
    };
    // Without waiting, because to open a pipe may take for ever. What is looked at is what is read, whatever
    // the path leads to meanwhile.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(KeyFileError::NotAFile(path.to_owned()));
    }
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() != own && metadata.uid() != 0 {
        return Err(KeyFileError::Owner {
            path: path.to_owned(),
            owner: metadata.uid(),
        });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Permissions {
            path: path.to_owned(),
            mode,
        });
    }
    let mut text = String::new();
    file.take(MAX_LEN)
        .read_to_string(&mut text)
        .map_err(failed)?;
    parse(text.trim_end()).ok_or_else(|| KeyFileError::NoKey(path.to_owned()))
}

fn parse(text: &str) -> Option<Key> {
    let (id, digits) = match text.split_once(':') {
        Some((id, digits)) => (KeyId(id.parse().ok().filter(|id| *id > 0)?), digits),
        None => (DEFAULT_ID, text),
    };
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut secret = [0; 32];
    for (i, byte) in secret.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(Key::new(id, secret))
}

/// A key file that is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The system refuses.
    #[error("cannot read the key file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A directory, pipe or device.
    #[error("the key file {} is not a regular file; name one", .0.display())]
    NotAFile(PathBuf),
    /// Somebody else could have written it.
    #[error("the key file {} belongs to user {owner}; it must belong to the agent's user or to root", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner's number.
        owner: u32,
    },
    /// Others than its owner have access.
    #[error("the key file {} has mode {mode:o}, so that others than its owner have access; run chmod 600 on it", path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds something else.
    #[error("the key file {} does not hold 64 hexadecimal digits, or ID: and 64 of them with an id from 1 to 255", .0.display())]
    NoKey(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    const DIGITS: &str = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

    #[test]
    fn what_a_file_may_hold() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let check = |text: &str, wanted: Option<u8>| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            let id = read_key_file(&path).ok().map(|key| key.id().0);
            assert_eq!(id, wanted, "{text:?}");
        };
        check(DIGITS, Some(1));
        check(&format!("{DIGITS}\n"), Some(1));
        check(&format!("255:{DIGITS}\r\n"), Some(255));
        check(&format!("0:{DIGITS}"), None);
        check(&format!("256:{DIGITS}"), None);
        check(&format!("x:{DIGITS}"), None);
        check(&format!(" {DIGITS}"), None);
        check(&DIGITS[1..], None);
        check(&format!("{DIGITS}0"), None);
        check(&DIGITS.replace('a', "g"), None);
        check(&DIGITS.replacen("00", "+1", 1), None);
        check("", None);
        check(&DIGITS.repeat(100), None);
    }

    #[test]
    fn who_may_have_access() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, DIGITS).unwrap();
        for (mode, accepted) in [
            (0o600, true),
            (0o400, true),
            (0o700, true),
            (0o640, false),
            (0o620, false),
            (0o604, false),
            (0o601, false),
            (0o660, false),
            (0o644, false),
        ] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let read = read_key_file(&path);
            assert_eq!(read.is_ok(), accepted, "{mode:o}: {read:?}");
            if let Err(error) = read {
                assert!(error.to_string().contains("chmod 600"), "{error}");
            }
        }
    }

    #[test]
    fn what_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let error = read_key_file(dir.path()).unwrap_err();
        assert!(matches!(error, KeyFileError::NotAFile(_)));
        let error = read_key_file(&dir.path().join("none")).unwrap_err();
        assert!(matches!(error, KeyFileError::Io { .. }));
        let error = read_key_file(Path::new("/dev/null")).unwrap_err();
        assert!(matches!(error, KeyFileError::NotAFile(_)));
        // A pipe that nobody writes to is not waited for.
        let pipe = dir.path().join("pipe");
        let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).unwrap();
        let error = read_key_file(&pipe).unwrap_err();
        assert!(matches!(error, KeyFileError::NotAFile(_)));
    }

    /// A link leads to what is read, and that is what is looked at.
    #[test]
    fn links() {
        let dir = tempfile::tempdir().unwrap();
        let [key, link] = ["key", "link"].map(|name| dir.path().join(name));
        let check = |target: &Path, mode: u32, wanted: bool| {
            fs::write(&key, DIGITS).unwrap();
            fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
            std::os::unix::fs::symlink(target, &link).unwrap();
            let read = read_key_file(&link);
            assert_eq!(read.is_ok(), wanted, "{target:?} {mode:o}: {read:?}");
            fs::remove_file(&link).unwrap();
        };
        check(&key, 0o600, true);
        check(&key, 0o640, false);
        check(Path::new("key"), 0o600, true);
        check(Path::new("link"), 0o600, false);
        check(Path::new("none"), 0o600, false);
        check(dir.path(), 0o600, false);
    }
}
