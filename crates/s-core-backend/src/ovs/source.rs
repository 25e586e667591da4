//! A running Open vSwitch as a flow source.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use s_core_flow::MacAddr;

use super::dump::{LineError, read_dump};
use super::flow_limit::FlowLimit;
use super::ip_pair_rule::{Found, IpPairRule};
#[cfg(feature = "netlink")]
use super::netlink;
use super::ovsdb::Ovsdb;
use super::unixctl::Unixctl;
use super::{MacTable, attribute};
use crate::{FlowSource, FlowSourceError, InterfaceName, Poll};

/// How many stations the table of a source holds.
const STATIONS: usize = 1 << 20;

/// How many polls pass until the database is asked again which interfaces are VMs'.
const POLLS_PER_ATTACHMENT: u32 = 15;

/// The part of a poll's time that anything beside the dump may take: the poll's time is when the dump was taken.
const ASIDE: u32 = 5;

/// The datapath flows of a running Open vSwitch, userspace or kernel.
///
/// Each poll is a `dpctl/dump-flows` without `-m`: it is a third as long, and it prints
/// every matched field with its mask, so that two flows never print alike.
/// The switch answers from its main thread, which does nothing else meanwhile (half a second for
/// 100,000 flows): poll every second or two, not more often.
///
/// The ends of its counters are [attributed](attribute): where the switch keeps only MAC addresses, they are IPv4
/// addresses if those of both ends are known. They are learnt from flows; what is
/// [configured](Self::with_addresses), and what the [database](Self::with_ovsdb) says, counts more.
///
/// Now and then the switch is asked how many flows it may keep; when it keeps nine tenths of that, a warning is logged.
///
/// ```no_run
/// use std::time::Duration;
/// use s_core_backend::FlowSource;
/// use s_core_backend::ovs::OvsFlowSource;
///
/// let mut switch = OvsFlowSource::new("/run/openvswitch", 7).with_ovsdb("/run/openvswitch/db.sock");
/// for flow in switch.poll(Duration::from_secs(5))?.counters {
///     println!("{} to {}: {} bytes", flow.src, flow.dst, flow.bytes);
/// }
/// # Ok::<(), s_core_backend::FlowSourceError>(())
/// ```
#[derive(Debug)]
pub struct OvsFlowSource {
    unixctl: Unixctl,
    #[cfg(feature = "netlink")]
    netlink: bool,
    datapath: Option<String>,
    seed: u64,
    stations: MacTable,
    database: Option<Database>,
    rule: Option<IpPairRule>,
    limit: FlowLimit,
    errors: Vec<LineError>,
}

impl OvsFlowSource {
    /// The switch whose control socket, or the directory that it is in, is at `path`; see [`Unixctl::new`].
    ///
    /// `seed` seeds the flows' ids and the table of stations. Take it from a source that tenants
    /// cannot guess, since they choose the addresses that are hashed.
    pub fn new(path: impl Into<PathBuf>, seed: u64) -> Self {
        Self {
            unixctl: Unixctl::new(path),
            #[cfg(feature = "netlink")]
            netlink: false,
            datapath: None,
            seed,
            stations: MacTable::new(STATIONS, seed),
            database: None,
            rule: None,
            limit: FlowLimit::default(),
            errors: Vec::new(),
        }
    }

    /// Asks for this datapath (`netdev@ovs-netdev`, `system@ovs-system`); needed only where the
    /// switch has several.
    #[must_use]
    pub fn with_datapath(mut self, name: impl Into<String>) -> Self {
        self.datapath = Some(name.into());
        self
    }

    /// Reads the flows of the kernel's datapath from the kernel ([`netlink`]), in the
    /// network that the polling thread is in. The switch's control socket is then used for all but the dump.
    #[cfg(feature = "netlink")]
    #[cfg_attr(docsrs, doc(cfg(feature = "netlink")))]
    #[must_use]
    pub fn with_netlink(mut self) -> Self {
        self.netlink = true;
        self
    }

    /// Asks the database whose socket is at `path` which interfaces are VMs', now and then ([`MacTable::attach`]).
    ///
    /// The switch is read first, and the database gets what is left of the deadline, at most a second. If it does
    /// not answer, polls go on with what is known; a warning is logged once.
    #[must_use]
    pub fn with_ovsdb(mut self, path: impl Into<PathBuf>) -> Self {
        self.database = Some(Database {
            ovsdb: Ovsdb::new(path),
            polls: 0,
            failing: false,
        });
        self
    }

    /// Keeps the IP-pair rule ([`super`]) on this bridge: sets it in the first poll, puts it back when it is gone
    /// (a switch that was started again and a bridge that was made again have no rules), and takes it away when the
    /// source is dropped. It is known by its cookie, [`IP_PAIR_COOKIE`](super::IP_PAIR_COOKIE).
    ///
    /// A rule that is found is taken for one that a killed process has left: it is put right if it is of another version, and
    /// taken away at the end. So this is for the one program that keeps the rule on this host.
    ///
    /// Where it cannot be set, a warning is logged once, and polls go on. Runs `ovs-ofctl`.
    #[must_use]
    pub fn with_ip_pair_rule(mut self, bridge: InterfaceName) -> Self {
        self.rule = Some(self.rule_on(bridge, Found::Adopted));
        self
    }

