//! `fault-world`: the protocol's nodes in a world where everything goes wrong that can.

mod args;
#[cfg(feature = "mutations")]
mod mutations;
mod report;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use s_core_examples::cli::{count, print};
use s_core_examples::{Failure, run};
use s_core_sim::fault_world::{self, Batch, Outcome};

use args::Args;

fn main() -> ExitCode {
    run(|| {
        let args = Args::parse();
        #[cfg(feature = "mutations")]
        if args.mutations {
            return mutations::all(args.first, args.seeds.into());
        }
        match args.seed {
            Some(seed) => one(seed, &args),
            None => batch(&args),
        }
    })
}

fn one(seed: u64, args: &Args) -> Result<(), Failure> {
    let outcome = fault_world::run(seed, &args.options());
    let mut text = outcome.trace.join("\n");
    if args.trace {
        text.push('\n');
    }
    text.push_str(&report::seed(&outcome));
    print(&text)?;
    match outcome.violation {
        Some(violation) => Err(Failure::failed(format!("seed {seed}: {violation}"))),
        None => Ok(()),
    }
}

fn batch(args: &Args) -> Result<(), Failure> {
    let options = args.options();
    let began = Instant::now();
    let mut batch = Batch::default();
    let progress = Progress::new(u64::from(args.seeds));
    for seed in (args.first..).take(args.seeds as usize) {
        let outcome = fault_world::run(seed, &options);
        batch.add(&outcome);
        progress.show(&batch);
        tell(&outcome, args);
    }
    progress.end();
    print(&report::batch(&batch, began.elapsed()))?;
    let failed = batch.failed.len() as u64;
    if failed > 0 {
        let message = format!(
            "{} of {} broke an invariant",
            count(failed, "seed"),
            batch.seeds
        );
        return Err(Failure::failed(message));
    }
    let missed: Vec<_> = batch.marks.missed().map(|mark| mark.name()).collect();
    if missed.is_empty() {
        Ok(())
    } else {
        let missed = missed.join("; ");
        Err(Failure::failed(format!(
            "the batch has not tested enough, run more seeds: never happened: {missed}"
        )))
    }
}

/// A seed that failed, and how to see why.
fn tell(outcome: &Outcome, args: &Args) {
    if let Some(violation) = &outcome.violation {
        let seed = outcome.seed;
        eprintln!("seed {seed}: {violation}\n  {}", args.replay(seed));
    }
}

/// How far a batch has come, on a terminal.
struct Progress {
    seeds: u64,
    shown: bool,
}

impl Progress {
    fn new(seeds: u64) -> Self {
        let shown = std::io::stderr().is_terminal();
        Self { seeds, shown }
    }

    fn show(&self, batch: &Batch) {
        const WIDTH: u64 = 40;
        if self.shown && batch.seeds.is_multiple_of(20) {
            let done = (batch.seeds * WIDTH / self.seeds) as usize;
            let bar = "█".repeat(done) + &"░".repeat(WIDTH as usize - done);
            let (seeds, all) = (batch.seeds, self.seeds);
            eprint!(
                "\r{bar} {seeds}/{all} seeds, {} failed ",
                batch.failed.len()
            );
            // A bar that cannot be shown is no failure.
            let _ = std::io::stderr().flush();
        }
    }

    fn end(&self) {
        if self.shown {
            eprintln!();
        }
    }
}
