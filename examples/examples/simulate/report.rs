//! What came out, as text.

use s_core_examples::cli::{count, reduction_percent, si, table};
use s_core_model::Levels;
use s_core_sim::chapter5::Findings;
use s_core_sim::report::study::Scenario;
use s_core_sim::snapshot::Snapshot;

/// The data centre in a line, the policies side by side, and below them what they are compared with.
pub(crate) fn report(snapshot: &Snapshot, findings: &Findings) -> String {
    let mut text = format!("{}\n{}\n", data_centre(snapshot), policies(findings));
    if !findings.proposals.is_empty() {
        text += &format!("\n{}\n", proposals(&findings.scenario));
    }
    text
}

fn policies(findings: &Findings) -> String {
    let mut rows = table(&[
        "policy",
        ">initial cost",
        ">final cost",
        ">reduction",
        ">migrations",
        ">VMs moved",
        ">token hops",
        ">rounds",
        ">CPU seconds",
    ]);
    for (run, result) in findings.scenario.policies.iter().zip(&findings.runs) {
        let summary = &result.summary;
        let reduction = reduction_percent(summary.initial_cost, summary.final_cost);
        rows.add_row([
            run.label().into_owned(),
            si(summary.initial_cost),
            si(summary.final_cost),
            format!("{reduction:.2} %"),
            run.migrations.to_string(),
            run.moved.to_string(),
            summary.token_hops.to_string(),
            summary.rounds.to_string(),
            format!("{:.3}", summary.seconds),
        ]);
    }
    rows.trim_fmt()
}

fn proposals(scenario: &Scenario) -> String {
    let mut rows = table(&[
        "compared with",
        ">final cost",
        ">reduction",
        ">migrations",
        ">VMs moved",
        ">CPU seconds",
    ]);
    for run in scenario.references.iter().chain(&scenario.peers) {
        let reduction = reduction_percent(scenario.before.cost, run.after.cost);
        rows.add_row([
            run.label().into_owned(),
            si(run.after.cost),
            format!("{reduction:.2} %"),
            run.migrations.to_string(),
            run.moved.to_string(),
            format!("{:.3}", run.cpu_seconds),
        ]);
    }
    rows.trim_fmt()
}

fn data_centre(snapshot: &Snapshot) -> String {
    let locations = snapshot.locations();
    let pairs = snapshot.traffic().pair_count();
    format!(
        "{} in {}, {}, {} that {} data",
        count(locations.server_count() as u64, "server"),
        count(locations.rack_count() as u64, "rack"),
        count(snapshot.allocation().vm_count() as u64, "VM"),
        count(pairs as u64, "pair"),
        if pairs == 1 { "exchanges" } else { "exchange" },
    )
}

/// What the report is of.
pub(crate) fn facts(snapshot: &Snapshot, findings: &Findings) -> Vec<(String, String)> {
    let mut call = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect::<Vec<_>>();
    call.insert(0, "simulate".into());
    let seed = findings.runs.iter().find_map(|run| run.summary.seed);
    let mut facts = vec![
        ("Command".into(), call.join(" ")),
        ("Data centre".into(), data_centre(snapshot)),
        (
            "Version".into(),
            format!("s-core {}", env!("CARGO_PKG_VERSION")),
        ),
    ];
    facts.extend(seed.map(|seed| ("Seed".into(), seed.to_string())));
    facts
}
