//! Reading a snapshot directory.

use std::path::Path;
use std::str::FromStr;

use s_core_model::{Capacity, Placement, Rate};
use s_core_topology::LocationTable;

use super::build::{Place, build};
use super::error::{Problem, SnapshotError};
use super::settings::SettingsFile;
use super::table::{Table, shown};
use super::{SERVERS_FILE, ServerEntry, Snapshot, TRAFFIC_FILE, TrafficEntry, VMS_FILE, VmEntry};

const ADDRESS: &str = "an IPv4 address like 10.0.0.1";
const COUNT: &str = "a whole number from 0 to 4294967295";
const LARGE_COUNT: &str = "a whole number from 0 to 18446744073709551615";
const NUMBER: &str = "a number like 1250.5";

const SERVER_COLUMNS: [&str; 4] = ["server", "location", "vm_slots", "memory_mib"];

pub(super) fn read_locations(path: &Path) -> Result<LocationTable, SnapshotError> {
    let (file, servers) = Table::read(path.to_owned(), SERVER_COLUMNS, server)?;
    LocationTable::new(servers.iter().map(|s| (s.server, &s.location)))
        .map_err(|error| file.error(error.entry(), error.into()))
}

pub(super) fn read(dir: &Path) -> Result<Snapshot, SnapshotError> {
    let (settings_file, settings) = SettingsFile::read(dir)?;
    let (servers_file, servers) = Table::read(dir.join(SERVERS_FILE), SERVER_COLUMNS, server)?;
    let columns = ["vm", "server", "memory_mib", "name"];
    let (vms_file, vms) = Table::read(dir.join(VMS_FILE), columns, vm)?;
    let columns = ["vm_a", "vm_b", "bytes_per_second"];
    let (traffic_file, traffic) = Table::read(dir.join(TRAFFIC_FILE), columns, pair)?;
    build(settings, servers, vms, traffic).map_err(|fault| match fault.place {
        Place::Settings(key) => settings_file.error(key, fault.problem),
        Place::Server(row) => servers_file.error(row, fault.problem),
        Place::Vm(row) => vms_file.error(row, fault.problem),
        Place::Traffic(row) => traffic_file.error(row, fault.problem),
    })
}

fn field<T: FromStr>(column: &'static str, text: &str, wanted: &'static str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::Field {
        column,
        text: shown(text),
        wanted,
    })
}

fn server([server, location, vm_slots, memory_mib]: [&str; 4]) -> Result<ServerEntry, Problem> {
    Ok(ServerEntry {
        server: field("server", server, ADDRESS)?,
        location: location.to_owned(),
        capacity: Capacity {
            vm_slots: field("vm_slots", vm_slots, COUNT)?,
            memory_mib: field("memory_mib", memory_mib, LARGE_COUNT)?,
        },
    })
}

fn vm([vm, server, memory_mib, name]: [&str; 4]) -> Result<VmEntry, Problem> {
    Ok(VmEntry {
        placement: Placement {
            vm: field("vm", vm, ADDRESS)?,
            server: field("server", server, ADDRESS)?,
            memory_mib: field("memory_mib", memory_mib, COUNT)?,
        },
        name: name.to_owned(),
    })
}

fn pair([vm_a, vm_b, rate]: [&str; 3]) -> Result<TrafficEntry, Problem> {
    Ok(TrafficEntry {
        vm_a: field("vm_a", vm_a, ADDRESS)?,
        vm_b: field("vm_b", vm_b, ADDRESS)?,
        rate: Rate::new(field("bytes_per_second", rate, NUMBER)?)?,
    })
}
