//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use s_core_backend::InterfaceName;
use s_core_examples::Failure;

const AFTER_HELP: &str = "\
Examples:
  ovs-appctl dpctl/dump-flows > flows.txt
  vm-traffic --dump flows.txt
  vm-traffic --socket /run/openvswitch --interval 10 --json";

const AFTER_LONG_HELP: &str = "\
Examples:
  ovs-appctl dpctl/dump-flows > flows.txt
  vm-traffic --dump flows.txt
  vm-traffic --socket /run/openvswitch --interval 10 --json
  vm-traffic --socket /run/openvswitch --ip-pair-rule xenbr0
  vm-traffic --socket /run/openvswitch --ovsdb /run/openvswitch/db.sock --netflow xenbr0

An end of a pair is an IP address, or a MAC address where the switch keeps no more. With the NORMAL
action alone it keeps only MAC addresses; --ip-pair-rule sets a rule that makes it keep pairs of IPv4
addresses, and takes it away at the end; one that an agent keeps there already is left to it. To set it
for good:
  ovs-ofctl add-flow BRIDGE 'priority=10,ip,actions=move:NXM_OF_IP_SRC[]->NXM_NX_REG0[],move:NXM_OF_IP_DST[]->NXM_NX_REG1[],NORMAL'

--json writes one object per report on a line of its own:
  {\"pairs\": [{\"vm_a\", \"vm_b\", \"bytes\", \"bytes_per_second\"}], \"unattributed\": {REASON: {\"flows\", \"bytes\"}}}
Bytes are whole Ethernet frames, both directions together; live, those of the report's interval.
bytes_per_second is null for a dump without --seconds, since a dump does not tell its duration.
unattributed is what the flows that the switch holds have counted since they were made; a reason
recirculated is no loss: these packets are counted once more in a later flow.
The first packet of a datapath flow is in no counter; --netflow has it, and costs the switch a flow
per connection.";

/// Who talks to whom on this host's Open vSwitch: VM pairs by bytes, live or from a saved dump.
#[derive(Debug, Parser)]
#[command(name = "vm-traffic", version, after_help = AFTER_HELP, after_long_help = AFTER_LONG_HELP)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["dump", "socket"]))]
pub(crate) struct Args {
    /// A saved dump (of 'ovs-appctl dpctl/dump-flows' or 'ovs-dpctl dump-flows'), or - for standard input
    #[arg(long, value_name = "FILE")]
    dump: Option<PathBuf>,

    /// How long the dump's flows had been counting, in seconds; gives rates
    #[arg(long, value_name = "S", requires = "dump", value_parser = seconds)]
    seconds: Option<Duration>,

    /// The directory that ovs-vswitchd runs from, mostly /run/openvswitch, or its control socket
    #[arg(long, value_name = "DIR")]
    socket: Option<PathBuf>,

    /// Seconds between two reports
    #[arg(long, value_name = "S", default_value = "5", conflicts_with = "dump", value_parser = seconds)]
    interval: Duration,

    /// Ends after N reports (with --csv: 1)
    #[arg(long, value_name = "N", conflicts_with = "dump", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Which datapath, where the switch has several (such as netdev@ovs-netdev)
    #[arg(long, value_name = "NAME", conflicts_with = "dump")]
    datapath: Option<String>,

    /// The database socket (/run/openvswitch/db.sock): names the VMs' interfaces in the table
    #[arg(long, value_name = "PATH", conflicts_with = "dump")]
    ovsdb: Option<PathBuf>,

    /// Reads the kernel's datapath from the kernel, not through ovs-vswitchd; for programs built with --features netlink
    #[arg(long, conflicts_with_all = ["dump", "netflow"])]
    netlink: bool,

    /// Sets the IP-pair rule on this bridge meanwhile: pairs of IPv4 addresses in place of MAC addresses
    #[arg(long, value_name = "BRIDGE", conflicts_with = "dump")]
    ip_pair_rule: Option<InterfaceName>,

    /// Has this bridge export NetFlow meanwhile and reads that: exact, IPv4 only; needs --ovsdb. Not beside an agent that
    /// reads it too: each would have it exported to itself
    #[arg(long, value_name = "BRIDGE", requires = "ovsdb", conflicts_with_all = ["dump", "datapath", "ip_pair_rule"])]
    netflow: Option<InterfaceName>,

    /// Writes one JSON object per report
    #[arg(long, conflicts_with = "csv")]
    json: bool,

    /// Writes a traffic.csv of the pairs of IPv4 addresses
    #[arg(long)]
    csv: bool,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Table,
    Json,
    Csv,
}

/// Where the flows come from.
#[derive(Debug)]
pub(crate) enum Source {
    Saved(Saved),
    Live(Live),
}

/// A saved dump.
#[derive(Debug)]
pub(crate) struct Saved {
    pub(crate) file: PathBuf,
    pub(crate) duration: Option<Duration>,
}

/// A running switch.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) socket: PathBuf,
    pub(crate) interval: Duration,
    pub(crate) count: Option<u64>,
    pub(crate) datapath: Option<String>,
    pub(crate) ovsdb: Option<PathBuf>,
    pub(crate) netlink: bool,
    pub(crate) ip_pair_rule: Option<InterfaceName>,
    pub(crate) netflow: Option<InterfaceName>,
}

impl Args {
    /// What is asked for, checked for what clap cannot check.
    pub(crate) fn source(self) -> Result<(Source, Form), Failure> {
        let form = match (self.json, self.csv) {
            (true, _) => Form::Json,
            (_, true) => Form::Csv,
            _ => Form::Table,
        };
        if let Some(socket) = self.socket {
            if form == Form::Csv && self.count.unwrap_or(1) != 1 {
                return Err(Failure::usage(
                    "--csv writes one traffic.csv: leave --count out or give 1",
                ));
            }
            let live = Live {
                socket,
                interval: self.interval,
                count: if form == Form::Csv {
                    Some(1)
                } else {
                    self.count
                },
                datapath: self.datapath,
                ovsdb: self.ovsdb,
                netlink: self.netlink,
                ip_pair_rule: self.ip_pair_rule,
                netflow: self.netflow,
            };
            return Ok((Source::Live(live), form));
        }
        let Some(file) = self.dump else {
            return Err(Failure::usage("give --dump FILE or --socket DIR"));
        };
        if form == Form::Csv && self.seconds.is_none() {
            return Err(Failure::usage(
                "--csv holds bytes per second, and a dump does not tell its duration: give it with --seconds S",
            ));
        }
        let saved = Saved {
            file,
            duration: self.seconds,
        };
        Ok((Source::Saved(saved), form))
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let wanted = "seconds between 0.1 and 86400 are wanted";
    let seconds: f64 = text.parse().map_err(|_| wanted.to_owned())?;
    if !(0.1..=86_400.0).contains(&seconds) {
        return Err(wanted.to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}
