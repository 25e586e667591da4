//! The command line.

use std::path::PathBuf;

use clap::Parser;
use s_core_examples::cli::{PolicyArg, TargetChoiceArg, whole_number};
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
    /// Take the first N migrations in the token's order, which need not be the N that gain most (for
    /// those, see --min-gain); by default the snapshot's limits.max_migrations, else all
    #[arg(long, value_name = "N", value_parser = whole_number, allow_negative_numbers = true)]
    max_migrations: Option<u64>,
    /// The least gain, in bytes per second times link weight: a gain equal to it is enough, while the
    /// snapshot's migration_cost must be exceeded; by default the snapshot's limits.min_gain, else 0
    #[arg(long, value_name = "G", value_parser = gain, allow_negative_numbers = true)]
    min_gain: Option<f64>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the migrations as `xl migrate` lines, in order, each with the host to run it on
    #[arg(long, conflicts_with_all = ["json", "explain"])]
    pub(crate) commands: bool,
    /// Say what one VM, given by address or name, would gain on which server as things are now, why it
    /// would move or stay, and what the plan does with it after other migrations
    #[arg(long, value_name = "VM", conflicts_with = "out")]
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
        Ok(_) | Err(_) => Err("give a number from 0 up, like 1000 or 2.5e6".into()),
    }
}

impl Args {
    /// Checks what clap cannot say, and exits with code 2 if it is wrong.
    pub(crate) fn parse_checked() -> Self {
        let args = Self::parse();
        let one_plan = [
            (args.commands, "--commands"),
            (args.explain.is_some(), "--explain"),
        ];
        let one_plan = one_plan.into_iter().find(|(is_given, _)| *is_given);
        if let (Some((_, option)), PolicyArg::All) = (one_plan, args.policy) {
            let message = format!("{option} is about one plan; name one policy instead of all");
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
