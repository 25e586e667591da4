//! Whether a directory can be written to.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Finds out whether files can be written into a directory, or into the nearest one above it if it is missing; leaves nothing
/// behind. As root, or where the directory was made before, only writing shows that it can be written.
pub(crate) fn probe(dir: &Path) -> io::Result<()> {
    let existing = dir.ancestors().find(|dir| dir.symlink_metadata().is_ok());
    let existing = existing.unwrap_or(Path::new("."));
    let file = existing.join(format!(".probe-{}", std::process::id()));
    File::create(&file)?;
    match fs::remove_file(&file) {
        // Another thread of this process has removed it after its own look.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
