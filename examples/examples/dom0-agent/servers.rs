//! The `servers.csv` that a configuration names.

use std::path::Path;

use s_core_examples::Failure;
use s_core_model::ServerId;
use s_core_topology::LocationTable;
use serde::Deserialize;

/// The columns of the snapshot format; an agent learns capacities from its own hypervisor.
#[derive(Deserialize)]
struct Row {
    server: ServerText,
    location: String,
}

/// An address, so that what is wrong with one is told with its line.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct ServerText(ServerId);

impl TryFrom<String> for ServerText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = text.parse().map(Self);
        parsed.map_err(|_| format!("server {text:.40} is not an IPv4 address"))
    }
}

/// Reads which server stands where.
pub(crate) fn read(path: &Path) -> Result<LocationTable, Failure> {
    let at = |line: u64, problem: &dyn std::fmt::Display| {
        Failure::failed(format!("{}:{line}: {problem}", path.display()))
    };
    let reader = csv::ReaderBuilder::new()
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_path(path);
    let mut reader = reader
        .map_err(|error| Failure::failed(format!("{}: cannot be read: {error}", path.display())))?;
    let mut entries = Vec::new();
    for row in reader.deserialize::<Row>() {
        let line = |error: &csv::Error| error.position().map_or(1, csv::Position::line);
        let row = row.map_err(|error| {
            at(
                line(&error),
                &format!("{error}; a row is server,location,vm_slots,memory_mib"),
            )
        })?;
        entries.push((row.server.0, row.location));
    }
    LocationTable::new(entries).map_err(|error| {
        let row = error.entry().map_or(0, |entry| entry + 1);
        Failure::failed(format!("{}: row {row}: {error}", path.display()))
    })
}
