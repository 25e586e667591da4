//! Snapshots: a data centre at one moment, as a directory of text files.
//!
//! | file | holds |
//! |---|---|
//! | `data-centre.toml` | [`Settings`]: link weights and what else concerns the whole data centre |
//! | `servers.csv` | `server,location,vm_slots,memory_mib`, a row per server |
//! | `vms.csv` | `vm,server,memory_mib,name`, a row per VM; a name may be empty |
//! | `traffic.csv` | `vm_a,vm_b,bytes_per_second`, a row per pair; a pair given twice, in either order, adds up |
//!
//! Servers and VMs are named by their IPv4 addresses. A location is the path from the core down to the
//! rack, e.g. `a1/g2/r17`: see [`LocationTable`]. Lines that start with `#` are comments. The columns of a
//! file may stand in any order; all must be there, and no others.
//!
//! ```
//! use s_core_sim::snapshot::Snapshot;
//!
//! # let dir = tempfile::tempdir()?;
//! # let dir = dir.path();
//! std::fs::write(dir.join("data-centre.toml"), "link_weights = [1, 10]\n")?;
//! std::fs::write(dir.join("servers.csv"), "server,location,vm_slots,memory_mib\n\
//!     10.0.0.1,a1/r1,2,4096\n\
//!     10.0.0.2,a2/r2,2,4096\n")?;
//! std::fs::write(dir.join("vms.csv"), "vm,server,memory_mib,name\n\
//!     10.1.0.1,10.0.0.1,1024,web\n\
//!     10.1.0.2,10.0.0.2,1024,database\n")?;
//! std::fs::write(dir.join("traffic.csv"), "vm_a,vm_b,bytes_per_second\n\
//!     10.1.0.1,10.1.0.2,5000\n")?;
//!
//! let snapshot = Snapshot::read(dir)?;
//! let cost = snapshot.cost_model().total_cost(snapshot.allocation(), snapshot.traffic());
//! assert_eq!(cost, 2.0 * 5000.0 * (1.0 + 10.0)); // Eq. 3.1 counts the pair at both its ends
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod build;
mod error;
mod names;
mod read;
mod settings;
mod table;
mod write;

use std::path::Path;

use s_core_model::{
    Allocation, Capacity, CostModel, LinkWeights, MigrationCost, Placement, Rate, ServerId,
    ServerIndex, TrafficMatrix, VmId, VmIndex,
};
use s_core_topology::LocationTable;

pub use error::{Problem, SnapshotError};
use names::Names;

use crate::probe::probe;
pub use settings::{Limits, Settings};
pub(crate) use table::{line_at, shown};

/// The name of the file of [`Settings`].
pub const DATA_CENTRE_FILE: &str = "data-centre.toml";
/// The name of the file of [`ServerEntry`]s.
pub const SERVERS_FILE: &str = "servers.csv";
/// The name of the file of [`VmEntry`]s.
pub const VMS_FILE: &str = "vms.csv";
/// The name of the file of [`TrafficEntry`]s.
pub const TRAFFIC_FILE: &str = "traffic.csv";

/// A row of `servers.csv`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerEntry {
    /// The server.
    pub server: ServerId,
    /// The path from the core down to its rack.
    pub location: String,
    /// What it can host in all.
    pub capacity: Capacity,
}

/// A row of `vms.csv`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VmEntry {
    /// The VM, its server and its memory.
    pub placement: Placement,
    /// What people call it; may be empty. White space around it is left out.
    pub name: String,
}

/// A row of `traffic.csv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TrafficEntry {
    /// One VM.
    pub vm_a: VmId,
    /// The other.
    pub vm_b: VmId,
    /// λ between them, both directions together.
    pub rate: Rate,
}

/// A data centre at one moment: where servers stand, who is where, and who talks to whom.
///
/// Always consistent: every VM is on a known server that has room for it, all traffic is between known VMs,
/// and there is a link weight for every level. Pairs without traffic are left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    settings: Settings,
    weights: LinkWeights,
    locations: LocationTable,
    capacities: Vec<Capacity>,
    allocation: Allocation,
    names: Names,
    traffic: TrafficMatrix,
}

