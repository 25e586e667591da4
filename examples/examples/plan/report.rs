//! Plans as text.

use std::fmt::Write as _;

use comfy_table::Table;
use s_core_examples::Failure;
use s_core_examples::cli::{count, reduction_percent, si, table};
use s_core_model::Rate;
use s_core_sim::snapshot::Snapshot;
use s_core_sim::{Ended, Outcome};
use serde::Serialize;

use crate::plan::Plan;

/// Any value as JSON for people and programs.
pub(crate) fn json(value: &impl Serialize) -> Result<String, Failure> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(text)
}

/// The migrations of one plan, what they cost and save, and what each level of links carries.
pub(crate) fn plan(snapshot: &Snapshot, plan: &Plan) -> String {
    let mut text = String::new();
    let outcome = &plan.outcome;
    if outcome.migrations.is_empty() {
        writeln!(text, "{}\n", why_none(outcome.ended)).expect("a String takes any text");
    } else {
        text = format!("{}\n\n", migrations(snapshot, plan).trim_fmt());
    }
    let mut line = |name: &str, value: String| {
        writeln!(text, "{name:<15} {value}").expect("a String takes any text");
    };
    line("policy", plan.policy.to_string());
    line("initial cost", si(outcome.initial_cost));
    line("final cost", si(outcome.final_cost));
    line("reduction", format!("{:.2} %", plan.reduction_percent()));
    line("migrations", outcome.migrations.len().to_string());
    line(
        "token hops",
        format!(
            "{} in {}",
            outcome.token_hops,
            count(outcome.rounds, "round")
        ),
    );
    line("ended", ended(outcome));
    format!("{text}\n{}\n", loads(&plan.loads).trim_fmt())
}

fn migrations(snapshot: &Snapshot, plan: &Plan) -> Table {
    let mut rows = table(&[">step", "VM", "name", "from", "to", ">gain", ">cost after"]);
    for migration in &plan.outcome.migrations {
        rows.add_row([
            migration.step.to_string(),
            plan.allocation.vm_at(migration.vm).to_string(),
            snapshot.name(migration.vm).to_owned(),
            plan.allocation.server_at(migration.source).to_string(),
            plan.allocation.server_at(migration.target).to_string(),
            si(migration.gain),
            si(migration.total_cost),
        ]);
    }
    rows
}

/// Why a plan has no migration.
fn why_none(ended: Ended) -> &'static str {
    match ended {
        Ended::Settled => "No migration to a server with room is worth its cost.",
        Ended::MigrationLimit => "No migration is allowed: the limit is 0.",
        Ended::RoundLimit => "No migration in the rounds allowed.",
    }
}

fn ended(outcome: &Outcome) -> String {
    let (number, thing) = match outcome.ended {
        Ended::Settled => return "settled: a whole round has passed without a migration".into(),
        Ended::MigrationLimit => (outcome.migrations.len() as u64, "migration"),
        Ended::RoundLimit => (outcome.rounds, "round"),
    };
    let limit = count(number, thing);
    format!("at the limit of {limit}; there may be more to gain")
}

fn loads(loads: &[(Rate, Rate)]) -> Table {
    let mut rows = table(&["links of level", ">B/s before", ">B/s after", ">reduction"]);
    for (level, (before, after)) in (1..).zip(loads) {
        let [before, after] = [before, after].map(|load| load.bytes_per_second());
        let reduction = format!("{:.2} %", reduction_percent(before, after));
        rows.add_row([format!("{level}"), si(before), si(after), reduction]);
    }
    rows
}

/// Several plans side by side.
pub(crate) fn comparison(plans: &[Plan]) -> String {
    let mut rows = table(&[
        "policy",
        ">initial cost",
        ">final cost",
        ">reduction",
        ">migrations",
        ">token hops",
        ">rounds",
        "settled",
    ]);
    for plan in plans {
        rows.add_row([
            plan.policy.to_string(),
            si(plan.outcome.initial_cost),
            si(plan.outcome.final_cost),
            format!("{:.2} %", plan.reduction_percent()),
            plan.outcome.migrations.len().to_string(),
            plan.outcome.token_hops.to_string(),
            plan.outcome.rounds.to_string(),
            if plan.is_settled() { "yes" } else { "no" }.to_owned(),
        ]);
    }
    format!("{}\n", rows.trim_fmt())
}
