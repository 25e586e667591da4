//! A dump from a file or standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use s_core_backend::ovs::{MacTable, dump};
use s_core_examples::Failure;

use crate::args::{Form, Saved};
use crate::report::{Names, Report, note, random_seed};

/// A longer dump is refused: this is some millions of flows.
const LONGEST: u64 = 1 << 30;

/// Reads the dump and writes one report.
pub(crate) fn run(source: &Saved, form: Form) -> Result<(), Failure> {
    let name = match source.file.to_str() {
        Some("-") => "standard input".to_owned(),
        _ => source.file.display().to_string(),
    };
    let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("{name}: {error}"));
    let bytes = read(&source.file).map_err(|error| failed(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let text_until = error.utf8_error().valid_up_to();
        let newlines = error.as_bytes()[..text_until]
            .iter()
            .filter(|b| **b == b'\n');
        failed(&format!(
            "line {}: this is not text; write a dump with 'ovs-appctl dpctl/dump-flows'",
            newlines.count() + 1
        ))
    })?;
    let seed = random_seed();
    let mut stations = MacTable::new(usize::MAX, seed);
    let reading = dump::read_dump(&text, seed, &mut stations).map_err(|error| failed(&error))?;
    for error in &reading.errors {
        note(&format!("{name}: {error}; the line is left out"));
    }
    let bytes = reading
        .poll
        .counters
        .iter()
        .map(|c| (c.src, c.dst, c.bytes));
    Report::new(bytes, &stations, reading.poll.unattributed, source.duration)
        .write(form, &Names::new())
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        io::stdin()
            .lock()
            .take(LONGEST + 1)
            .read_to_end(&mut bytes)?;
    } else {
        File::open(file)?
            .take(LONGEST + 1)
            .read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("longer than {LONGEST} bytes")));
    }
    Ok(bytes)
}
