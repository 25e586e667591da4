//! `xen-lab up`: hosts and VMs, and how far they are.

use std::time::Instant;

use s_core_examples::Failure;
use s_core_examples::cli::{count, print};
use s_core_examples::watch::Interrupt;
use s_core_lab::LabName;
use s_core_xen_lab::{Cache, Image, Plan, UpOptions};

use crate::args::UpArgs;
use crate::show::{Hosts, changed_source};

/// Starts the testbed that the command line describes.
pub(crate) fn up(name: LabName, args: &UpArgs) -> Result<(), Failure> {
    let plan = Plan::new(name, args.size()).map_err(Failure::usage)?;
    let (cache, interrupt) = (args.cache.cache()?, Interrupt::catch()?);
    start(&plan, &cache, UpOptions { fresh: args.fresh }, &interrupt)
}

/// Starts a testbed, and shows how far it is.
pub(crate) fn start(
    plan: &Plan,
    cache: &Cache,
    options: UpOptions,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    if let Ok(image) = Image::of(cache) {
        changed_source(&image);
    }
    let begun = Instant::now();
    let hosts = Hosts::new(plan);
    let stopped = || interrupt.is_caught();
    let tell = |host, stage| hosts.tell(host, stage);
    let started = s_core_xen_lab::up(plan, cache, options, &stopped, &tell);
    hosts.finish();
    started?;
    let layout = plan.layout();
    let [hosts, vms] = [layout.hosts().count(), layout.vms().count()].map(|n| n as u64);
    print(&format!(
        "{} with {} up after {:.1} s. To look: xen-lab status --name {name}. To remove: xen-lab down --name {name}\n",
        count(hosts, "Xen host"),
        count(vms, "domU"),
        begun.elapsed().as_secs_f64(),
        name = layout.name(),
    ))
}
