//! Made-up data centres: their traffic has the properties of thesis 5.1.1, and all is the same everywhere.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod data_centre;
mod dynamic;
mod golden;
mod matrix;
mod odd_sizes;
mod reductions;

use s_core_sim::{DataCentre, InitialPlacement};

/// 10 racks of 4 servers with 3 VM slots each.
fn small(placement: InitialPlacement, vms: u32, seed: u64) -> DataCentre {
    DataCentre {
        topology: "tree:2,5x4".parse().unwrap(),
        vm_slots: 3,
        vms,
        link_weights: vec![1.0, 2.0],
        ..DataCentre::thesis(placement, seed)
    }
}
