//! The file of migrations: each is written when it has ended, and a later call goes on from there.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{MeasureError, Row};

/// The most octets that a file may have: some hundred thousand migrations.
const MOST_FILE: u64 = 64 << 20;

/// A file of migrations (CSV), open to add more.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    rows: Vec<Row>,
}

impl Log {
    /// Opens a file and reads what it holds; makes it, with its directory, if there is none. A last line without an end, as after a
    /// power cut, is taken away.
    ///
    /// # Errors
    ///
    /// [`MeasureError::File`] if it cannot be used or another process has it open here, [`MeasureError::Content`] with the line if it holds something else.
    pub fn open(path: &Path) -> Result<Self, MeasureError> {
        let error = |source| MeasureError::File {
            path: path.into(),
            source,
        };
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(error)?;
        }
        let mut options = File::options();
        let file = options.append(true).read(true).create(true).open(path);
        let file = file.map_err(error)?;
        file.try_lock()
            .map_err(|refused| error(io::Error::from(refused)))?;
        if file.metadata().map_err(error)?.len() > MOST_FILE {
            let problem = format!("has more than {MOST_FILE} octets");
            return Err(MeasureError::content(path, problem));
        }
        let text = fs::read_to_string(path).map_err(error)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64).map_err(error)?;
        let rows = csv::Reader::from_reader(&text.as_bytes()[..whole]);
        let rows: Result<Vec<Row>, _> = rows.into_deserialize().collect();
        Ok(Self {
            rows: rows.map_err(|problem| MeasureError::content(path, problem))?,
            path: path.into(),
            file,
        })
    }

    /// All migrations, as they were made.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Adds one; it is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// [`MeasureError::File`].
    pub fn append(&mut self, row: Row) -> Result<(), MeasureError> {
        self.write(&row).map_err(|source| MeasureError::File {
            path: self.path.clone(),
            source,
        })?;
        self.rows.push(row);
        Ok(())
    }

    fn write(&mut self, row: &Row) -> io::Result<()> {
        let is_first = self.file.metadata()?.len() == 0;
        let mut line = csv::WriterBuilder::new()
            .has_headers(is_first)
            .from_writer(Vec::new());
        line.serialize(row)?;
        let line = line.into_inner().map_err(|error| error.into_error())?;
        self.file.write_all(&line)?;
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::*;

    const HEADER: &str = "began,load_percent,load_mbit,source,target,outcome,bytes,seconds,downtime_ms,longest_gap_ms,probe_ms,memory_mib,\
                          dirty_mb_per_second,problem\n";

    #[test]
    fn it_is_read_back_and_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/migrations.csv");
        let mut log = Log::open(&path).unwrap();
        assert!(log.rows().is_empty());
        log.append(row(30)).unwrap();
        drop(log);
        let line = "1700000000,30,30.0,root@xen1,root@xen2,moved,43123456,5.9,2900.0,,10.0,40,0.125,\"none, \"\"in\"\" truth\"\n";
        let whole = format!("{HEADER}{line}");
        assert_eq!(fs::read_to_string(&path).unwrap(), whole);
        // Cut within a second line.
        fs::write(&path, format!("{whole}{}", &line[..20])).unwrap();
        let mut log = Log::open(&path).unwrap();
        assert_eq!(log.rows(), [row(30)]);
        log.append(row(40)).unwrap();
        drop(log);
        assert_eq!(Log::open(&path).unwrap().rows(), [row(30), row(40)]);
        // Cut within the header.
        fs::write(&path, "began,lo").unwrap();
        let mut log = Log::open(&path).unwrap();
        log.append(row(30)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), whole);
        let held = Log::open(&path).unwrap_err().to_string();
        assert!(held.contains("migrations.csv: "), "{held}");
    }

    #[test]
    fn another_file_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("other.csv");
        for (text, says) in [
            ("a,b\n1,2\n", "line: 2"),
            (
                &format!("{HEADER}x,30,,a,b,moved,,,,,10,40,0,\n"),
                "line: 2",
            ),
            (&format!("{HEADER}1,30,,a,b,gone,,,,,10,40,0,\n"), "gone"),
        ] {
            fs::write(&path, text).unwrap();
            let refused = Log::open(&path).unwrap_err().to_string();
            assert!(refused.contains(says), "{refused}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