impl Snapshot {
    /// A snapshot of these parts, rows in any order.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] if the parts contradict each other. It names the file that the part would be
    /// in, without a line.
    pub fn new(
        settings: Settings,
        servers: Vec<ServerEntry>,
        vms: Vec<VmEntry>,
        traffic: Vec<TrafficEntry>,
    ) -> Result<Self, SnapshotError> {
        Self::from_rows(settings, servers, vms, traffic)
    }

    /// As [`new`](Self::new), with rows that are made one by one: a million VMs need not be held twice.
    pub(crate) fn from_rows(
        settings: Settings,
        servers: Vec<ServerEntry>,
        vms: impl IntoIterator<Item = VmEntry>,
        traffic: impl IntoIterator<Item = TrafficEntry>,
    ) -> Result<Self, SnapshotError> {
        build::build(settings, servers, vms, traffic).map_err(build::Fault::without_line)
    }

    /// Reads a snapshot directory.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] names the file and line, what is wrong there and what to do about it.
    pub fn read(dir: impl AsRef<Path>) -> Result<Self, SnapshotError> {
        read::read(dir.as_ref())
    }

    /// Writes a snapshot directory that [`read`](Self::read) turns into an equal snapshot.
    ///
    /// The directory and those above it are made where they are missing. Files of an earlier snapshot are
    /// replaced, all others left alone; nothing is replaced before everything is written.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] if the directory is not empty and holds nothing of S-CORE, or cannot be written.
    pub fn write(&self, dir: impl AsRef<Path>) -> Result<(), SnapshotError> {
        write::write(self, dir.as_ref())
    }

    /// Looks whether a snapshot may be written there, by writing; leaves nothing behind. Ask before a long run.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] if the path is no directory, cannot be written, or is not empty and holds nothing of S-CORE.
    pub fn check_target(dir: impl AsRef<Path>) -> Result<(), SnapshotError> {
        let dir = dir.as_ref();
        write::check_target(dir)?;
        probe(dir).map_err(|error| SnapshotError::new(dir, None, Problem::Write(error)))
    }

    /// What concerns the whole data centre.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// c_1, c_2, …: at least one for every level of the locations.
    pub fn link_weights(&self) -> &LinkWeights {
        &self.weights
    }

    /// c_m of Eq. 3.2.
    pub fn migration_cost(&self) -> MigrationCost {
        self.settings.migration_cost
    }

    /// Where servers stand. Its server indices are those of the [allocation](Self::allocation).
    pub fn locations(&self) -> &LocationTable {
        &self.locations
    }

    /// What a server can host in all.
    ///
    /// # Panics
    ///
    /// If the index is not of this snapshot.
    pub fn capacity(&self, server: ServerIndex) -> Capacity {
        self.capacities[server.usize()]
    }

    /// Which server hosts which VM.
    pub fn allocation(&self) -> &Allocation {
        &self.allocation
    }

    /// What people call a VM; may be empty.
    ///
    /// # Panics
    ///
    /// If the index is not of this snapshot.
    pub fn name(&self, vm: VmIndex) -> &str {
        self.names.get(vm.usize())
    }

    /// λ for all pairs. Its VM indices are those of the [allocation](Self::allocation).
    pub fn traffic(&self) -> &TrafficMatrix {
        &self.traffic
    }

    /// Eq. 3.1 and 3.2 for this data centre.
    pub fn cost_model(&self) -> CostModel<&LocationTable> {
        CostModel::new(self.weights.clone(), &self.locations)
            .expect("there is a weight for every level")
    }
}

/// Reads the locations in a `servers.csv` that stands alone, as an agent's configuration names one.
///
/// # Errors
///
/// [`SnapshotError`] with file and line, as for a whole snapshot.
pub fn read_locations(path: impl AsRef<Path>) -> Result<LocationTable, SnapshotError> {
    read::read_locations(path.as_ref())
}
