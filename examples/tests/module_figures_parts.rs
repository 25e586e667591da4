//! The parts of `module-figures`, whose unit tests run here: cargo runs none of an example's.

#![allow(dead_code, reason = "the program uses them")]

#[path = "../examples/module-figures/decision/mod.rs"]
mod decision;
#[path = "../examples/module-figures/flow_table.rs"]
mod flow_table;
#[path = "../examples/module-figures/laboratory.rs"]
mod laboratory;
#[path = "../examples/module-figures/measure.rs"]
mod measure;
#[path = "../examples/module-figures/polling/mod.rs"]
mod polling;
#[path = "../examples/module-figures/progress.rs"]
mod progress;
#[path = "../examples/module-figures/report/mod.rs"]
mod report;
#[path = "../examples/module-figures/thesis.rs"]
mod thesis;
#[path = "../examples/module-figures/wire/mod.rs"]
mod wire;
