//! `xen-lab run`: agents at work on Xen hosts, and the cost as it falls.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use s_core_examples::Failure;
use s_core_examples::cli::{count, print, si};
use s_core_examples::following::{RunDir, View, summary};
use s_core_examples::watch::Interrupt;
use s_core_lab::traffic::{Groups, Mix, PairTraffic};
use s_core_lab::{LabError, LabName, Layout};
use s_core_model::{Rate, VmId};
use s_core_sim::snapshot::{Snapshot, TRAFFIC_FILE};
use s_core_token::PolicyKind;
use s_core_xen_lab::run::{AgentSettings, RunSettings, Transport};
use s_core_xen_lab::{Plan, Size, UpOptions};

use crate::args::CacheArgs;
use crate::show::changed_source;
use crate::up;

/// `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Whose turn it is: round-robin, global, distributed or load-aware
    #[arg(long, default_value = "distributed")]
    policy: PolicyKind,
    /// How the memory of a VM gets from host to host
    #[arg(long, value_enum, default_value_t)]
    transport: TransportArg,
    /// Have the agents ask the kernel for its flows, and not ovs-vswitchd
    #[arg(long)]
    netlink: bool,
    /// After so many seconds the run ends though the cost has not settled
    #[arg(long, value_name = "N", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// How long the traffic is watched before the agents start, and again after the cost has settled, in seconds
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
    rest: u32,
    /// How far back measured rates look, in seconds
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(12..=3600))]
    window: u32,
    /// Send what this snapshot's traffic.csv says, instead of the traffic of communicating groups
    #[arg(long, value_name = "DIR", conflicts_with_all = ["group_size", "total_mbit"])]
    matrix: Option<PathBuf>,
    /// How many VMs a group has at least
    #[arg(long, value_name = "N", default_value_t = Groups::default().size)]
    group_size: u16,
    /// What all VMs send together, in Mbit/s: emulated hosts have no processor left for much more
    #[arg(long, value_name = "MBIT", default_value_t = 0.6)]
    total_mbit: f64,
    /// What groups and flows are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Write a report, the result and a snapshot with the true rates there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    cache: CacheArgs,
}

/// How the memory of a VM gets from host to host.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum TransportArg {
    /// As it is, over TCP: half the time
    #[default]
    Stream,
    /// Over ssh, as xl does by itself
    Ssh,
}

impl From<TransportArg> for Transport {
    fn from(transport: TransportArg) -> Self {
        match transport {
            TransportArg::Stream => Self::Stream,
            TransportArg::Ssh => Self::Ssh,
        }
    }
}

/// Has agents work on the testbed of this name, which is started as `up` does without options if it is not there; it stays.
/// Nothing is begun before all is checked.
pub(crate) fn run(name: &LabName, args: &RunArgs) -> Result<(), Failure> {
    let (plan, is_there) = plan(name)?;
    let settings = settings(plan.layout(), args)?;
    let target = args.out.clone().map(RunDir::new).transpose()?;
    let interrupt = Interrupt::catch()?;
    if !is_there {
        up::start(
            &plan,
            &args.cache.cache()?,
            UpOptions::default(),
            &interrupt,
        )?;
    }
    let total: Rate = settings.pairs.iter().map(|pair| pair.rate).sum();
    print(&format!(
        "{} and {}, {} exchanging {}B/s; the agents start in {} s.\n",
        count(plan.layout().hosts().count() as u64, "Xen host"),
        count(plan.layout().vms().count() as u64, "domU"),
        count(settings.pairs.len() as u64, "pair"),
        si(total.bytes_per_second()),
        args.rest
    ))?;
    let mut view = view(&plan, interrupt);
    let course = s_core_xen_lab::run::run(name, &settings, &mut view)?;
    print(&summary(&course))?;
    match target {
        None => Ok(()),
        Some(dir) => dir.write(&course, args.policy, args.seed, "Testbed"),
    }
}

/// The testbed that is there, or else the one of `up` without options; whether it is there.
fn plan(name: &LabName) -> Result<(Plan, bool), Failure> {
    match s_core_xen_lab::load(name) {
        Ok((plan, image)) => {
            changed_source(&image);
            Ok((plan, true))
        }
        Err(LabError::Unknown(_)) => {
            let plan = Plan::new(name.clone(), Size::default()).map_err(Failure::usage)?;
            Ok((plan, false))
        }
        Err(damaged) => Err(damaged.into()),
    }
}

fn view(plan: &Plan, interrupt: Interrupt) -> View {
    let layout = plan.layout();
    let hosts = layout.hosts();
    let hosts = hosts.map(|host| (layout.server(host), plan.host_name(host)));
    let vms = layout.vms().map(|vm| (layout.vm(vm), plan.domain(vm)));
    View::new(interrupt).with_places(hosts, vms)
}

fn settings(layout: &Layout, args: &RunArgs) -> Result<RunSettings, Failure> {
    let seconds = |n: u32| Duration::from_secs(n.into());
    Ok(RunSettings {
        agents: AgentSettings {
            policy: args.policy,
            transport: args.transport.into(),
            netlink: args.netlink,
            window: seconds(args.window),
            ..AgentSettings::default()
        },
        pairs: pairs(layout, args)?,
        rest: seconds(args.rest),
        limit: seconds(args.seconds),
    })
}

fn pairs(layout: &Layout, args: &RunArgs) -> Result<Vec<PairTraffic>, Failure> {
    let Some(dir) = &args.matrix else {
        let most = Rate::new(args.total_mbit * 1e6 / 8.0);
        let groups = Groups {
            size: args.group_size,
            most: most.map_err(|error| Failure::usage(format!("--total-mbit: {error}")))?,
            seed: args.seed,
            ..Groups::default()
        };
        return groups.pairs(layout, 0).map_err(Failure::usage);
    };
    let pairs = PairTraffic::of_snapshot(&Snapshot::read(dir)?, Mix::default());
    let known = |vm: VmId| layout.vm_of(vm).is_some();
    match pairs.iter().find(|pair| !known(pair.a) || !known(pair.b)) {
        None => Ok(pairs),
        Some(PairTraffic { a, b, .. }) => Err(Failure::failed(format!(
            "{}: {a} and {b} are not both VMs of the testbed",
            dir.join(TRAFFIC_FILE).display()
        ))),
    }
}
