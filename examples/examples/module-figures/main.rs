//! `module-figures`: what the agent's modules cost on real parts, beside the figures of thesis 5.2.2 and 5.2.3.

mod decision;
mod flow_table;
mod laboratory;
mod measure;
mod polling;
mod progress;
mod report;
mod thesis;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use s_core_examples::cli::print;
use s_core_examples::watch::Interrupt;
use s_core_examples::{Failure, run};
use s_core_sim::report::{Document, REPORT_FILE};

use progress::Progress;

/// Measures the flow table, the reading of flows from a real Open vSwitch, the time of a decision and the bytes of a round of
/// the token, and draws them beside the thesis's figures.
///
/// Writes report.html and the figures as SVG and CSV. Takes some minutes; an otherwise idle machine is best. What needs
/// root and Open vSwitch is left out where these are missing.
#[derive(Debug, Parser)]
#[command(name = "module-figures", version, after_help = EXAMPLES)]
struct Args {
    /// Where the report goes
    #[arg(long, value_name = "DIR", default_value = "module-figures")]
    out: PathBuf,
    /// Small sizes only: some seconds, to see that everything works
    #[arg(long)]
    quick: bool,
}

const EXAMPLES: &str = "\
Examples:
  module-figures --out /tmp/module-figures
  module-figures --quick --out /tmp/quick

From the source tree: cargo run --release --example module-figures

Exit codes: 0 success, 1 failure, 2 wrong call.";

/// How much is measured.
struct Sizes {
    most_flows: u32,
    repeats: usize,
    polling: polling::Plan,
    decision: decision::Plan,
    most_vms: u32,
    /// Numbers of servers and VMs.
    rounds: &'static [(u16, u16)],
}

/// As in the thesis.
const FULL: Sizes = Sizes {
    most_flows: 1_000_000,
    repeats: 3,
    polling: polling::Plan {
        flows: &[100, 1_000, 10_000, 100_000],
        interval: Duration::from_secs(1),
        polls: 8,
        others: &[
            Duration::from_secs(2),
            Duration::from_secs(3),
            Duration::from_secs(4),
            Duration::from_secs(5),
        ],
        polls_at_others: 3,
    },
    decision: decision::Plan {
        peers: &[(10, 6), (100, 6), (1_000, 4)],
        servers: 20,
        window: Duration::from_secs(2),
        hubs: 8,
    },
    most_vms: 1_000_000,
    rounds: &[(4, 8), (10, 100), (20, 400)],
};

const QUICK: Sizes = Sizes {
    most_flows: 1_000,
    repeats: 2,
    polling: polling::Plan {
        flows: &[100, 500],
        interval: Duration::from_millis(100),
        polls: 4,
        others: &[Duration::from_millis(200)],
        polls_at_others: 2,
    },
    decision: decision::Plan {
        peers: &[(10, 3), (40, 3)],
        servers: 4,
        window: Duration::from_millis(500),
        hubs: 2,
    },
    most_vms: 1_000,
    rounds: &[(4, 12)],
};

fn main() -> ExitCode {
    run(|| measure_all(&Args::parse()))
}

fn measure_all(args: &Args) -> Result<(), Failure> {
    let sizes = if args.quick { QUICK } else { FULL };
    // Before minutes of work: something else than a report is not replaced.
    Document::check_target(&args.out)?;
    let progress = Progress::new(Interrupt::catch()?);
    // First, while no other thread allocates.
    let flow_tables = flow_table::measure(sizes.most_flows, sizes.repeats, &progress)?;
    let found = report::Found {
        flow_tables,
        polling: polling::measure(sizes.polling, &progress)?,
        decisions: decision::measure(sizes.decision, &progress)?,
        wire: wire::measure(sizes.most_vms, sizes.rounds, &progress)?,
        quick: args.quick,
    };
    drop(progress);
    found.document().write(&args.out)?;
    let report = args.out.join(REPORT_FILE);
    print(&format!("{}report: {}\n", found.text(), report.display()))
}
