//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use s_core_lab::{LabName, Shape};

use crate::run::RunArgs;
use crate::traffic::TrafficArgs;

/// A data centre on this machine: hosts with an Open vSwitch each, their VMs and the switches between them, in network
/// namespaces. Needs root.
#[derive(Debug, Parser)]
#[command(name = "lab", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// The laboratory's name: 1 to 8 lower-case letters and digits. Laboratories of different names do not meet
    #[arg(long, global = true, default_value = "lab")]
    pub(crate) name: LabName,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a laboratory
    Up(ShapeArgs),
    /// Remove a laboratory and all that runs in it, also what is left of one after a crash
    Down,
    /// Say which host runs which VMs, whether its switch runs, and what the links have carried
    Status(StatusArgs),
    /// Let the VMs send to each other
    Traffic(TrafficArgs),
    /// Let the VMs send to each other, start an agent per host, and watch the cost fall until it settles
    Run(Box<RunArgs>),
    #[command(hide = true)]
    Agent(AgentArgs),
}

/// `agent`.
#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    pub(crate) host: u16,
    pub(crate) configuration: PathBuf,
}

/// The size of a laboratory.
#[derive(Debug, Args)]
pub(crate) struct ShapeArgs {
    /// How many hosts, spread evenly over the racks
    #[arg(long, value_name = "N", default_value_t = Shape::default().hosts)]
    hosts: u16,
    /// How many VMs each host begins with
    #[arg(long, value_name = "N", default_value_t = Shape::default().vms_per_host)]
    vms: u16,
    /// How many VMs a host can run; by default twice those that it begins with
    #[arg(long, value_name = "N")]
    vm_slots: Option<u16>,
    /// The memory of a VM in MiB, which a migration copies
    #[arg(long, value_name = "MIB", default_value_t = Shape::default().vm_memory_mib)]
    vm_memory: u32,
    /// How many switches each switch has below it, from the core down to the racks, like 2,2
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = Shape::default().fan_out)]
    fan_out: Vec<u16>,
    /// The rate of a host's link in Mbit/s
    #[arg(long, value_name = "MBIT", default_value_t = Shape::default().host_mbit)]
    host_mbit: u32,
    /// How much more the links below a switch can carry together than its upward link
    #[arg(long, value_name = "RATIO", default_value_t = Shape::default().over_subscription)]
    over_subscription: f64,
    /// Give the hosts a network of their own for agents and migrations, beside that of the VMs
    #[arg(long)]
    management: bool,
}

impl From<ShapeArgs> for Shape {
    fn from(args: ShapeArgs) -> Self {
        Self {
            hosts: args.hosts,
            vms_per_host: args.vms,
            vm_slots: args.vm_slots.unwrap_or(args.vms.saturating_mul(2)),
            vm_memory_mib: args.vm_memory,
            fan_out: args.fan_out,
            host_mbit: args.host_mbit,
            over_subscription: args.over_subscription,
            management: args.management,
        }
    }
}

/// `status`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const EXAMPLES: &str = "\
Examples:
  lab up
  lab up --name big --hosts 16 --vms 16 --fan-out 2,4
  lab run --policy load-aware --out report
  lab status
  lab down

From the source tree: cargo run --example lab -- up

Exit codes: 0 success, 1 failure (a missing program or privilege, for instance), 2 wrong call.";
