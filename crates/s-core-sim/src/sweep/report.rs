//! What a run came to, and its files.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{RUN_FILE, RunSpec, SweepError};
use crate::result::{PLACEMENT_FILE, ProposalResult, RunResult, SUMMARY_FILE};
use crate::result::{write_files, write_proposal_files};

/// The largest `run.json` that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

const PROGRAM: &str = concat!("s-core-sim ", env!("CARGO_PKG_VERSION"));

/// A run and what it came to, `run.json`; costs as in Eq. 3.1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// The run.
    #[serde(rename = "parameters")]
    pub run: RunSpec,
    /// Whether it came to its own end and was not stopped on the way.
    pub complete: bool,
    /// The total cost before the first migration, in bytes per second times link weight.
    pub initial_cost: f64,
    /// The total cost at the end.
    pub final_cost: f64,
    /// How many migrations there were; 0 for strategies that do not move one VM at a time.
    pub migrations: u64,
    /// How many VMs are on another server than to begin with.
    pub vms_moved: u64,
    /// How many times a VM held the token; 0 for strategies without one.
    pub token_hops: u64,
    /// How many rounds of the policy were begun; 0 for strategies without any.
    pub rounds: u64,
    /// CPU seconds of the run alone, of all threads together; making the data centre up is not among them.
    pub seconds: f64,
}

impl RunReport {
    /// Reads the report in a run's directory, if it is one and has a [`RUN_FILE`].
    ///
    /// # Errors
    ///
    /// [`SweepError`] if it cannot be read or was not written by a sweep, or another file is missing.
    pub fn read(dir: impl AsRef<Path>) -> Result<Option<Self>, SweepError> {
        let dir = dir.as_ref();
        let path = dir.join(RUN_FILE);
        let damaged = |file, line, problem| SweepError::Damaged {
            path: dir.join(file),
            line,
            problem,
        };
        let mut bytes = Vec::new();
        match File::open(&path)
            .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(source) => return Err(SweepError::Read { path, source }),
            Ok(_) => {}
        }
        if bytes.len() as u64 > MAX_FILE_BYTES {
            let problem = format!("is larger than {MAX_FILE_BYTES} bytes");
            return Err(damaged(RUN_FILE, None, problem));
        }
        let not_json =
            |error: serde_json::Error| damaged(RUN_FILE, Some(error.line()), error.to_string());
        let Header { id, .. } = serde_json::from_slice(&bytes).map_err(not_json)?;
        let report: Self = serde_json::from_slice(&bytes).map_err(not_json)?;
        if id != report.run.id() {
            let problem = "the id is not that of the parameters".to_owned();
            return Err(damaged(RUN_FILE, None, problem));
        }
        match [PLACEMENT_FILE, SUMMARY_FILE]
            .iter()
            .find(|file| !dir.join(file).is_file())
        {
            Some(file) => Err(damaged(*file, None, "is missing".to_owned())),
            None => Ok(Some(report)),
        }
    }
}

/// `run.json`, which holds the report beside this.
#[derive(Serialize, Deserialize)]
struct Header {
    id: String,
    program: String,
}

#[derive(Serialize)]
struct RunFile<'a> {
    #[serde(flatten)]
    header: Header,
    #[serde(flatten)]
    report: &'a RunReport,
}

/// A run's report and the rest of its files.
#[derive(Debug)]
pub(super) struct Executed {
    pub(super) report: RunReport,
    pub(super) result: ResultFiles,
}

/// The files that a run has as any other does ([`crate::result`]).
#[derive(Debug)]
pub(super) enum ResultFiles {
    Token(RunResult),
    Strategy(ProposalResult),
}

impl Executed {
    /// Writes the files of a run into an empty directory and has them on disk before it returns.
    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        match &self.result {
            ResultFiles::Token(result) => write_files(result, dir)?,
            ResultFiles::Strategy(result) => write_proposal_files(result, dir)?,
        }
        let run = RunFile {
            header: Header {
                id: self.report.run.id(),
                program: PROGRAM.into(),
            },
            report: &self.report,
        };
        let mut file = File::create(dir.join(RUN_FILE)).map(BufWriter::new)?;
        serde_json::to_writer_pretty(&mut file, &run)?;
        writeln!(file)?;
        file.flush()?;
        // A directory that has its name must have its content, also after a power failure.
        for entry in dir.read_dir()? {
            File::open(entry?.path())?.sync_all()?;
        }
        Ok(())
    }
}
