//! `lab traffic`.

use std::collections::BTreeMap;
use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use s_core_examples::Failure;
use s_core_examples::cli::{count, print, si, table};
use s_core_examples::watch::Interrupt;
use s_core_lab::run::{RunLock, link_weights};
use s_core_lab::traffic::{
    Endpoint, Groups, Mix, PairTraffic, Payload, ProbeSeries, ProbeSettings, Probes, Reading,
    Sampler, Traffic, TrafficSettings, Truth, write_probes, write_throughput,
};
use s_core_lab::{HostNumber, LabName, Layout, VmNumber, load, prerequisites, status};
use s_core_model::{Rate, VmId};
use s_core_sim::snapshot::{Settings, Snapshot, TrafficEntry};

/// How often the program looks whether it is to end.
const TICK: Duration = Duration::from_millis(100);
/// How often throughput is sampled.
const SAMPLED_EVERY: Duration = Duration::from_millis(100);

/// What VMs exchange.
#[derive(Debug, Args)]
pub(crate) struct PairsArgs {
    /// Send what this snapshot's traffic.csv says, instead of the traffic of communicating groups
    #[arg(long, value_name = "DIR", conflicts_with_all = ["group_size", "utilisation", "total_mbit"])]
    matrix: Option<PathBuf>,
    /// As what is sent: weights of large TCP flows, short ones and UDP; by default as in the thesis, and a tenth UDP
    #[arg(long, value_name = "bulk=N,short=N,udp=N", default_value = "", hide_default_value = true, value_parser = mix)]
    mix: Mix,
    /// How many VMs a group has at least
    #[arg(long, value_name = "N", default_value_t = Groups::default().size)]
    group_size: u16,
    /// How much of the most loaded link is used, before anything has moved
    #[arg(long, value_name = "SHARE", default_value_t = Groups::default().utilisation)]
    utilisation: f64,
    /// The most that all VMs send together, in Mbit/s
    #[arg(long, value_name = "MBIT", default_value_t = Groups::default().most.bytes_per_second() * 8e-6)]
    total_mbit: f64,
    /// What groups and flows are drawn from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// `traffic`.
#[derive(Debug, Args)]
pub(crate) struct TrafficArgs {
    #[command(flatten)]
    pairs: PairsArgs,
    /// For how long, in seconds; a SIGINT (Ctrl-C) or SIGTERM ends it before
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=2_592_000))]
    seconds: u32,
    /// New groups every N seconds
    #[arg(long, value_name = "N", conflicts_with = "matrix", value_parser = clap::value_parser!(u32).range(1..))]
    changing: Option<u32>,
    /// Probe the round-trip time of the N pairs that exchange most
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(..=64))]
    probes: u16,
    /// Write a snapshot with the true rates, frames.csv, round-trips.csv and throughput.csv there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

fn mix(text: &str) -> Result<Mix, String> {
    match text {
        "" => Ok(Mix::default()),
        text => text.parse().map_err(|error| format!("{error}")),
    }
}

/// Lets the VMs of a laboratory send to each other, and prints what they do.
pub(crate) fn traffic(name: &LabName, args: &TrafficArgs) -> Result<(), Failure> {
    prerequisites()?;
    let layout = load(name)?;
    let changing = args.changing.map(|every| Duration::from_secs(every.into()));
    let plan = Plan::new(&layout, &args.pairs, changing)?;
    if let Some(out) = &args.out {
        Snapshot::check_target(out)?;
    }
    let _lock = RunLock::take(&layout)?;
    let interrupt = Interrupt::catch()?;
    let endpoints = Endpoint::all(&layout);
    let mut truth = Truth::open(endpoints.clone())?;
    let first = truth.read()?;
    let pairs = plan.pairs(0)?;
    let begin = Instant::now();
    let limit = Duration::from_secs(args.seconds.into());
    let settings = TrafficSettings {
        seed: args.pairs.seed,
        limit: limit + Duration::from_secs(5),
        ..TrafficSettings::default()
    };
    let running = Traffic::start(&endpoints, &pairs, settings)?;
    let watched = most_talkative(&pairs, args.probes.into());
    let probes = probes(&layout, &endpoints, &watched, ProbeSettings::from(begin))?;
    let sampler = Sampler::start(&running, &watched, SAMPLED_EVERY, begin)?;
    print(&format!(
        "{}, {}B/s in all, for {} s\n",
        count(pairs.len() as u64, "pair"),
        si(total(&pairs)),
        args.seconds,
    ))?;
    follow(&plan, &running, &mut truth, begin + limit, &interrupt)?;
    let series = (probes.stop()?, sampler.stop());
    let payload = running.stop()?;
    let last = truth.read()?;
    truth.remove()?;
    print(&report(&last.rates(&first), &series.0))?;
    match &args.out {
        None => Ok(()),
        Some(out) => {
            write(out, &layout, &first, &last, &payload)?;
            write_probes(&out.join("round-trips.csv"), &series.0)?;
            Ok(write_throughput(&out.join("throughput.csv"), &series.1)?)
        }
    }
}

