//! The agent's configuration, its list of VMs, and key files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use s_core_agent::{ConfigFile, ConfigFileError, read_key_file};
use s_core_topology::LocationTable;
use tempfile::TempDir;

use crate::memory::bounded;

thread_local! {
    static DIR: TempDir = crate::scratch();
}

/// Reads an agent's configuration and its list of VMs, with a line `---` between them.
pub fn agent_config(data: &[u8]) {
    let [config, vms] = crate::files(data);
    DIR.with(|dir| {
        let path = dir.path().join("agent.toml");
        crate::write(&path, config);
        crate::write(&dir.path().join("vms"), vms);
        let settled = bounded(data.len(), || {
            let mut file = ConfigFile::read(&path)?;
            // An input must not name files of this host.
            (file.keys, file.lab) = (None, true);
            file.token.mint = Some("vms".into());
            file.hypervisor()?;
            drop(file.flow_source());
            file.agent_config(two_servers())
        });
        if let Err(error) = settled {
            check_error(&error, [config, vms]);
        }
    });
}

fn two_servers() -> LocationTable {
    let servers = [("10.0.0.1", "a1/r1"), ("10.0.0.2", "a1/r2")];
    let servers = servers.map(|(server, path)| (server.parse().expect("an address"), path));
    LocationTable::new(servers).expect("two locations")
}

/// An error is one line; a place that it names is in one of the files.
fn check_error(error: &ConfigFileError, files: [&[u8]; 2]) {
    assert!(!error.to_string().contains('\n'), "{error}");
    if let ConfigFileError::Content { line, column, .. } = error {
        let lines = |file: &[u8]| 1 + file.iter().filter(|byte| **byte == b'\n').count();
        assert!(
            files.iter().any(|file| *line <= lines(file)) && *column >= 1,
            "{error}"
        );
    }
}

/// Reads a key file.
pub fn key_file(data: &[u8]) {
    DIR.with(|dir| {
        let path = dir.path().join("key");
        let Some(key) = read_key(&path, data) else {
            return;
        };
        let upper = read_key(&path, &data.to_ascii_uppercase());
        assert_eq!(upper, Some(key), "digits mean the same in either case");
        assert!(data.len() >= 64, "256 bits have 64 digits");
    });
}

fn read_key(path: &Path, data: &[u8]) -> Option<s_core_proto::wire::Key> {
    crate::write(path, data);
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("a file of this process");
    bounded(data.len(), || read_key_file(path)).ok()
}
