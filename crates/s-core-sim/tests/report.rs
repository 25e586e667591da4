//! Figures and reports: what is drawn, that it is always the same, and how it is written.

mod study;

use s_core_sim::{DataCentre, InitialPlacement};
use study::study;

/// To look at: the report of the thesis's data centre.
#[test]
#[ignore = "takes a while; draws the report of the thesis's data centre into the build directory"]
fn draw_the_thesis() {
    let dir = concat!(env!("CARGO_TARGET_TMPDIR"), "/report");
    let study = study(&DataCentre::thesis(InitialPlacement::Random, 1));
    study.write(dir).unwrap();
    let bytes = std::fs::metadata(format!("{dir}/report.html"))
        .unwrap()
        .len();
    println!("{dir}/report.html: {bytes} bytes");
}
