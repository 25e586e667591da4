//! A data centre of three servers and three VMs, to be called with.

use std::fs;
use std::path::PathBuf;

pub(crate) const SETTINGS: &str = "link_weights = [1, 10]\n";
pub(crate) const SERVERS: &str = "server,location,vm_slots,memory_mib
10.0.0.1,a1/r1,2,4096
10.0.0.2,a1/r2,2,4096
10.0.0.3,a2/r3,1,4096
";
pub(crate) const VMS: &str = "vm,server,memory_mib,name
10.1.0.1,10.0.0.1,1024,web
10.1.0.2,10.0.0.2,1024,it's a database
10.1.0.3,10.0.0.3,1024,
";
pub(crate) const TRAFFIC: &str = "vm_a,vm_b,bytes_per_second
10.1.0.1,10.1.0.2,300
10.1.0.2,10.1.0.3,100
";

pub(crate) struct Snapshot(tempfile::TempDir);

impl Snapshot {
    pub(crate) fn new() -> Self {
        let snapshot = Self(tempfile::tempdir().expect("a temporary directory"));
        snapshot
            .with("data-centre.toml", SETTINGS)
            .with("servers.csv", SERVERS)
            .with("vms.csv", VMS)
            .with("traffic.csv", TRAFFIC)
    }

    pub(crate) fn with(self, file: &str, text: impl AsRef<[u8]>) -> Self {
        fs::write(self.0.path().join(file), text).expect("the directory is writable");
        self
    }

    pub(crate) fn without(self, file: &str) -> Self {
        fs::remove_file(self.0.path().join(file)).expect("the file is there");
        self
    }

    pub(crate) fn dir(&self) -> &str {
        self.0.path().to_str().expect("temporary names are plain")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
