//! `xen-lab`: Xen hosts on this machine, each in an emulator.

mod args;
mod fault;
mod measure;
mod run;
mod show;
mod status;
mod up;

use std::process::{Command, ExitStatus};
use std::time::Instant;

use clap::Parser;
use s_core_examples::cli::print;
use s_core_examples::{Failure, run};
use s_core_lab::{HostNumber, LabName};
use s_core_xen_lab::{Plan, Remote};

use tracing_subscriber::EnvFilter;

use args::{CacheArgs, Cli, DownArgs, Task};

fn main() -> std::process::ExitCode {
    run(|| {
        let Cli { task, name } = Cli::parse();
        log();
        match task {
            Task::Build(args) => build(&args),
            Task::Up(args) => up::up(name, &args),
            Task::Run(args) => run::run(&name, &args),
            Task::Measure(args) => measure::measure(&name, &args),
            Task::Fault(args) => fault::fault(&name, &args),
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
    let plan = Plan::of(name)?;
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
    let cache = args.cache.as_ref();
    let cache = cache.map(|directory| args::cache(directory.as_deref()));
    let cache = cache.transpose()?;
    print(&format!("removed {}\n", s_core_lab::down(name)?))?;
    let Some(cache) = cache else {
        return Ok(());
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
