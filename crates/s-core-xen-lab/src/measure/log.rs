//! The file of migrations: each is written when it has ended, and a later call goes on from there.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::attempt::milliseconds;
use super::row::COLUMNS;
use super::{Hosts, MeasureError, Row, Settings};
use crate::run::Transport;

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
        let mut rows = csv::Reader::from_reader(&text.as_bytes()[..whole]);
        if whole > 0 {
            let header = rows.headers();
            let header = header.map_err(|problem| MeasureError::content(path, problem))?;
            check_columns(header).map_err(|problem| MeasureError::content(path, problem))?;
        }
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

    /// Whether migrations of this VM between these hosts, in this manner, may stand beside those that are there: else they would
    /// become one figure.
    ///
    /// # Errors
    ///
    /// [`MeasureError::Content`] names the line that differs and in what.
    pub fn check(&self, hosts: &Hosts, settings: &Settings) -> Result<(), MeasureError> {
        let [one, other] = hosts.names();
        let pairs = [[one, other], [other, one]];
        let probe_ms = milliseconds(settings.probe);
        // The header is the first line.
        for (line, row) in (2..).zip(&self.rows) {
            let [source, target] = [row.source.as_str(), &row.target];
            let there = if !pairs.contains(&[source, target]) {
                format!("between {source} and {target}")
            } else if row.vm != hosts.vm {
                format!("of the VM {}", row.vm)
            } else if row.transport != hosts.transport {
                format!("with transport {}", name(row.transport))
            } else if row.probe_ms != probe_ms {
                format!("with a probe every {} ms", row.probe_ms)
            } else {
                continue;
            };
            let wanted = format!(
                "{} between {one} and {other}, transport {}, a probe every {probe_ms} ms",
                hosts.vm,
                name(hosts.transport)
            );
            return Err(MeasureError::content(
                &self.path,
                format!(
                    "line {line} is a migration {there}, and wanted are those of {wanted}: choose another directory"
                ),
            ));
        }
        Ok(())
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

const fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Stream => "stream",
        Transport::Ssh => "ssh",
    }
}

fn check_columns(header: &csv::StringRecord) -> Result<(), String> {
    let absent = COLUMNS
        .iter()
        .find(|name| header.iter().all(|of| of != **name));
    match absent {
        None => Ok(()),
        Some(absent) => Err(format!(
            "has no column {absent}: it is not a file of migrations, or was written by another version; choose another directory"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::attempt::tests::settings;
    use super::super::row::tests::row;
    use super::*;

    const HEADER: &str = "began,load_percent,load_mbit,vm,transport,source,target,outcome,bytes,seconds,downtime_ms,longest_gap_ms,probe_ms,memory_mib,\
                          dirty_mb_per_second,problem\n";

    #[test]
    fn it_is_read_back_and_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/migrations.csv");
        let mut log = Log::open(&path).unwrap();
        assert!(log.rows().is_empty());
        log.append(row(30)).unwrap();
        drop(log);
        let line = "1700000000,30,30.0,v1,stream,root@xen1,root@xen2,moved,43123456,5.9,2900.0,,10.0,40,0.125,\"none, \"\"in\"\" truth\"\n";
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
            ("a,b\n1,2\n", "has no column began: "),
            (
                &format!(
                    "{}1,30,,a,b,moved,,,,,10,40,0,\n",
                    HEADER.replace("vm,transport,", "")
                ),
                "has no column vm: it is not a file of migrations, or was written by another version",
            ),
            (
                &format!("{HEADER}x,30,,v,stream,a,b,moved,,,,,10,40,0,\n"),
                "line: 2",
            ),
            (
                &format!("{HEADER}1,30,,v,stream,a,b,gone,,,,,10,40,0,\n"),
                "gone",
            ),
        ] {
            fs::write(&path, text).unwrap();
            let refused = Log::open(&path).unwrap_err().to_string();
            assert!(refused.contains(says), "{refused}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn only_like_stands_beside_like() {
        const HOSTS: &str = "vm = 'v1'\naddress = '10.0.1.1'\nlink_mbit = 100\n\
                             host = [{ ssh = 'root@xen1', address = '10.0.0.1' }, { ssh = 'root@xen2', address = '10.0.0.2' }]\n";
        let directory = tempfile::tempdir().unwrap();
        let mut log = Log::open(&directory.path().join("migrations.csv")).unwrap();
        let settings = Settings {
            probe: Duration::from_millis(10),
            ..settings()
        };
        for load in [0, 10] {
            log.append(row(load)).unwrap();
        }
        let check = |log: &Log, hosts: &str| {
            let checked = log.check(&Hosts::parse(hosts).unwrap(), &settings);
            checked.map_err(|error| error.to_string())
        };
        assert_eq!(check(&log, HOSTS), Ok(()));
        for (from, to, says) in [
            (
                "'root@xen2'",
                "'xen3'",
                "line 2 is a migration between root@xen1 and root@xen2, and",
            ),
            ("vm = 'v1'", "vm = 'v2'", "of the VM v1"),
            ("vm =", "transport = 'ssh'\nvm =", "with transport stream"),
        ] {
            let refused = check(&log, &HOSTS.replace(from, to)).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
        // The VM came back; the probes were others.
        let (mut back, mut often) = (row(20), row(20));
        (back.source, back.target) = (back.target, back.source);
        often.probe_ms = 1.0;
        log.append(back).unwrap();
        assert_eq!(check(&log, HOSTS), Ok(()));
        log.append(often).unwrap();
        let refused = check(&log, HOSTS).unwrap_err();
        assert!(
            refused.contains("line 5 is a migration with a probe every 1 ms"),
            "{refused}"
        );
    }
}
