//! `xen-lab`: Xen hosts on this machine, each in an emulator.

mod args;
mod fault;
mod measure;
mod run;
mod show;
mod status;

use std::process::{Command, ExitStatus};
use std::time::Instant;

use clap::Parser;
use s_core_examples::cli::{count, print};
use s_core_examples::{Failure, run};
use s_core_lab::{HostNumber, LabName};
use s_core_xen_lab::{Cache, Plan, Remote, UpOptions};

use tracing_subscriber::EnvFilter;

use args::{CacheArgs, Cli, DownArgs, Task, UpArgs};

fn main() -> std::process::ExitCode {
    run(|| {
        let Cli { task, name } = Cli::parse();
        match task {
            Task::Build(args) => build(&args),
            Task::Up(args) => up(name, &args),
            Task::Run(args) => {
                log();
                run::run(&name, &args)
            }
            Task::Measure(args) => {
                log();
                measure::measure(&name, &args)
            }
            Task::Fault(args) => {
                log();
                fault::fault(&name, &args)
            }
            Task::Status(args) => status::status(&name, args),
            Task::Console { host } => console(&name, host),
            Task::Ssh { host, command } => ssh(&name, host, &command),
            Task::Down(args) => down(&name, &args),
        }
    })
}

fn build(args: &CacheArgs) -> Result<(), Failure> {
    let (cache, begun) = (args.cache()?, Instant::now());
    let image = s_core_xen_lab::build(&cache, &show::build_step)?;
    let (image, seconds) = (image.directory().display(), begun.elapsed().as_secs_f64());
    print(&format!("{image} is there after {seconds:.0} s\n"))
}

fn up(name: LabName, args: &UpArgs) -> Result<(), Failure> {
    let plan = Plan::new(name, args.size()).map_err(Failure::usage)?;
    let (cache, begun) = (args.cache.cache()?, Instant::now());
    let options = UpOptions { fresh: args.fresh };
    let hosts = show::Hosts::new(&plan);
    let started = s_core_xen_lab::up(&plan, &cache, options, &|host, stage| {
        hosts.tell(host, stage);
    });
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

/// Says on standard error what is not as it should be meanwhile.
fn log() {
    let filter = EnvFilter::try_from_default_env();
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| EnvFilter::new("warn")))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}

fn console(name: &LabName, host: u16) -> Result<(), Failure> {
    let (plan, _) = s_core_xen_lab::load(name)?;
    let host = known(&plan, host)?;
    eprintln!("The console of {}; Ctrl-] leaves it.", plan.host_name(host));
    Ok(s_core_xen_lab::console::attach(&plan, host)?)
}

/// Takes over the exit code of the command, or of `ssh` itself.
fn ssh(name: &LabName, host: u16, words: &[String]) -> Result<(), Failure> {
    let remote = Remote::of(name)?;
    let host = known(remote.plan(), host)?;
    let status = foreground(remote.interactive(host).args(words))?;
    if status.success() {
        return Ok(());
    }
    std::process::exit(status.code().unwrap_or(1));
}

fn foreground(command: &mut Command) -> Result<ExitStatus, Failure> {
    let status = command.status();
    status.map_err(|error| Failure::failed(format!("cannot run ssh: {error}")))
}

fn down(name: &LabName, args: &DownArgs) -> Result<(), Failure> {
    print(&format!("removed {}\n", s_core_lab::down(name)?))?;
    let Some(directory) = &args.cache else {
        return Ok(());
    };
    let cache = match directory {
        Some(directory) => Cache::new(directory).map_err(Failure::usage)?,
        None => Cache::default(),
    };
    let what = if cache.remove()? {
        "removed what was in"
    } else {
        "nothing was in"
    };
    print(&format!("{what} {}\n", cache.directory().display()))
}

fn known(plan: &Plan, number: u16) -> Result<HostNumber, Failure> {
    let mut hosts = plan.layout().hosts();
    let hosts_there = plan.layout().shape().hosts;
    hosts.find(|host| host.0 == number).ok_or_else(|| {
        Failure::usage(format!(
            "there is no host {number}: they are 1 to {hosts_there}"
        ))
    })
}
