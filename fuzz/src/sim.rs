//! Snapshot files.

use s_core_sim::snapshot::{DATA_CENTRE_FILE, SERVERS_FILE, Snapshot, TRAFFIC_FILE, VMS_FILE};
use tempfile::TempDir;

use crate::memory::bounded;

thread_local! {
    static DIRS: [TempDir; 2] = [crate::scratch(), crate::scratch()];
}

/// Reads a snapshot: the files data-centre.toml, servers.csv, vms.csv and traffic.csv, with a line `---` between them.
pub fn snapshot(data: &[u8]) {
    let names = [DATA_CENTRE_FILE, SERVERS_FILE, VMS_FILE, TRAFFIC_FILE];
    DIRS.with(|[read, written]| {
        for (name, file) in names.iter().zip(crate::files::<4>(data)) {
            crate::write(&read.path().join(name), file);
        }
        match bounded(data.len(), || Snapshot::read(read.path())) {
            Ok(snapshot) => {
                snapshot
                    .write(written.path())
                    .expect("a scratch directory can be written");
                let again = Snapshot::read(written.path()).expect("what was written can be read");
                assert_eq!(again, snapshot, "read(write(x)) = x");
            }
            Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
        }
    });
}
