//! `simulate merge`: what many runs came to.

use std::path::PathBuf;

use clap::Args;
use s_core_examples::Failure;
use s_core_examples::cli::{count, print, si, table};
use s_core_sim::report::Document;
use s_core_sim::sweep::{Distinction, Group, Merged, MergedRun, Spread, Sweep};

/// Puts the results of sweeps together, whatever machines they were made on.
///
/// Writes merged.csv, a row per run, and merged-groups.csv, a row per group of runs that differ in their seed
/// alone: means, standard deviations, extremes; and report.html with these and the reduction over c_m. A run
/// that is in several directories counts once; where its results differ nothing is written.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct MergeArgs {
    /// Directories that `simulate sweep` has written, or those of single runs
    #[arg(value_name = "DIR", required = true)]
    dirs: Vec<PathBuf>,
    /// Write merged.csv, merged-groups.csv and report.html there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Say which of this sweep file's runs are missing
    #[arg(long, value_name = "FILE")]
    sweep: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  simulate merge /tmp/runs --out /tmp/merged
  simulate merge machine-1/runs machine-2/runs --out merged --sweep sweep.toml

Exit codes: 0 success, 1 failure, 2 wrong call.";

/// How many names a message lists.
const NAMES: usize = 3;

/// Does what the command says.
pub(crate) fn merge(args: &MergeArgs) -> Result<(), Failure> {
    Merged::check_target(&args.out)?;
    Document::check_target(&args.out)?;
    let sweep = args.sweep.as_ref().map(Sweep::read).transpose()?;
    let merged = Merged::read(&args.dirs)?;
    print(&report(&merged))?;
    merged.write(&args.out)?;
    merged.to_document().write(&args.out)?;
    if let Some(sweep) = sweep {
        let missing = merged.missing(&sweep).into_iter();
        warn(
            "missing",
            "do them with `simulate sweep`",
            &missing.collect::<Vec<_>>(),
        );
    }
    let partial = merged.partial().map(|run| run.path.display().to_string());
    warn(
        "partial and left out of the means",
        "the same `simulate sweep` does them again",
        &partial.collect::<Vec<_>>(),
    );
    Ok(())
}

fn warn(what: &str, advice: &str, names: &[String]) {
    if names.is_empty() {
        return;
    }
    let shown = names[..names.len().min(NAMES)].join(", ");
    let more = match names.len() {
        0..=NAMES => String::new(),
        all => format!(" and {} more", all - NAMES),
    };
    let runs = count(names.len() as u64, "run");
    eprintln!("warning: {runs} {what}: {shown}{more}; {advice}");
}

/// Means and spreads over seeds, group by group; what all groups have in common stands above.
fn report(merged: &Merged) -> String {
    let groups = merged.groups();
    let apart = Distinction::of(&groups);
    let results: Vec<_> = groups.iter().map(results).collect();
    let known = |column: &usize| results.iter().any(|row| !row[*column].is_empty());
    let known: Vec<usize> = (0..RESULTS.len()).filter(known).collect();
    let names = known.iter().map(|column| RESULTS[*column]);
    let mut table = table(
        &apart
            .columns
            .iter()
            .copied()
            .chain(names)
            .collect::<Vec<_>>(),
    );
    for (parameters, results) in apart.rows.iter().zip(&results) {
        let results = known.iter().map(|column| &results[*column]);
        table.add_row(parameters.iter().chain(results));
    }
    let shared = apart.shared.iter();
    let shared = shared.map(|(name, value)| format!("{name} {value}"));
    format!(
        "{} in {} of runs alike but for their seeds; mean ± standard deviation\n{}\n\n{}\n",
        count(merged.runs().len() as u64, "run"),
        count(groups.len() as u64, "group"),
        shared.collect::<Vec<_>>().join(", "),
        table.trim_fmt(),
    )
}

const RESULTS: [&str; 7] = [
    ">runs",
    ">final cost",
    ">reduction",
    ">VMs moved",
    ">rounds",
    ">CPU seconds",
    ">times reference",
];

fn results(group: &Group<'_>) -> [String; RESULTS.len()] {
    let percent: fn(f64) -> String = |percent| format!("{percent:.2} %");
    let tenths: fn(f64) -> String = |number| format!("{number:.1}");
    let thousandths: fn(f64) -> String = |number| format!("{number:.3}");
    [
        group.runs().len().to_string(),
        spread(group, si, |run| Some(run.report.final_cost)),
        spread(group, percent, |run| Some(run.reduction_percent())),
        spread(group, tenths, |run| Some(run.report.vms_moved as f64)),
        spread(group, tenths, |run| Some(run.report.rounds as f64)),
        spread(group, thousandths, |run| Some(run.report.seconds)),
        spread(group, thousandths, MergedRun::ratio),
    ]
}

/// Mean and, if there are several numbers, standard deviation.
fn spread(
    group: &Group<'_>,
    show: fn(f64) -> String,
    number: fn(&MergedRun) -> Option<f64>,
) -> String {
    match group.spread(number) {
        None => String::new(),
        Some(Spread { count: 1, mean, .. }) => show(mean),
        Some(Spread {
            mean, deviation, ..
        }) => format!("{} ± {}", show(mean), show(deviation)),
    }
}