/// Who sends what, now and later.
#[derive(Debug)]
pub(crate) enum Plan<'a> {
    Given(Vec<PairTraffic>),
    Groups {
        groups: Groups,
        layout: &'a Layout,
        changing: Option<Duration>,
    },
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        layout: &'a Layout,
        args: &PairsArgs,
        changing: Option<Duration>,
    ) -> Result<Self, Failure> {
        if let Some(dir) = &args.matrix {
            let pairs = PairTraffic::of_snapshot(&Snapshot::read(dir)?, args.mix);
            let known = |vm: VmId| layout.vm_of(vm).is_some();
            return match pairs.iter().find(|pair| !known(pair.a) || !known(pair.b)) {
                None => Ok(Self::Given(pairs)),
                Some(PairTraffic { a, b, .. }) => Err(Failure::failed(format!(
                    "{}: {a} and {b} are not both VMs of the laboratory",
                    dir.join(s_core_sim::snapshot::TRAFFIC_FILE).display()
                ))),
            };
        }
        let most = Rate::new(args.total_mbit * 1e6 / 8.0);
        let groups = Groups {
            size: args.group_size,
            utilisation: args.utilisation,
            most: most.map_err(|error| Failure::usage(format!("--total-mbit: {error}")))?,
            mix: args.mix,
            seed: args.seed,
            ..Groups::default()
        };
        groups.pairs(layout, 0).map_err(Failure::usage)?;
        Ok(Self::Groups {
            groups,
            layout,
            changing,
        })
    }

    pub(crate) fn pairs(&self, step: u64) -> Result<Vec<PairTraffic>, Failure> {
        match self {
            Self::Given(pairs) => Ok(pairs.clone()),
            Self::Groups { groups, layout, .. } => Ok(groups.pairs(layout, step)?),
        }
    }

    /// After how long other pairs take over.
    const fn changing(&self) -> Option<Duration> {
        match self {
            Self::Given(_) => None,
            Self::Groups { changing, .. } => *changing,
        }
    }
}

/// Says every second how much is sent, and changes what is sent when it is time, until the end.
fn follow(
    plan: &Plan<'_>,
    running: &Traffic,
    truth: &mut Truth,
    end: Instant,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let begin = Instant::now();
    let shown = std::io::stdout().is_terminal();
    let mut before = truth.read()?;
    let mut step = 0;
    while Instant::now() < end && !interrupt.is_caught() && !running.is_over() {
        thread::sleep(TICK.min(end.saturating_duration_since(Instant::now())));
        if let Some(every) = plan.changing()
            && begin.elapsed() >= every.saturating_mul(u32::try_from(step + 1).unwrap_or(u32::MAX))
        {
            step += 1;
            running.change(&plan.pairs(step)?)?;
        }
        if shown && before.at().elapsed() >= Duration::from_secs(1) {
            let now = truth.read()?;
            let rates = now.rates(&before);
            let rate: Rate = rates.iter().map(|row| row.rate).sum();
            let seconds = begin.elapsed().as_secs();
            let rate = si(rate.bytes_per_second());
            print(&format!("{seconds:>5} s  {rate}B/s\n"))?;
            before = now;
        }
    }
    Ok(())
}

