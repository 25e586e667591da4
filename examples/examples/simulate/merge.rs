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

/// Means and spreads over seeds, group by group; a parameter that all groups share stands above.
fn report(merged: &Merged) -> String {
    let groups = merged.groups();
    let parameters: Vec<_> = groups.iter().map(parameters).collect();
    let results: Vec<_> = groups.iter().map(results).collect();
    let cells = parameters.iter().zip(&results);
    let rows: Vec<Vec<String>> = cells.map(|(a, b)| [&a[..], b].concat()).collect();
    let header = [&PARAMETERS[..], &RESULTS].concat();
    let varies = |column: &usize| {
        rows.iter().any(|row| row[*column] != rows[0][*column])
            || (*column >= PARAMETERS.len() && rows.iter().any(|row| !row[*column].is_empty()))
    };
    let (shown, shared): (Vec<usize>, Vec<usize>) = (0..header.len()).partition(varies);
    let names: Vec<&str> = shown.iter().map(|column| header[*column]).collect();
    let mut table = table(&names);
    for row in &rows {
        table.add_row(shown.iter().map(|column| row[*column].as_str()));
    }
    let first = rows.first();
    let value = |column: &usize| first.map_or("", |row| row[*column].as_str());
    let shared = shared.iter().filter(|column| !value(column).is_empty());
    let shared = shared.map(|column| {
        let name = header[*column].trim_start_matches('>');
        format!("{name} {}", value(column))
    });
    format!(
        "{} in {} of runs alike but for their seeds; mean ± standard deviation\n{}\n\n{}\n",
        count(merged.runs().len() as u64, "run"),
        count(groups.len() as u64, "group"),
        shared.collect::<Vec<_>>().join(", "),
        table.trim_fmt(),
    )
}

const PARAMETERS: [&str; 11] = [
    "topology",
    ">VM slots",
    ">VMs",
    ">flows per VM",
    ">windows",
    ">VMs per application",
    "placement",
    "method",
    "target choice",
    ">c_m",
    ">rounds at most",
];

fn parameters(group: &Group<'_>) -> [String; PARAMETERS.len()] {
    let run = group.parameters();
    let (data_centre, token) = (&run.data_centre, run.method.token());
    let text = |text: Option<String>| text.unwrap_or_default();
    let rounds = token.and_then(|token| token.max_rounds);
    [
        data_centre.topology.to_string(),
        data_centre.vm_slots.to_string(),
        data_centre.vms.to_string(),
        data_centre.flows_per_vm.to_string(),
        data_centre.windows.to_string(),
        text(data_centre.vms_per_application.map(|vms| vms.to_string())),
        data_centre.placement_name().to_owned(),
        run.method.name().to_owned(),
        text(token.map(|token| token.target_choice.to_string())),
        text(token.map(|token| token.migration_cost.to_string())),
        text(rounds.map(|rounds| rounds.to_string())),
    ]
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
        group.runs.len().to_string(),
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
