//! `lab run`: agents at work, and the cost as it falls.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use s_core_examples::Failure;
use s_core_examples::cli::{count, print};
use s_core_examples::following::{RunDir, View, summary};
use s_core_examples::watch::Interrupt;
use s_core_lab::hypervisor::Faults;
use s_core_lab::run::{AgentProgram, AgentSettings, RunSettings};
use s_core_lab::traffic::TrafficSettings;
use s_core_lab::{HostNumber, LabError, LabName, Layout, load, prerequisites, up_unless};
use s_core_token::PolicyKind;

use crate::args::ShapeArgs;
use crate::traffic::{PairsArgs, Plan};

/// `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Whose turn it is: round-robin, global, distributed or load-aware
    #[arg(long, default_value = "distributed")]
    policy: PolicyKind,
    /// Have requests for a VM's host sent to the VM's address, and intercepted at its bridge (thesis 4.2.3)
    #[arg(long)]
    interception: bool,
    /// After so many seconds the run ends though the cost has not settled
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// How long the traffic is watched before the agents start, and again after the cost has settled, in seconds
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    rest: u32,
    /// How far back measured rates look, in seconds
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(4..=3600))]
    window: u32,
    /// How many pages of 4 KiB a running VM writes in a second: a migration sends them again, and the more of them are left,
    /// the longer the VM stands still at its end
    #[arg(long, value_name = "N", default_value_t = AgentSettings::default().dirty_pages_per_second)]
    dirty_pages: u32,
    /// Let migrations fail at a host: as a target it can refuse every VM (refuse), say that there is no room (full) or cut
    /// the connection after N octets (cut-after=N); as a source send N octets a second at most (bytes-per-second=N).
    /// Can be given for several hosts, like --fault 1:bytes-per-second=500000 --fault 2:refuse
    #[arg(long, value_name = "HOST:FAULT,…", value_parser = fault)]
    fault: Vec<(HostNumber, Faults)>,
    /// Write a report, the result and a snapshot with the true rates there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    pairs: PairsArgs,
    #[command(flatten)]
    shape: ShapeArgs,
}

/// Has agents work in a laboratory, which is made if it is not there; it stays. Nothing is made before all is checked.
pub(crate) fn run(name: LabName, args: RunArgs) -> Result<(), Failure> {
    let (layout, is_there) = layout(name, &args.shape)?;
    let settings = settings(&layout, &args)?;
    let target = args.out.clone().map(RunDir::new).transpose()?;
    prerequisites()?;
    let interrupt = Interrupt::catch()?;
    if !is_there {
        up_unless(&layout, &|| interrupt.is_caught())?;
    }
    let program = AgentProgram {
        path: std::env::current_exe()?,
        arguments: ["agent", "--name", layout.name().as_str()]
            .map(Into::into)
            .into(),
    };
    let mut view = View::new(interrupt);
    print(&format!(
        "{} and {}, {} exchanging data; the agents start in {} s.\n",
        count(layout.hosts().count() as u64, "host"),
        count(layout.vms().count() as u64, "VM"),
        count(settings.pairs.len() as u64, "pair"),
        args.rest
    ))?;
    let course = s_core_lab::run::run(&layout, &settings, program, &mut view)?;
    print(&summary(&course))?;
    match target {
        None => Ok(()),
        Some(dir) => dir.write(&course, args.policy, args.pairs.seed, "Laboratory"),
    }
}

/// The laboratory that is there, and what the options make of one that is not; whether it is there.
fn layout(name: LabName, shape: &ShapeArgs) -> Result<(Layout, bool), Failure> {
    match load(&name) {
        Ok(layout) => match shape.first_difference(layout.shape()) {
            None => Ok((layout, true)),
            Some((option, is)) => Err(Failure::usage(format!(
                "{option}: laboratory {name} exists, and there it is {is}; leave the option out, choose another --name, or \
                 take the laboratory down first"
            ))),
        },
        Err(LabError::Unknown(_)) => {
            let layout = Layout::new(name, shape.clone().into()).map_err(Failure::usage)?;
            Ok((layout, false))
        }
        Err(damaged) => Err(damaged.into()),
    }
}

fn settings(layout: &Layout, args: &RunArgs) -> Result<RunSettings, Failure> {
    let seconds = |n: u32| Duration::from_secs(n.into());
    let mut faults = BTreeMap::new();
    for (host, fault) in &args.fault {
        if !layout.hosts().any(|of| of == *host) {
            let hosts = layout.shape().hosts;
            let message = format!("--fault: host {} is not 1 to {hosts}", host.0);
            return Err(Failure::usage(message));
        }
        if faults.insert(*host, fault.clone()).is_some() {
            let message = format!("--fault: host {} is given twice; use commas", host.0);
            return Err(Failure::usage(message));
        }
    }
    Ok(RunSettings {
        agents: AgentSettings {
            policy: args.policy,
            interception: args.interception,
            window: seconds(args.window),
            dirty_pages_per_second: args.dirty_pages,
            faults,
            ..AgentSettings::default()
        },
        pairs: Plan::new(layout, &args.pairs, None)?.pairs(0)?,
        traffic: TrafficSettings {
            seed: args.pairs.seed,
            limit: Duration::from_secs(2 * 86_400),
            ..TrafficSettings::default()
        },
        rest: seconds(args.rest),
        limit: seconds(args.seconds),
    })
}

/// `HOST:FAULT,…`.
fn fault(text: &str) -> Result<(HostNumber, Faults), String> {
    let (host, faults) = text.split_once(':').ok_or("give HOST:FAULT, like 2:full")?;
    let host = host.parse().map_err(|_| format!("{host:?} is no host"))?;
    let faults = faults.parse().map_err(|error| format!("{error}"))?;
    Ok((HostNumber(host), faults))
}
