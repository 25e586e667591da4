//! The command line.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use s_core_examples::Failure;
use s_core_lab::LabName;
use s_core_xen_lab::{Cache, Size};

use crate::fault::FaultArgs;
use crate::measure::MeasureArgs;
use crate::run::RunArgs;

/// Xen hosts on this machine, each in an emulator, behind the switches of the thesis's testbed (Fig. 5.5). Needs root.
#[derive(Debug, Parser)]
#[command(name = "xen-lab", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) task: Task,
    /// The testbed's name: 1 to 8 lower-case letters and digits
    #[arg(long, global = true, default_value = "xen")]
    pub(crate) name: LabName,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Make the image of the hosts from Debian's packages, once
    Build(CacheArgs),
    /// Start the hosts and their VMs; the second time in seconds, from a snapshot
    Up(UpArgs),
    /// Let the VMs send to each other, start an agent in each control domain, and watch the cost fall until it settles
    Run(Box<RunArgs>),
    /// Migrate a VM back and forth under background load, here or on real hosts, and draw the thesis's Figs. 5.9 to 5.11
    Measure(Box<MeasureArgs>),
    /// Break something while agents migrate a VM, and judge what comes of it
    Fault(FaultArgs),
    /// Say which host runs which VMs, and what the links have carried
    Status(StatusArgs),
    /// A host's console: Xen's messages and a shell of the control domain
    Console {
        /// The host's number
        host: u16,
    },
    /// A shell, or a command, on a host's control domain
    Ssh {
        /// The host's number
        host: u16,
        /// The command and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Remove a testbed and all that runs in it, also what is left of one after a crash
    Down(DownArgs),
}

/// Where images and snapshots are kept.
#[derive(Debug, Args)]
pub(crate) struct CacheArgs {
    /// Where images and snapshots are kept; $XDG_CACHE_HOME/s-core-xen-lab or /var/cache/s-core-xen-lab if left out
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

impl CacheArgs {
    pub(crate) fn cache(&self) -> Result<Cache, Failure> {
        cache(self.cache.as_deref())
    }
}

/// The cache in this directory, or else the system's.
pub(crate) fn cache(directory: Option<&Path>) -> Result<Cache, Failure> {
    let cache = directory.map_or_else(Cache::of_system, Cache::new);
    cache.map_err(Failure::usage)
}

/// `up`.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// How many hosts, each with a gigabyte of memory
    #[arg(long, value_name = "N", default_value_t = Size::default().hosts)]
    hosts: u16,
    /// How many VMs (domUs) each host begins with
    #[arg(long, value_name = "N", default_value_t = Size::default().domains)]
    domains: u16,
    /// The memory of a VM in MiB, which a migration copies: 40, 80, …
    #[arg(long, value_name = "MIB", default_value_t = Size::default().memory_mib)]
    memory: u32,
    /// The rate of a host's link in Mbit/s
    #[arg(long, value_name = "MBIT", default_value_t = Size::default().host_mbit)]
    host_mbit: u32,
    /// How much more the links below a switch can carry together than its upward link
    #[arg(long, value_name = "RATIO", default_value_t = Size::default().over_subscription)]
    over_subscription: f64,
    /// Boot all hosts although there is a snapshot, and take none
    #[arg(long)]
    pub(crate) fresh: bool,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

impl UpArgs {
    pub(crate) const fn size(&self) -> Size {
        Size {
            hosts: self.hosts,
            domains: self.domains,
            memory_mib: self.memory,
            host_mbit: self.host_mbit,
            over_subscription: self.over_subscription,
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

/// `down`.
#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    /// Remove also the images and snapshots, of this cache or of the default one
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<Option<PathBuf>>,
}

const EXAMPLES: &str = "\
Examples:
  xen-lab build
  xen-lab up
  xen-lab up --hosts 2 --domains 1 --memory 80 --fresh
  xen-lab status
  xen-lab run --policy global --out report
  xen-lab measure --minutes 60 --out migration-figures
  xen-lab measure --hosts hosts.toml --probe-ms 1 --out real-migration-figures
  xen-lab fault no-memory cut-handshake
  xen-lab fault all --out faults
  xen-lab ssh 1 xl list
  xen-lab ssh 1 xl migrate v1 192.168.77.2
  xen-lab down

From the source tree: cargo run --example xen-lab -- up

Exit codes: 0 success, 1 failure (a missing program or privilege, for instance), 2 wrong call; of ssh, the command's own.";
