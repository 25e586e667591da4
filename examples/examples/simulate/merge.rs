//! `simulate merge`: what many runs came to.

use std::path::PathBuf;

use clap::Args;
use s_core_examples::Failure;
use s_core_examples::cli::{count, print, si, table};
use s_core_sim::sweep::{Group, Merged, MergedRun, Spread, Sweep};

/// Puts the results of sweeps together, whatever machines they were made on.
///
/// Writes merged.csv, a row per run, and merged-groups.csv, a row per group of runs that differ in their seed
/// alone: means, standard deviations, extremes. A run that is in several directories counts once; where its
/// results differ nothing is written.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct MergeArgs {
    /// Directories that `simulate sweep` has written, or those of single runs
    #[arg(value_name = "DIR", required = true)]
    dirs: Vec<PathBuf>,
    /// Write merged.csv and merged-groups.csv there
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
    let sweep = args.sweep.as_ref().map(Sweep::read).transpose()?;
    let merged = Merged::read(&args.dirs)?;
    merged.write(&args.out)?;
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
    print(&report(&merged))
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

/// Means and spreads over seeds, group by group.
fn report(merged: &Merged) -> String {
    let mut rows = table(&[
        "topology",
        ">VMs",
        "placement",
        "method",
        "target choice",
        ">c_m",
        ">max. rounds",
        ">runs",
        ">final cost",
        ">reduction",
        ">migrations",
        ">rounds",
        ">CPU seconds",
        ">times reference",
    ]);
    let groups = merged.groups();
    for group in &groups {
        let run = group.parameters();
        let token = run.method.token();
        let text = |text: Option<String>| text.unwrap_or_default();
        rows.add_row([
            run.data_centre.topology.to_string(),
            run.data_centre.vms.to_string(),
            run.data_centre.placement_name().to_owned(),
            run.method.name().to_owned(),
            text(token.map(|token| token.target_choice.to_string())),
            text(token.map(|token| token.migration_cost.to_string())),
            text(
                token
                    .and_then(|token| token.max_rounds)
                    .map(|rounds| rounds.to_string()),
            ),
            group.runs.len().to_string(),
            spread(group, si, |run| Some(run.report.final_cost)),
            spread(
                group,
                |percent| format!("{percent:.2} %"),
                |run| Some(run.reduction_percent()),
            ),
            spread(
                group,
                |number| format!("{number:.1}"),
                |run| Some(run.report.migrations as f64),
            ),
            spread(
                group,
                |number| format!("{number:.1}"),
                |run| Some(run.report.rounds as f64),
            ),
            spread(
                group,
                |number| format!("{number:.3}"),
                |run| Some(run.report.seconds),
            ),
            spread(group, |number| format!("{number:.3}"), MergedRun::ratio),
        ]);
    }
    let (runs, groups) = (merged.runs().len() as u64, groups.len() as u64);
    format!(
        "{}, {} that differ in more than the seed; mean ± standard deviation\n{}\n",
        count(runs, "run"),
        count(groups, "group"),
        rows.trim_fmt(),
    )
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
