//! The fault world proves itself: each defect that is put back is found, within the seeds of one CI run.

use s_core_sim::fault_world::{Defect, Options, run};

const SEEDS: u64 = 2000;

#[test]
fn every_defect_is_found() {
    assert!(Defect::all().count() >= 12);
    for defect in Defect::all() {
        let found = defect.find(1, SEEDS);
        let Some(found) = found else {
            panic!("{defect} is not found in {SEEDS} seeds");
        };
        // The seed finds the defect, and nothing else.
        let seed = found.seed;
        let options = Options {
            defect: Some(defect),
            ..Options::default()
        };
        assert_eq!(run(seed, &options).violation, Some(found.violation));
        assert_eq!(run(seed, &Options::default()).violation, None);
    }
}
