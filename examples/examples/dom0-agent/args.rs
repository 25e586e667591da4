//! The command line.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use s_core_examples::cli::TargetChoiceArg;
use s_core_model::MigrationCost;
use s_core_token::PolicyKind;

const AFTER_HELP: &str = "\
Examples:
  dom0-agent                                   the testbed: 4 servers with 2 VMs each
  dom0-agent --servers 16 --vms 8 --seed 3     a larger data centre
  dom0-agent --out run                         then: plan run/snapshot-before
  dom0-agent check-config /etc/s-core/agent.toml
  dom0-agent --config /etc/s-core/agent.toml   the agent of this host (Xen and Open vSwitch)
  dom0-agent --config /etc/s-core/agent.toml --mint   the same, with a new token at once
  dom0-agent --config /etc/s-core/agent.toml --events /var/log/s-core/events.jsonl
  dom0-agent clean /etc/s-core/agent.toml      after a kill -9, if the agent shall not start again
  dom0-agent capture --config /etc/s-core/agent.toml --out snapshot

Logs go to standard error; RUST_LOG chooses which, e.g. RUST_LOG=s_core_agent=debug.
Exit code: 0 on success, 1 on failure, 2 on a wrong call.";

/// The S-CORE agent of a hypervisor's control domain.
///
/// Without --config it runs an embedded data centre on loopback addresses: real agents and sockets over
/// emulated hypervisors, until its communication cost has settled.
#[derive(Debug, Parser)]
#[command(name = "dom0-agent", version, after_help = AFTER_HELP, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Run the agent of this host with this configuration
    #[arg(long, value_name = "FILE", conflicts_with_all = ["servers", "vms", "seed", "policy", "target_choice", "migration_cost", "out"])]
    pub(crate) config: Option<PathBuf>,
    /// Make a new token for the VMs of [token] mint, after its delay, unless one is seen until then. Only to
    /// start sooner: after [timing] silence the agents make one by themselves. On one host only
    #[arg(long, requires = "config")]
    pub(crate) mint: bool,
    /// Add a line of JSON per event to this file, or with - write it to standard output, for programs to read: token, decisions,
    /// migrations, rounds, trouble. The agent never waits for it
    #[arg(long, value_name = "FILE|-", requires = "config")]
    pub(crate) events: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) demo: DemoArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what is wrong with a configuration file, or "ok"
    CheckConfig {
        /// The file
        file: PathBuf,
    },
    /// Remove the rules of [interception] that an agent has left which was killed; one that starts again does it itself
    Clean {
        /// The configuration of the agent
        file: PathBuf,
    },
    /// Become `xl migrate-receive`, if the agent of this host expects a VM from where the migration comes from. For [hypervisor]
    /// receive = true: as the command that the other hosts' ssh key is bound to, or that socat runs
    Receive {
        /// The configuration of this host's agent
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Where the migration comes from, if neither ssh nor socat says
        #[arg(long, value_name = "ADDRESS")]
        from: Option<Ipv4Addr>,
    },
    /// Write a snapshot of what this host sees: its VMs and how much they talk to each other
    Capture {
        /// The configuration of this host's agent
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The directory to write
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

/// The embedded data centre.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// How many servers, 2 to 64
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) servers: u16,
    /// How many VMs on each at first, 1 to 64
    #[arg(long, value_name = "M", default_value_t = 2)]
    pub(crate) vms: u16,
    /// Which VM gets the token next: round-robin, global, distributed, load-aware
    #[arg(long, default_value = "distributed")]
    pub(crate) policy: PolicyKind,
    /// What the traffic is made from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Which server is asked for room first
    #[arg(long, value_enum, default_value = "first-fit")]
    pub(crate) target_choice: TargetChoiceArg,
    /// What a migration must gain more than: bytes per second times link weight, or a share of what the VM's
    /// traffic costs, like 10%
    #[arg(long, value_name = "COST", default_value = "0", value_parser = migration_cost)]
    pub(crate) migration_cost: MigrationCost,
    /// Write the result and the snapshots before and after to this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

fn migration_cost(text: &str) -> Result<MigrationCost, String> {
    let number = |text: &str| {
        let parsed = text.parse::<f64>();
        parsed.map_err(|_| "write a number like 5000 or a share like 10%".to_owned())
    };
    let cost = match text.strip_suffix('%') {
        Some(share) => MigrationCost::RelativeToVm(number(share)? / 100.0),
        None => MigrationCost::Absolute(number(text)?),
    };
    cost.checked().map_err(|error| error.to_string())
}
