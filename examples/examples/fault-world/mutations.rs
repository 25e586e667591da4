//! Runs with a defect put back: does the fault world find it, by which invariant, and how soon?

use std::time::Instant;

use s_core_examples::Failure;
use s_core_examples::cli::{print, table};
use s_core_sim::fault_world::Defect;

/// The defect with this name.
pub(crate) fn defect(name: &str) -> Result<Defect, String> {
    let known = Defect::all().find(|defect| defect.name() == name);
    known.ok_or_else(|| {
        let names: Vec<String> = Defect::all().map(Defect::name).collect();
        format!("no such defect; there are {}", names.join(", "))
    })
}

/// Puts each defect back until a seed finds it.
pub(crate) fn all(first: u64, seeds: u64) -> Result<(), Failure> {
    let mut rows = table(&[
        "defect",
        "found by",
        ">after seeds",
        ">seed",
        ">event",
        ">s",
    ]);
    let mut missed = Vec::new();
    for defect in Defect::all() {
        let began = Instant::now();
        let found = defect.find(first, seeds);
        let took = format!("{:.1}", began.elapsed().as_secs_f64());
        match found {
            Some(found) => rows.add_row([
                defect.name(),
                found.violation.invariant.to_owned(),
                found.seeds.to_string(),
                found.seed.to_string(),
                found.violation.events.to_string(),
                took,
            ]),
            None => {
                missed.push(defect.name());
                let none = || "–".to_owned();
                rows.add_row([
                    defect.name(),
                    none(),
                    seeds.to_string(),
                    none(),
                    none(),
                    took,
                ])
            }
        };
    }
    print(&format!("{rows}\n"))?;
    if missed.is_empty() {
        Ok(())
    } else {
        let missed = missed.join(", ");
        Err(Failure::failed(format!(
            "not found in {seeds} seeds: {missed}"
        )))
    }
}
