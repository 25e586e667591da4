//! The command line.

use std::path::PathBuf;

use clap::Parser;
use s_core_examples::cli::{PolicyArg, TargetChoiceArg};
use s_core_sim::snapshot::Snapshot;
use s_core_sim::{Rules, RunLimits};

/// Recommends migrations that lower the communication cost of a data centre. Moves nothing by itself.
#[derive(Debug, Parser)]
#[command(name = "plan", version, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The snapshot: a directory with data-centre.toml, servers.csv, vms.csv and traffic.csv
    #[arg(value_name = "SNAPSHOT_DIR")]
    pub(crate) snapshot: PathBuf,
    /// Which VM decides next
    #[arg(long, value_enum, default_value = "distributed")]
    pub(crate) policy: PolicyArg,
    /// Which of the servers that are worth a migration is taken
    #[arg(long, value_enum, default_value = "first-fit")]
    target_choice: TargetChoiceArg,
    /// The most migrations; by default the snapshot's limits.max_migrations
    #[arg(long, value_name = "N")]
    max_migrations: Option<u64>,
    /// The least gain, in bytes per second times link weight; by default the snapshot's limits.min_gain
    #[arg(long, value_name = "G", value_parser = gain, allow_negative_numbers = true)]
    min_gain: Option<f64>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the migrations as `xl migrate` lines, in order, each with the host to run it on
    #[arg(long, conflicts_with_all = ["json", "explain"])]
    pub(crate) commands: bool,
    /// Say what one VM, given by address or name, would gain on which server, and why it moves or stays
    #[arg(long, value_name = "VM", conflicts_with_all = ["out", "max_migrations"])]
    pub(crate) explain: Option<String>,
    /// Write placement.csv, migrations.csv and summary.json there; with all policies, a directory each
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  simulate --vms 500 --fan-out 2,2,4 --servers-per-rack 4 --write-snapshot /tmp/data-centre
  plan /tmp/data-centre
  plan /tmp/data-centre --policy all
  plan /tmp/data-centre --max-migrations 10 --commands
  plan /tmp/data-centre --explain vm-17

From the source tree: cargo run --release --example plan -- /tmp/data-centre

Exit codes: 0 success, 1 failure (a bad snapshot, for instance), 2 wrong call.";

fn gain(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(gain) if gain.is_finite() && gain >= 0.0 => Ok(gain),
        Ok(_) | Err(_) => Err("a gain is a number from 0 up, like 1000 or 2.5e6".into()),
    }
}

impl Args {
    /// Checks what clap cannot say, and exits with code 2 if it is wrong.
    pub(crate) fn parse_checked() -> Self {
        let args = Self::parse();
        if args.commands && args.policy == PolicyArg::All {
            let message = "--commands prints one plan; name one policy instead of all";
            let kind = clap::error::ErrorKind::ArgumentConflict;
            <Self as clap::CommandFactory>::command()
                .error(kind, message)
                .exit();
        }
        args
    }

    pub(crate) fn rules(&self, snapshot: &Snapshot) -> Rules {
        let limits = snapshot.settings().limits;
        Rules {
            migration_cost: snapshot.migration_cost(),
            target_choice: self.target_choice.into(),
            min_gain: self.min_gain.or(limits.min_gain).unwrap_or(0.0),
        }
    }

    pub(crate) fn limits(&self, snapshot: &Snapshot) -> RunLimits {
        let limits = snapshot.settings().limits;
        RunLimits {
            max_migrations: self.max_migrations.or(limits.max_migrations),
            max_rounds: None,
        }
    }
}
