//! `lab`: a data centre of Open vSwitch hosts on this machine.

mod args;
mod run;
mod status;
mod traffic;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use s_core_examples::cli::{count, print};
use s_core_examples::watch::Interrupt;
use s_core_examples::{Failure, run};
use s_core_lab::{HostNumber, LabName, Layout};

use args::{AgentArgs, Cli, Command};

fn main() -> ExitCode {
    run(|| {
        let Cli { command, name } = Cli::parse();
        match command {
            Command::Up(shape) => up(&Layout::new(name, shape.into()).map_err(Failure::usage)?),
            Command::Down => print(&format!("removed {}\n", s_core_lab::down(&name)?)),
            Command::Status(args) => status::status(&name, args),
            Command::Traffic(args) => traffic::traffic(&name, &args),
            Command::Run(args) => run::run(name, *args),
            Command::Agent(args) => agent(&name, &args),
        }
    })
}

/// The agent of a host, which `run` starts in the host's network.
fn agent(name: &LabName, args: &AgentArgs) -> Result<(), Failure> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let layout = s_core_lab::load(name)?;
    Ok(s_core_lab::run::serve(
        &layout,
        HostNumber(args.host),
        &args.configuration,
    )?)
}

fn up(layout: &Layout) -> Result<(), Failure> {
    let begun = Instant::now();
    let interrupt = Interrupt::catch()?;
    s_core_lab::up_unless(layout, &|| interrupt.is_caught())?;
    let [hosts, vms] = [layout.hosts().count(), layout.vms().count()].map(|n| n as u64);
    print(&format!(
        "{} with {} is up after {:.1} s. To remove it: lab down --name {}\n",
        count(hosts, "host"),
        count(vms, "VM"),
        begun.elapsed().as_secs_f64(),
        layout.name()
    ))
}
