//! `xen-lab measure`: migrations under load, as the thesis's Figs. 5.9 to 5.11.

mod figures;
mod statistics;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use s_core_examples::Failure;
use s_core_examples::cli::{count, print};
use s_core_examples::watch::Interrupt;
use s_core_lab::LabName;
use s_core_sim::report::{Document, REPORT_FILE};
use s_core_xen_lab::measure::{Hosts, Log, Outcome, Row, Settings, measure as take};

use crate::run::TransportArg;

/// The file of migrations in the directory of the report.
const MIGRATIONS_FILE: &str = "migrations.csv";
/// How long the VM is probed before a migration and after.
const MARGIN: Duration = Duration::from_secs(3);
/// How long it may take until it is known where the VM is.
const PATIENCE: Duration = Duration::from_secs(120);

/// `measure`.
#[derive(Debug, Args)]
pub(crate) struct MeasureArgs {
    /// Measure on the hosts that this file (TOML) names, instead of on the first two of the testbed
    #[arg(long, value_name = "FILE")]
    hosts: Option<PathBuf>,
    /// How the memory of the VM gets from host to host
    #[arg(long, value_enum, default_value_t, conflicts_with = "hosts")]
    transport: TransportArg,
    /// Background load in per cent of the link's rate
    #[arg(long, value_name = "PERCENT,…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(0..=100),
        default_value = "0,10,20,30,40,50,60,70,80,90,100")]
    loads: Vec<u32>,
    /// How many migrations at each load, those of earlier calls included
    #[arg(long, value_name = "N", default_value_t = 20)]
    migrations: usize,
    /// After so many minutes no further migration begins; 0 only writes the report
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=100_000))]
    minutes: u64,
    /// The VM is probed so often; on real hosts 1, as in the thesis
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    probe_ms: u64,
    /// The highest rate at which the VM writes memory, in MB/s; each migration draws its own. With 0 it is not told anything
    #[arg(long, value_name = "MB/S", default_value_t = 1.0, value_parser = rate)]
    dirty: f64,
    /// How much memory the VM writes to, in MiB: a VM of 40 MiB has no more
    #[arg(long, value_name = "MIB", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=4096))]
    working_set: u32,
    /// What the order of loads and the rates of writing are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Where the report goes, and the migrations that the next call goes on from
    #[arg(long, value_name = "DIR", default_value = "migration-figures")]
    out: PathBuf,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: Option<f64> = text.parse().ok();
    let rate = rate.filter(|rate| (0.0..=1000.0).contains(rate));
    rate.ok_or_else(|| "give a number from 0 to 1000".into())
}

/// Measures on the testbed of this name or on other hosts. Whatever ends it, what was measured becomes a report.
pub(crate) fn measure(name: &LabName, args: &MeasureArgs) -> Result<(), Failure> {
    Document::check_target(&args.out)?;
    let hosts = match &args.hosts {
        _ if args.minutes == 0 => None,
        Some(file) => Some(Hosts::read(file)?),
        None => Some(Hosts::of_testbed(name, args.transport.into())?),
    };
    let mut log = Log::open(&args.out.join(MIGRATIONS_FILE))?;
    let ended = hosts.map_or(Ok(()), |hosts| migrate(&hosts, args, &mut log));
    if log.rows().is_empty() && ended.is_err() {
        return ended;
    }
    let document = figures::document(log.rows());
    document.write(&args.out)?;
    print(&statistics::text(log.rows()))?;
    let report = args.out.join(REPORT_FILE);
    print(&format!("report: {}\n", report.display()))?;
    ended
}

fn migrate(hosts: &Hosts, args: &MeasureArgs, log: &mut Log) -> Result<(), Failure> {
    let settings = Settings {
        loads: args.loads.clone(),
        migrations: args.migrations,
        limit: Duration::from_secs(60 * args.minutes),
        probe: Duration::from_millis(args.probe_ms),
        most_dirty: args.dirty,
        working_set_mib: args.working_set,
        seed: args.seed,
        margin: MARGIN,
        patience: PATIENCE,
    };
    let interrupt = Interrupt::catch()?;
    let [one, other] = hosts.names();
    print(&format!(
        "{} back and forth between {one} and {other}, a link of {} Mbit/s; {} so far. Ctrl-C ends it after the migration that is under way.\n",
        hosts.vm(),
        hosts.link_mbit(),
        count(log.rows().len() as u64, "migration"),
    ))?;
    let stop = || interrupt.is_caught();
    let mut printed = Ok(());
    let tell = &mut |row: &Row| {
        if printed.is_ok() {
            printed = print(&line(row));
        }
    };
    take(hosts, &settings, log, &stop, tell)?;
    printed
}

/// A migration for people.
fn line(row: &Row) -> String {
    let known = |value: Option<f64>, unit| {
        value.map_or_else(|| format!("? {unit}"), |value| format!("{value:.1} {unit}"))
    };
    let mut line = format!(
        "{:>3} % load: {} in {}, down {}",
        row.load_percent,
        known(row.bytes.map(|bytes| bytes as f64 / 1e6), "MB"),
        known(row.seconds, "s"),
        known(row.downtime_ms, "ms"),
    );
    match row.outcome {
        Outcome::Moved => {}
        Outcome::Stayed => line += "; the VM stayed",
        Outcome::Unknown => line += "; where the VM is is not known",
    }
    if !row.problem.is_empty() {
        line = line + ": " + &row.problem;
    }
    line + "\n"
}
