//! `simulate`: runs the token over a data centre, made up after chapter 5 or read from a snapshot,
//! and compares the passing policies with each other, with other systems and with reference optima.

mod args;
mod data_centre;
mod merge;
mod report;
mod run;
mod sweep;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

fn main() -> ExitCode {
    s_core_examples::run(|| {
        let cli = Cli::parse();
        match &cli.command {
            Some(Command::Sweep(args)) => sweep::sweep(args),
            Some(Command::Merge(args)) => merge::merge(args),
            None => run::simulate(&cli.run),
        }
    })
}
