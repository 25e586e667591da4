//! Tables for people.

use std::fmt::Write as _;
use std::time::Duration;

use s_core_examples::cli::{count, table};
use s_core_sim::fault_world::{Batch, Harm, Outcome, Sometimes};

/// What came of one seed.
pub(crate) fn seed(outcome: &Outcome) -> String {
    let mut text = format!(
        "seed {}: {}, {}, {}; trace hash {:016x}\n",
        outcome.seed,
        count(outcome.events, "event"),
        count(outcome.hops, "hop"),
        count(outcome.migrations, "migration"),
        outcome.trace_hash,
    );
    if let Some((took, bound)) = outcome.recovery {
        let _ = writeln!(
            text,
            "the lost token was back after {took:?}; the bound is {bound:?}"
        );
    }
    text
}

/// What the seeds of a batch add up to.
pub(crate) fn batch(batch: &Batch, took: Duration) -> String {
    let mut harms = table(&["what went wrong", ">times"]);
    for harm in Harm::ALL {
        harms.add_row([harm.name().to_owned(), batch.tally.of(harm).to_string()]);
    }
    let mut marks = table(&["what was seen", ">times"]);
    for mark in Sometimes::ALL {
        marks.add_row([mark.name().to_owned(), batch.marks.of(mark).to_string()]);
    }
    format!(
        "{harms}\n\n{marks}\n\n{} in {:.1} s: {}, {}, {}; {} losses at the end made good in at most {:.1?}, at worst {:.0} % of the bound\n",
        count(batch.seeds, "seed"),
        took.as_secs_f64(),
        count(batch.events, "event"),
        count(batch.hops, "hop"),
        count(batch.migrations, "migration"),
        batch.recoveries,
        batch.longest_recovery,
        100.0 * batch.worst_recovery,
    )
}
