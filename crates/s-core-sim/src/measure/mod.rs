//! What the figures of chapter 5 show of a placement and of a run, as plain numbers.
//!
//! | figure | numbers |
//! |---|---|
//! | 5.1, 5.4: traffic between racks | [`RackTraffic`] |
//! | 5.2: cost over hops and time | [`CostCurve`] |
//! | 5.1.3: load per link level, hot racks, idle servers and racks | [`PlacementMeasures`] |
//! | 5.1.4: migrations per VM | [`Stability`](crate::Stability) |
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

pub use curve::{CostCurve, CostPoint};
pub use placement::{Gauge, PlacementMeasures, RackMeasures};
pub use rack_traffic::{InvalidRackTraffic, RackTraffic};
