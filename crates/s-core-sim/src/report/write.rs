//! A report's files.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::document::{Document, GENERATOR};
use super::{FIGURES_DIR, REPORT_FILE};

/// The beginning of the name of the directory inside the target that files are first written to.
const STAGE: &str = ".report-";

/// A report knows itself within so many bytes.
const HEAD: u64 = 256;

impl Document {
    /// Looks whether a report may be written into a directory; writes nothing. Ask before a long run.
    ///
    /// # Errors
    ///
    /// [`WriteReportError`] if the path is a file, or there is a `report.html` or a `figures` that is not of a report.
    pub fn check_target(dir: impl AsRef<Path>) -> Result<(), WriteReportError> {
        refuse_foreign(dir.as_ref())
    }

    /// Writes [`REPORT_FILE`] and, as SVG and CSV in [`FIGURES_DIR`], its figures into a directory, in place of the report
    /// that was there.
    ///
    /// The directory and those above it are made where they are missing. Nothing is replaced before everything is
    /// written; other files in the directory are left alone.
    ///
    /// # Errors
    ///
    /// [`WriteReportError`] if that fails, or there is a `report.html` or a `figures` that is not of a report.
    pub fn write(&self, dir: impl AsRef<Path>) -> Result<(), WriteReportError> {
        let dir = dir.as_ref();
        refuse_foreign(dir)?;
        let stage = dir.join(format!("{STAGE}{}", std::process::id()));
        let written = fs::create_dir_all(&stage)
            .and_then(|()| self.write_files(&stage))
            .and_then(|()| put_in_place(&stage, dir));
        // Whatever happened, nothing unfinished stays; the first error is the one to report.
        let removed = match fs::remove_dir_all(&stage) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        };
        written.and(removed).map_err(|source| WriteReportError::Io {
            path: dir.to_owned(),
            source,
        })
    }

    fn write_files(&self, stage: &Path) -> io::Result<()> {
        let figures = stage.join(FIGURES_DIR);
        fs::create_dir(&figures)?;
        for figure in self.figures() {
            fs::write(
                figures.join(format!("{}.svg", figure.name)),
                figure.to_svg(),
            )?;
            fs::write(
                figures.join(format!("{}.csv", figure.name)),
                figure.to_csv(),
            )?;
        }
        let mut report = File::create(stage.join(REPORT_FILE))?;
        report.write_all(self.to_html().as_bytes())?;
        report.flush()
    }
}

/// Figures of before go into the stage, from where they are removed with it.
fn put_in_place(stage: &Path, dir: &Path) -> io::Result<()> {
    match fs::rename(dir.join(FIGURES_DIR), stage.join("figures-before")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    for name in [FIGURES_DIR, REPORT_FILE] {
        fs::rename(stage.join(name), dir.join(name))?;
    }
    Ok(())
}

/// Whether what would be replaced is something else than a report.
fn refuse_foreign(dir: &Path) -> Result<(), WriteReportError> {
    let report = dir.join(REPORT_FILE);
    let figures = dir.join(FIGURES_DIR);
    for (path, is_ours) in [
        (report, is_report as fn(&Path) -> _),
        (figures, holds_figures),
    ] {
        match is_ours(&path) {
            Ok(true) => {}
            Ok(false) => return Err(WriteReportError::Foreign(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(WriteReportError::NotADirectory(dir.to_owned()));
            }
            Err(source) => return Err(WriteReportError::Io { path, source }),
        }
    }
    Ok(())
}

fn is_report(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    Ok(String::from_utf8_lossy(&head).contains(GENERATOR))
}

fn holds_figures(path: &Path) -> io::Result<bool> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(false);
    }
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        if !file
            .extension()
            .is_some_and(|kind| kind == "svg" || kind == "csv")
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A report cannot be written. Shown as one line: the path, what is wrong, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteReportError {
    /// What would be replaced is no report.
    #[error("{}: is not of a report of S-CORE; name another directory", .0.display())]
    Foreign(PathBuf),
    /// The path is a file.
    #[error("{}: is not a directory; name another path", .0.display())]
    NotADirectory(PathBuf),
    /// A file or directory cannot be read or written.
    #[error("{}: cannot be written: {source}; name another directory, or make this one writable", path.display())]
    Io {
        /// The directory of the report, or the file in it that cannot be read.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}
