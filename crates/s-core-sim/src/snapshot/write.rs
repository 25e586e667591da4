//! Writing a snapshot directory.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use s_core_model::Levels;

use super::error::{Problem, SnapshotError};
use super::{DATA_CENTRE_FILE, SERVERS_FILE, Snapshot, TRAFFIC_FILE, VMS_FILE, settings};

/// A directory with one of these holds a snapshot or a result of S-CORE.
const OWN_FILES: [&str; 3] = [DATA_CENTRE_FILE, "summary.json", "placement.csv"];

/// The beginning of the name of the directory inside the target that files are first written to.
const STAGE: &str = ".snapshot-";

pub(super) fn write(snapshot: &Snapshot, dir: &Path) -> Result<(), SnapshotError> {
    let failed = |error| SnapshotError::new(dir, None, Problem::Write(error));
    let exists = check_target(dir)?;
    fs::create_dir_all(dir).map_err(failed)?;
    let stage = dir.join(format!("{STAGE}{}", std::process::id()));
    let written = write_files(snapshot, &stage).and_then(|()| publish(&stage, dir));
    // Whatever happened, nothing unfinished stays; the first error is the one to report.
    let removed = fs::remove_dir_all(&stage);
    if written.is_err() && !exists {
        drop(fs::remove_dir(dir));
    }
    written.and(removed).map_err(failed)
}

/// Whether the directory exists; refuses one that is not empty and not S-CORE's.
pub(super) fn check_target(dir: &Path) -> Result<bool, SnapshotError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries,
    };
    let names: io::Result<Vec<_>> = entries.and_then(|entries| {
        entries
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect()
    });
    let names = names.map_err(|error| SnapshotError::new(dir, None, Problem::Write(error)))?;
    let own = |name: &std::ffi::OsString| OWN_FILES.iter().any(|own| name == own);
    let leftover = |name: &std::ffi::OsString| name.to_string_lossy().starts_with(STAGE);
    if names.is_empty() || names.iter().any(|name| own(name) || leftover(name)) {
        Ok(true)
    } else {
        Err(SnapshotError::new(dir, None, Problem::ForeignDirectory))
    }
}

fn write_files(snapshot: &Snapshot, stage: &Path) -> io::Result<()> {
    match fs::remove_dir_all(stage) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::create_dir(stage)?;
    fs::write(
        stage.join(DATA_CENTRE_FILE),
        settings::to_toml(&snapshot.settings),
    )?;
    write_servers(snapshot, File::create(stage.join(SERVERS_FILE))?)?;
    write_vms(snapshot, File::create(stage.join(VMS_FILE))?)?;
    write_traffic(snapshot, File::create(stage.join(TRAFFIC_FILE))?)
}

/// Without settings there is no snapshot: they go first and come last, so that no mix of two looks whole.
fn publish(stage: &Path, dir: &Path) -> io::Result<()> {
    match fs::remove_file(dir.join(DATA_CENTRE_FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    for file in [SERVERS_FILE, VMS_FILE, TRAFFIC_FILE, DATA_CENTRE_FILE] {
        fs::rename(stage.join(file), dir.join(file))?;
    }
    Ok(())
}

fn write_servers(snapshot: &Snapshot, file: File) -> io::Result<()> {
    let mut rows = csv::Writer::from_writer(file);
    rows.write_record(["server", "location", "vm_slots", "memory_mib"])?;
    for server in snapshot.allocation.servers() {
        let capacity = snapshot.capacity(server);
        rows.write_record([
            snapshot.locations.server_at(server).to_string().as_str(),
            snapshot.locations.location(server),
            &capacity.vm_slots.to_string(),
            &capacity.memory_mib.to_string(),
        ])?;
    }
    rows.flush()
}

fn write_vms(snapshot: &Snapshot, file: File) -> io::Result<()> {
    let allocation = &snapshot.allocation;
    let mut rows = csv::Writer::from_writer(file);
    rows.write_record(["vm", "server", "memory_mib", "name"])?;
    for vm in allocation.vms() {
        rows.write_record([
            allocation.vm_at(vm).to_string().as_str(),
            &allocation.server_at(allocation.host(vm)).to_string(),
            &allocation.memory_mib(vm).to_string(),
            snapshot.name(vm),
        ])?;
    }
    rows.flush()
}

fn write_traffic(snapshot: &Snapshot, file: File) -> io::Result<()> {
    let vm = |index| snapshot.allocation.vm_at(index);
    let mut rows = BufWriter::new(file);
    writeln!(rows, "vm_a,vm_b,bytes_per_second")?;
    for (a, b, rate) in snapshot.traffic.pairs() {
        writeln!(rows, "{},{},{:?}", vm(a), vm(b), rate.bytes_per_second())?;
    }
    rows.flush()
}