    /// As [`with_ip_pair_rule`](Self::with_ip_pair_rule), beside a program that may keep the rule too: one that is found
    /// is left as it is, and left there at the end; only one that this source has set is taken away.
    #[must_use]
    pub fn with_ip_pair_rule_unless_set(mut self, bridge: InterfaceName) -> Self {
        self.rule = Some(self.rule_on(bridge, Found::Left));
        self
    }

    fn rule_on(&self, bridge: InterfaceName, found: Found) -> IpPairRule {
        IpPairRule::new(&self.unixctl.run_dir(), bridge, found)
    }

    /// Gives the addresses of VMs that are known beforehand ([`MacTable::configure`]).
    #[must_use]
    pub fn with_addresses(
        mut self,
        addresses: impl IntoIterator<Item = (MacAddr, Ipv4Addr)>,
    ) -> Self {
        for (mac, address) in addresses {
            self.stations.configure(mac, address);
        }
        self
    }

    /// Sets how many bytes a dump may have; [`REPLY_LIMIT`](super::unixctl::REPLY_LIMIT) to begin with.
    #[must_use]
    pub fn with_reply_limit(mut self, bytes: usize) -> Self {
        self.unixctl = self.unixctl.with_reply_limit(bytes);
        self
    }

    /// What the polls so far have shown of which MAC address goes with which IPv4 address.
    pub fn stations(&self) -> &MacTable {
        &self.stations
    }

    /// The first lines of the latest poll that could not be understood, at most ten.
    pub fn line_errors(&self) -> &[LineError] {
        &self.errors
    }
}

impl FlowSource for OvsFlowSource {
    fn poll(&mut self, deadline: Duration) -> Result<Poll, FlowSourceError> {
        let polled = self.read(deadline);
        if polled.is_err()
            && let Some(rule) = &mut self.rule
        {
            rule.doubt();
        }
        polled
    }
}

impl OvsFlowSource {
    fn read(&mut self, deadline: Duration) -> Result<Poll, FlowSourceError> {
        let started = Instant::now();
        let dump = self.dump(deadline)?;
        let left = || {
            deadline
                .saturating_sub(started.elapsed())
                .min(deadline / ASIDE)
        };
        if let Some(database) = &mut self.database {
            database.attach(&mut self.stations, left());
        }
        if let Some(rule) = &mut self.rule {
            rule.keep(left());
        }
        self.limit.watch(&self.unixctl, left());
        let mut poll = self.poll_of(dump)?;
        for flow in &mut poll.counters {
            (flow.src, flow.dst) = attribute(flow, &self.stations);
        }
        Ok(poll)
    }

    fn dump(&self, deadline: Duration) -> Result<Dump, FlowSourceError> {
        #[cfg(feature = "netlink")]
        if self.netlink {
            let (datapath, limit) = (self.datapath.as_deref(), self.unixctl.reply_limit());
            let dump = netlink::dump(datapath, limit, self.seed, deadline)?;
            return Ok(Dump::Binary(dump));
        }
        let params: &[&str] = match &self.datapath {
            None => &[],
            Some(name) => &[name],
        };
        let text = self.unixctl.call("dpctl/dump-flows", params, deadline)?;
        Ok(Dump::Text(text))
    }

    fn poll_of(&mut self, dump: Dump) -> Result<Poll, FlowSourceError> {
        match dump {
            #[cfg(feature = "netlink")]
            Dump::Binary(dump) => Ok(dump.into_poll(&mut self.stations)),
            Dump::Text(text) => {
                let reading = read_dump(&text, self.seed, &mut self.stations).map_err(|error| {
                    FlowSourceError::Malformed {
                        what: self.unixctl.path().display().to_string(),
                        message: error.to_string(),
                    }
                })?;
                self.errors = reading.errors;
                Ok(reading.poll)
            }
        }
    }
}

/// The flows of a datapath, not yet looked at.
enum Dump {
    /// As `ovs-vswitchd` prints them.
    Text(String),
    /// As the kernel tells them.
    #[cfg(feature = "netlink")]
    Binary(netlink::Dump),
}

/// What tells VMs' interfaces from routers'.
#[derive(Debug)]
struct Database {
    ovsdb: Ovsdb,
    polls: u32,
    failing: bool,
}

impl Database {
    fn attach(&mut self, stations: &mut MacTable, deadline: Duration) {
        let due = self.polls.is_multiple_of(POLLS_PER_ATTACHMENT);
        self.polls = self.polls.wrapping_add(1);
        if !due {
            return;
        }
        match self.ovsdb.interfaces(deadline) {
            Ok(interfaces) => {
                self.failing = false;
                for mac in interfaces.into_iter().filter_map(|of| of.attached_mac) {
                    stations.attach(mac);
                }
            }
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::warn!(%error, "which interfaces are VMs' stays as it was known; flows are read all the same");
            }
            Err(error) => tracing::debug!(%error, "the database still does not answer"),
        }
    }
}
