//! Figures and reports: chapter 5 drawn anew.
//!
//! A [`study::Study`] is the numbers of runs; it makes a [`Document`] of itself, one HTML page that opens from disk, follows
//! the reader's choice of light or dark, and prints. [`Figure`]s are plain data that can be had as SVG and as CSV.
//! The same data gives the same bytes.
//!
//! ```
//! use s_core_sim::report::{Axis, Chart, Course, Figure, Line, LineChart, Panel};
//!
//! let line = Line {
//!     name: "round-robin".into(),
//!     points: vec![(0.0, 100.0), (10.0, 20.0), (30.0, 15.0)],
//!     course: Course::Step,
//! };
//! let figure = Figure {
//!     name: "cost".into(),
//!     title: "Cost over time".into(),
//!     description: "The cost falls fast, then slowly.".into(),
//!     palette: Vec::new(),
//!     columns: 1,
//!     panels: vec![Panel {
//!         title: String::new(),
//!         chart: Chart::Lines(LineChart {
//!             x: Axis::linear("seconds"),
//!             y: Axis::linear("cost"),
//!             series: vec![line],
//!             references: Vec::new(),
//!         }),
//!     }],
//! };
//! assert!(figure.to_svg().contains("<title id=\"cost-title\">Cost over time</title>"));
//! assert!(figure.to_csv().ends_with("round-robin,30,15\n"));
//! ```

mod axes;
mod bars;
mod document;
mod figure;
mod heat;
mod line;
pub mod number;
mod scale;
pub mod study;
mod svg;
mod table;
mod write;

pub use bars::{BarChart, Bars, RowChart, Written};
pub use document::{Block, Document, Section};
pub use figure::{Chart, Figure, Panel};
pub use heat::HeatMap;
pub use line::{Course, Line, LineChart, Reference};
pub use scale::{Axis, Spread};
pub use table::{Cell, Table};
pub use write::WriteReportError;

pub use crate::result::{FIGURES_DIR, REPORT_FILE};
