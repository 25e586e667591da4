//! `simulate sweep`: many runs from one file.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::thread;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use s_core_examples::Failure;
use s_core_examples::cli::{count, print, print_bytes};
use s_core_examples::watch::Interrupt;
use s_core_sim::sweep::{Ended, RunSpec, Sweep, SweepDir, SweepWatch, Tally, run_all};

/// The most runs at a time: each is a thread and may have a data centre of its own in memory.
const MAX_JOBS: usize = 1024;

/// Does all runs that a file names, on all cores.
///
/// A run that is done already is left as it is, so the same call goes on where an earlier one stopped.
/// Ctrl-C stops the runs that have begun and keeps what they have computed, marked as partial; they are
/// done again next time. A second Ctrl-C ends at once.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SweepArgs {
    /// The file: lists of seeds, topologies, policies, migration costs and so on (TOML)
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write a directory there for each run: placement.csv, migrations.csv, summary.json and run.json
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print for each run a shell command that does it, and do nothing
    #[arg(long, conflicts_with_all = ["only", "jobs"])]
    list: bool,
    /// Do this run alone, named as --list and the directories name it
    #[arg(long, value_name = "ID", conflicts_with = "jobs")]
    only: Option<String>,
    /// How many runs at a time; by default one per core
    #[arg(long, value_name = "N", value_parser = jobs, allow_negative_numbers = true)]
    jobs: Option<NonZeroUsize>,
}

const EXAMPLES: &str = "\
A file like this asks for 2 x 20 x 3 = 120 runs:
  policies = [\"round-robin\", \"distributed\"]
  seeds = { first = 1, last = 20 }
  migration_costs = [0, \"10%\", \"10%mean\"]
  topologies = [\"tree:4,4,4,2x20\"]
It may also have vm_slots, vms, placements, link_weights, flows_per_vm, windows, vms_per_application,
target_choices, starts, max_rounds, baselines, references, populations (of references = [\"genetic\"]).

Examples:
  simulate sweep sweep.toml --out /tmp/runs
  simulate sweep sweep.toml --out /tmp/runs --list | parallel
  simulate merge /tmp/runs --out /tmp/merged

Exit codes: 0 success, 1 failure or interrupted, 2 wrong call.";

fn jobs(text: &str) -> Result<NonZeroUsize, String> {
    let jobs = text
        .parse()
        .ok()
        .filter(|jobs: &NonZeroUsize| jobs.get() <= MAX_JOBS);
    jobs.ok_or_else(|| format!("give a whole number from 1 to {MAX_JOBS}"))
}

/// Does what the command says.
pub(crate) fn sweep(args: &SweepArgs) -> Result<(), Failure> {
    let sweep = Sweep::read(&args.file)?;
    if args.list {
        return list(args, &sweep);
    }
    let runs = match &args.only {
        None => sweep.runs().collect(),
        Some(id) => vec![only(args, &sweep, id)?],
    };
    let dir = SweepDir::create(&args.out)?;
    let watch = Watch::new()?;
    let cores = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let jobs = args.jobs.unwrap_or_else(cores);
    let total = runs.len();
    let tally = run_all(runs, &dir, jobs, &watch);
    watch.bar.finish_and_clear();
    end(args, &tally?, total)
}

/// The run of this name.
fn only(args: &SweepArgs, sweep: &Sweep, id: &str) -> Result<RunSpec, Failure> {
    sweep.runs().find(|run| run.id() == id).ok_or_else(|| {
        let file = args.file.display();
        Failure::usage(format!(
            "--only {id}: {file} has no such run; --list shows their names"
        ))
    })
}

/// Says what became of the runs.
fn end(args: &SweepArgs, tally: &Tally, total: usize) -> Result<(), Failure> {
    let number = |runs: usize| count(runs as u64, "run");
    let mut text = format!("{} of {} done", tally.done + tally.already, number(total));
    let parts = [
        (tally.already, "of them before or by others"),
        (tally.partial, "stopped on the way and kept as partial"),
        (tally.elsewhere, "under way in another process"),
        (tally.left, "not begun"),
        (tally.failed.len(), "not possible"),
    ];
    for (runs, what) in parts.iter().filter(|(runs, _)| *runs > 0) {
        text += &format!(", {runs} {what}");
    }
    let out = args.out.display();
    if let Some(failed) = tally.failed.first() {
        return Err(Failure::failed(format!(
            "{out}: {text}; the first is {}: {}",
            failed.id, failed.error
        )));
    }
    if tally.partial + tally.left > 0 {
        return Err(Failure::failed(format!(
            "{out}: interrupted: {text}; the same call goes on"
        )));
    }
    if args.only.is_some() && tally.elsewhere > 0 {
        return Err(Failure::failed(format!(
            "{out}: {text}; wait for it, or end it and call this again"
        )));
    }
    print(&format!("{out}: {text}\n"))
}

/// Draws a bar of the runs, and knows whether the user has asked for an end.
struct Watch {
    interrupt: Interrupt,
    bar: ProgressBar,
}

impl Watch {
    fn new() -> std::io::Result<Self> {
        let style = "{elapsed} {wide_bar} {pos}/{len} runs, {eta} left\n{wide_msg}";
        let style = ProgressStyle::with_template(style).expect("the template is well-formed");
        // Hidden by itself where standard error is no terminal.
        Ok(Self {
            interrupt: Interrupt::catch()?,
            bar: ProgressBar::new(0).with_style(style),
        })
    }

    fn say(&self, message: impl FnOnce() -> String) {
        if self.is_stopped() {
            self.bar.set_message("stopping; Ctrl-C ends at once");
        } else if !self.bar.is_hidden() {
            self.bar.set_message(message());
        }
    }
}

impl SweepWatch for Watch {
    fn planned(&self, runs: usize) {
        self.bar.set_length(runs as u64);
        self.bar.tick();
    }

    fn begun(&self, id: &str) {
        self.say(|| id.to_owned());
    }

    fn progress(&self, id: &str, done: f64) {
        self.say(|| format!("{id} {:.0} %", 100.0 * done));
    }

    fn ended(&self, _: &str, _: &Ended) {
        self.bar.inc(1);
    }

    fn is_stopped(&self) -> bool {
        self.interrupt.is_caught()
    }
}

/// A line for each run, which a shell takes as one command.
fn list(args: &SweepArgs, sweep: &Sweep) -> Result<(), Failure> {
    let program = std::env::args_os()
        .next()
        .unwrap_or_else(|| OsString::from("simulate"));
    let mut before = Vec::new();
    for word in [
        &program,
        OsStr::new("sweep"),
        args.file.as_os_str(),
        OsStr::new("--out"),
        args.out.as_os_str(),
    ] {
        before.extend(quoted(word));
        before.push(b' ');
    }
    let mut lines = Vec::new();
    for run in sweep.runs() {
        lines.extend_from_slice(&before);
        lines.extend_from_slice(b"--only ");
        lines.extend(quoted(OsStr::new(&run.id())));
        lines.push(b'\n');
    }
    print_bytes(&lines)
}

/// A word as a shell reads it: as it is where nothing in it has a meaning, else in single quotes.
fn quoted(word: &OsStr) -> Vec<u8> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./+:,=@".contains(byte);
    let bytes = word.as_bytes();
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return bytes.to_vec();
    }
    let mut quoted = vec![b'\''];
    for byte in bytes {
        match byte {
            b'\'' => quoted.extend_from_slice(br"'\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}
