//! The command line.

use std::fmt::Display;
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
#[derive(Clone, Debug, Args)]
pub(crate) struct ShapeArgs {
    #[arg(long, value_name = "N", help = or("How many hosts, spread evenly over the racks", Shape::default().hosts))]
    hosts: Option<u16>,
    #[arg(long, value_name = "N", help = or("How many VMs each host begins with", Shape::default().vms_per_host))]
    vms: Option<u16>,
    /// How many VMs a host can run; by default twice those that it begins with
    #[arg(long, value_name = "N")]
    vm_slots: Option<u16>,
    #[arg(long, value_name = "MIB", help = or("The memory of a VM in MiB, which a migration copies", Shape::default().vm_memory_mib))]
    vm_memory: Option<u32>,
    #[arg(long, value_name = "N,…", value_delimiter = ',', help = or("How many switches each switch has below it, from the core down to the racks", list(&Shape::default().fan_out)))]
    fan_out: Option<Vec<u16>>,
    #[arg(long, value_name = "MBIT", help = or("The rate of a host's link in Mbit/s", Shape::default().host_mbit))]
    host_mbit: Option<u32>,
    #[arg(long, value_name = "RATIO", help = or("How much more the links below a switch can carry together than its upward link", Shape::default().over_subscription))]
    over_subscription: Option<f64>,
    /// Give the hosts a network of their own for agents and migrations, beside that of the VMs
    #[arg(long)]
    management: bool,
}

/// What an option is, and what it is if it is not given.
fn or(what: &str, default: impl Display) -> String {
    format!("{what} [default: {default}]")
}

fn list(numbers: &[u16]) -> String {
    let numbers: Vec<_> = numbers.iter().map(u16::to_string).collect();
    numbers.join(",")
}

impl ShapeArgs {
    /// The first option that was given and that this laboratory is not like: its name, and what it is there.
    pub(crate) fn first_difference(&self, is: &Shape) -> Option<(&'static str, String)> {
        fn differs<T: PartialEq>(given: Option<&T>, is: &T) -> bool {
            given.is_some_and(|given| given != is)
        }
        let fan_out = differs(self.fan_out.as_ref(), &is.fan_out);
        let over = differs(self.over_subscription.as_ref(), &is.over_subscription);
        let numbers = [
            ("--hosts", self.hosts.map(u32::from), is.hosts.into()),
            ("--vms", self.vms.map(u32::from), is.vms_per_host.into()),
            (
                "--vm-slots",
                self.vm_slots.map(u32::from),
                is.vm_slots.into(),
            ),
            ("--vm-memory", self.vm_memory, is.vm_memory_mib),
            ("--host-mbit", self.host_mbit, is.host_mbit),
        ];
        let mut numbers = numbers.into_iter();
        let number = numbers.find(|(_, given, is)| differs(given.as_ref(), is));
        let number = number.map(|(option, _, is)| (option, is.to_string()));
        number
            .or(fan_out.then(|| ("--fan-out", list(&is.fan_out))))
            .or(over.then(|| ("--over-subscription", is.over_subscription.to_string())))
            .or((self.management && !is.management).then(|| ("--management", "absent".into())))
    }
}

impl From<ShapeArgs> for Shape {
    fn from(args: ShapeArgs) -> Self {
        let default = Self::default();
        let vms_per_host = args.vms.unwrap_or(default.vms_per_host);
        Self {
            hosts: args.hosts.unwrap_or(default.hosts),
            vms_per_host,
            vm_slots: args.vm_slots.unwrap_or(vms_per_host.saturating_mul(2)),
            vm_memory_mib: args.vm_memory.unwrap_or(default.vm_memory_mib),
            fan_out: args.fan_out.unwrap_or(default.fan_out),
            host_mbit: args.host_mbit.unwrap_or(default.host_mbit),
            over_subscription: args.over_subscription.unwrap_or(default.over_subscription),
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
