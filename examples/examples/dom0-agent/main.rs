//! The agent of a control domain; without arguments, a whole data centre of agents on this machine.

mod args;
mod demo;
mod host;
mod record;
mod view;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use s_core_examples::{Failure, run};
use tracing_subscriber::EnvFilter;

use args::{Cli, Command};

fn main() -> ExitCode {
    run(|| {
        let cli = Cli::parse();
        match (cli.command, cli.config) {
            (Some(Command::CheckConfig { file }), _) => {
                log("warn")?;
                host::check(&file)
            }
            (Some(Command::Clean { file }), _) => {
                log("warn")?;
                host::clean(&file)
            }
            (Some(Command::Receive { config, from }), _) => {
                log("warn")?;
                host::receive(&config, from)
            }
            (Some(Command::Capture { config, out }), _) => {
                log("warn")?;
                host::capture(&config, &out)
            }
            (None, Some(config)) => {
                log("info")?;
                host::serve(&config, cli.mint, cli.events.as_deref())
            }
            (None, None) => {
                log("error")?;
                demo::run(&cli.demo)
            }
        }
    })
}

/// Logs to standard error, as `RUST_LOG` says.
fn log(default: &str) -> Result<(), Failure> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) => EnvFilter::try_new(directives)
            .map_err(|error| Failure::usage(format!("RUST_LOG: {error}")))?,
        Err(_) => EnvFilter::new(default),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}