fn total(pairs: &[PairTraffic]) -> f64 {
    let sum: Rate = pairs.iter().map(|pair| pair.rate).sum();
    sum.bytes_per_second()
}

fn most_talkative(pairs: &[PairTraffic], most: usize) -> Vec<(VmId, VmId)> {
    let mut pairs = pairs.to_vec();
    pairs.sort_by_key(|pair| (std::cmp::Reverse(pair.rate), pair.a, pair.b));
    pairs.truncate(most);
    pairs.iter().map(|pair| (pair.a, pair.b)).collect()
}

fn probes(
    layout: &Layout,
    endpoints: &[Endpoint],
    pairs: &[(VmId, VmId)],
    settings: ProbeSettings,
) -> Result<Probes, Failure> {
    let endpoint = |vm: VmId| {
        let number = layout.vm_of(vm)?.0.checked_sub(1)?;
        endpoints.get(usize::try_from(number).ok()?).cloned()
    };
    let pairs = pairs
        .iter()
        .filter_map(|&(a, b)| Some((endpoint(a)?, endpoint(b)?)));
    Ok(Probes::start(&pairs.collect::<Vec<_>>(), settings)?)
}

fn report(rates: &[TrafficEntry], probed: &[ProbeSeries]) -> String {
    let mut rows = table(&["VM", "VM", ">bytes/s"]);
    let mut rates = rates.to_vec();
    rates.sort_by_key(|row| std::cmp::Reverse(row.rate));
    for row in rates.iter().take(20) {
        let rate = si(row.rate.bytes_per_second());
        rows.add_row([row.vm_a.to_string(), row.vm_b.to_string(), rate]);
    }
    let mut text = format!("{}\n", rows.trim_fmt());
    if let Some(more) = rates.len().checked_sub(20).filter(|more| *more > 0) {
        text += &format!("and {}\n", count(more as u64, "other pair"));
    }
    let mut rows = table(&[
        "from",
        "to",
        ">median ms",
        ">99 % ms",
        ">lost",
        ">longest gap s",
    ]);
    for series in probed {
        let quantile = |share| {
            let found: Option<Duration> = series.quantile(share);
            found.map_or("-".into(), |time| {
                format!("{:.2}", time.as_secs_f64() * 1e3)
            })
        };
        rows.add_row([
            series.from.to_string(),
            series.to.to_string(),
            quantile(0.5),
            quantile(0.99),
            format!("{} of {}", series.lost(), series.probes.len()),
            format!("{:.2}", series.longest_gap().as_secs_f64()),
        ]);
    }
    if !probed.is_empty() {
        text += &format!("\n{}\n", rows.trim_fmt());
    }
    text
}

/// Writes the snapshot of the whole time, with the VMs where they are now, and all frames.
fn write(
    out: &Path,
    layout: &Layout,
    first: &Reading,
    last: &Reading,
    payload: &BTreeMap<(VmId, VmId), Payload>,
) -> Result<(), Failure> {
    let hosts = status(layout.name())?.hosts;
    let home = |vm: VmNumber| -> HostNumber {
        let on =
            |host: &&s_core_lab::HostStatus| host.vms.as_ref().is_ok_and(|vms| vms.contains(&vm));
        let host = hosts.iter().find(on).map(|host| host.host);
        host.unwrap_or_else(|| layout.first_host(vm))
    };
    let settings = Settings::new(link_weights(layout));
    s_core_lab::traffic::snapshot(layout, home, last.rates(first), settings)?.write(out)?;
    let mut text = String::from("from,to,packets,bytes,payload_bytes\n");
    for ((from, to), frames) in last.since(first) {
        let payload = payload.get(&(from, to)).map_or(0, |payload| payload.sent);
        text += &format!(
            "{from},{to},{},{},{payload}\n",
            frames.packets, frames.bytes
        );
    }
    let path = out.join("frames.csv");
    fs::write(&path, text).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}
