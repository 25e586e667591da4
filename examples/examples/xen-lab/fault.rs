//! `xen-lab fault`: something breaks while agents migrate a VM.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use comfy_table::Table;
use s_core_examples::Failure;
use s_core_examples::cli::{print, table};
use s_core_examples::watch::Interrupt;
use s_core_lab::LabName;
use s_core_xen_lab::fault::{Fault, FaultOutcome, FaultWatcher, make_faults};

use crate::show::changed_source;

/// `fault`.
#[derive(Debug, Args)]
pub(crate) struct FaultArgs {
    /// Which faults, one after the other, or "all"
    #[arg(value_name = "NAME", required_unless_present = "list")]
    names: Vec<String>,
    /// Say which faults there are, and make none
    #[arg(long, conflicts_with_all = ["names", "out"])]
    list: bool,
    /// Write faults.csv and faults.md there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Makes faults on the testbed of this name. Nothing is begun before all is checked.
pub(crate) fn fault(name: &LabName, args: &FaultArgs) -> Result<(), Failure> {
    if args.list {
        return print(&format!("{}\n", list().trim_fmt()));
    }
    let faults = chosen(&args.names)?;
    if let Some(directory) = &args.out {
        fs::create_dir_all(directory).map_err(|error| at(directory, &error))?;
    }
    changed_source(&s_core_xen_lab::load(name)?.1);
    let interrupt = Interrupt::catch()?;
    let mut view = View {
        interrupt: interrupt.clone(),
        outcomes: Vec::new(),
    };
    let made = make_faults(name, &faults, &mut view);
    let outcomes = view.outcomes;
    print(&format!("\n{}\n", results(&outcomes).trim_fmt()))?;
    if let Some(directory) = &args.out {
        write(directory, &outcomes)?;
    }
    made?;
    let broken = outcomes.iter().filter(|of| !of.broken.is_empty()).count();
    if broken > 0 {
        return Err(Failure::failed(format!(
            "after {broken} of {} faults not all holds that must",
            outcomes.len()
        )));
    }
    if interrupt.is_caught() {
        let left = faults.len() - outcomes.len();
        return Err(Failure::failed(format!(
            "interrupted: {left} of {} faults were not seen to their end; what was broken is mended",
            faults.len()
        )));
    }
    Ok(())
}

fn list() -> Table {
    let mut rows = table(&["fault", "what is done"]);
    for fault in Fault::ALL {
        rows.add_row([fault.name(), fault.about()]);
    }
    rows
}

/// The faults of these names, in their order.
fn chosen(names: &[String]) -> Result<Vec<Fault>, Failure> {
    if names.iter().any(|name| name == "all") {
        return Ok(Fault::ALL.into());
    }
    let faults = names.iter().map(|name| name.parse());
    faults
        .collect::<Result<_, _>>()
        .map_err(|error: s_core_xen_lab::fault::UnknownFault| Failure::usage(error))
}

/// Says what happens, a line each.
struct View {
    interrupt: Interrupt,
    outcomes: Vec<FaultOutcome>,
}

impl FaultWatcher for View {
    fn step(&mut self, what: &str) {
        say(what);
    }

    fn ended(&mut self, outcome: FaultOutcome) {
        say(&format!("{}: {}", outcome.fault, verdict(&outcome)));
        self.outcomes.push(outcome);
    }

    fn is_stopped(&self) -> bool {
        self.interrupt.is_caught()
    }
}

/// That nobody reads on is found out when the result is printed.
fn say(line: &str) {
    let _ = print(&format!("{line}\n"));
}

fn verdict(outcome: &FaultOutcome) -> String {
    if outcome.broken.is_empty() {
        return "holds".into();
    }
    let broken: Vec<_> = outcome.broken.iter().map(ToString::to_string).collect();
    format!("BROKEN: {}", broken.join("; "))
}

const HEADER: [&str; 6] = [
    "fault",
    "what was seen",
    ">token back s",
    ">bound s",
    ">took s",
    "verdict",
];

fn row(outcome: &FaultOutcome) -> [String; 6] {
    let seconds = |time: Duration| format!("{:.0}", time.as_secs_f64());
    [
        outcome.fault.name().into(),
        outcome.seen.clone(),
        outcome.token.map_or("never".into(), seconds),
        seconds(outcome.bound),
        seconds(outcome.took),
        verdict(outcome),
    ]
}

fn results(outcomes: &[FaultOutcome]) -> Table {
    let mut rows = table(&HEADER);
    for outcome in outcomes {
        rows.add_row(row(outcome));
    }
    rows
}

fn write(directory: &Path, outcomes: &[FaultOutcome]) -> Result<(), Failure> {
    let columns = [
        "fault",
        "seen",
        "token_seconds",
        "bound_seconds",
        "seconds",
        "verdict",
    ];
    let path = directory.join("faults.csv");
    let mut csv = csv::Writer::from_path(&path)?;
    csv.write_record(columns)?;
    for outcome in outcomes {
        csv.write_record(row(outcome))?;
    }
    csv.flush().map_err(|error| at(&path, &error))?;
    let path = directory.join("faults.md");
    fs::write(&path, markdown(outcomes)).map_err(|error| at(&path, &error))
}

fn markdown(outcomes: &[FaultOutcome]) -> String {
    let line = |cells: &[String]| {
        // A bar would end its cell.
        let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let header = HEADER.map(|name| name.trim_start_matches('>').to_owned());
    let mut text = line(&header) + &line(&header.map(|_| "---".into()));
    for outcome in outcomes {
        text += &line(&row(outcome));
    }
    text
}

fn at(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}
