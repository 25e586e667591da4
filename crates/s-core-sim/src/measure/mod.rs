//! What the figures of chapter 5 show of a placement and of a run, as plain numbers.
//!
//! | figure | numbers |
//! |---|---|
//! | 5.1, 5.4: traffic between racks | [`RackTraffic`] |
//! | 5.2: cost over hops and time | [`CostCurve`] |
//! | 5.1.3: load per link level, hot racks, idle servers and racks | [`PlacementMeasures`] |
//! | 5.1.4: migrations per VM | [`migrations_per_vm`] |
//!
//! All of them can be written with serde and read back, so that runs on several machines make one report.
//!
//! ```
//! use s_core_sim::measure::Gauge;
//! use s_core_sim::{DataCentre, InitialPlacement, Instance};
//!
//! let snapshot = DataCentre {
//!     topology: "tree:2,2x2".parse()?,
//!     vm_slots: 4,
//!     vms: 24,
//!     ..DataCentre::thesis(InitialPlacement::RackLocal, 1)
//! }
//! .generate()?;
//! let model = snapshot.cost_model();
//! let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation())?;
//! let gauge = Gauge::new(&instance);
//! let measures = gauge.placement(snapshot.allocation());
//! assert_eq!((measures.servers, measures.idle_servers), (8, 0));
//! let between = gauge.rack_traffic(snapshot.allocation(), 256).expect("a tree has racks");
//! assert!(between.total() > 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod curve;
mod placement;
mod rack_traffic;
mod racks;

use crate::Migration;

pub use curve::{CostCurve, CostPoint};
pub use placement::{Gauge, PlacementMeasures, RackMeasures};
pub use rack_traffic::{InvalidRackTraffic, RackTraffic};

/// How many VMs migrated how often (5.1.4): entry *k* is the number of VMs with *k* migrations.
///
/// The entries add up to `vm_count`. O(VMs + migrations).
///
/// # Panics
///
/// If a migration is of a VM that is not below `vm_count`.
pub fn migrations_per_vm(vm_count: usize, migrations: &[Migration]) -> Vec<u64> {
    let mut of_vm = vec![0_usize; vm_count];
    for migration in migrations {
        of_vm[migration.vm.usize()] += 1;
    }
    let mut vms = vec![0; of_vm.iter().max().map_or(0, |most| most + 1)];
    for count in of_vm {
        vms[count] += 1;
    }
    vms
}
