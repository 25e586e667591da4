//! Runs as text.

use s_core_examples::cli::{count, reduction_percent, si, table};
use s_core_model::Levels;
use s_core_sim::snapshot::Snapshot;

use crate::Run;

/// The data centre in a line, and the policies side by side.
pub(crate) fn report(snapshot: &Snapshot, runs: &[Run]) -> String {
    let mut rows = table(&[
        "policy",
        ">initial cost",
        ">final cost",
        ">reduction",
        ">migrations",
        ">token hops",
        ">rounds",
        ">CPU seconds",
    ]);
    for Run { outcome, result } in runs {
        let reduction = reduction_percent(outcome.initial_cost, outcome.final_cost);
        rows.add_row([
            result.summary.policy.to_string(),
            si(outcome.initial_cost),
            si(outcome.final_cost),
            format!("{reduction:.2} %"),
            outcome.migrations.len().to_string(),
            outcome.token_hops.to_string(),
            outcome.rounds.to_string(),
            format!("{:.3}", outcome.cpu_time.as_secs_f64()),
        ]);
    }
    let locations = snapshot.locations();
    let pairs = snapshot.traffic().pair_count();
    format!(
        "{} in {}, {}, {} that {} data\n{}\n",
        count(locations.server_count() as u64, "server"),
        count(locations.rack_count() as u64, "rack"),
        count(snapshot.allocation().vm_count() as u64, "VM"),
        count(pairs as u64, "pair"),
        if pairs == 1 { "exchanges" } else { "exchange" },
        rows.trim_fmt(),
    )
}
