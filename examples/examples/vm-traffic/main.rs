//! Who talks to whom on this host's Open vSwitch: VM pairs by bytes, live or from a saved dump.
//!
//! ```text
//! ovs-appctl dpctl/dump-flows | cargo run --example vm-traffic -- --dump -
//! ```

mod args;
mod live;
mod report;
mod saved;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Source};

fn main() -> ExitCode {
    s_core_examples::run(|| match Args::parse().source()? {
        (Source::Saved(source), form) => saved::run(&source, form),
        (Source::Live(source), form) => live::run(&source, form),
    })
}
