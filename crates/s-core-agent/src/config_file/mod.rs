//! The configuration of one host's agent, as a TOML file.

mod build;
mod interception;
mod values;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use s_core_backend::InterfaceName;
use s_core_flow::MacAddr;
use s_core_model::{LinkWeights, MigrationCost, ServerId, VmId};
use s_core_proto::{PairShare, TargetChoice};
use s_core_token::PolicyKind;
use serde::Deserialize;

use crate::config::{Addressing, DEFAULT_PORT};
use crate::key_file::KeyFileError;
pub use interception::{InterceptionKind, InterceptionSection};

/// The longest configuration file or list of VMs that is read, in bytes.
const MAX_LEN: u64 = 64 << 20;

/// The configuration of the agent of one real host: Xen through `xl`, and Open vSwitch.
///
/// Unknown keys are errors. Times are numbers of seconds; paths that do not begin with `/` start at the
/// configuration file's directory. What has no default must be given.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("agent.toml");
/// # std::fs::write(&path, r#"
/// server = "10.0.0.1"
/// servers = "servers.csv"
/// link_weights = [1.0, 2.7, 20.1]
/// state_dir = "/var/lib/s-core"
///
/// [keys]
/// active = "/etc/s-core/key"
///
/// [flows]
/// ovsdb = "/run/openvswitch/db.sock"
///
/// [hypervisor]
/// kind = "xl"
/// vm_slots = 16
/// # "#)?;
/// let config = s_core_agent::ConfigFile::read(&path)?;
/// assert_eq!(config.port, 4747);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// The fixed address of this host's control domain.
    pub server: ServerId,
    /// The UDP and TCP port of all agents. Default 4747.
    #[serde(default = "default_port")]
    pub port: u16,
    /// The number that tells this data centre's agents from another's on the same network. Default 0.
    #[serde(default)]
    pub cluster: u64,
    /// The `servers.csv` of a snapshot: all servers and their locations.
    pub servers: PathBuf,
    /// c_1, c_2, …, rising: one per component of a location. The same on every host.
    #[serde(deserialize_with = "values::link_weights")]
    pub link_weights: LinkWeights,
    /// c_m: a number in bytes per second times link weight, or `{ relative = FRACTION }` of what the VM's traffic
    /// costs. Default 0.
    #[serde(default, deserialize_with = "values::migration_cost")]
    pub migration_cost: MigrationCost,
    /// `round-robin`, `global`, `distributed` or `load-aware`; the same on every host. Default `distributed`.
    #[serde(default = "default_policy", deserialize_with = "values::parsed")]
    pub policy: PolicyKind,
    /// `first-fit` or `best-fit`. Default `first-fit`.
    #[serde(default, deserialize_with = "values::parsed")]
    pub target_choice: TargetChoice,
    /// `servers` or `vms`: see [`Addressing`]. Default `servers`.
    #[serde(default, deserialize_with = "values::addressing")]
    pub addressing: Addressing,
    /// The directory that keeps the highest mark and open migrations; of this agent alone.
    pub state_dir: PathBuf,
    /// Whether to run with the [laboratory key](crate::lab_key), which everybody knows. Default `false`.
    #[serde(default)]
    pub lab: bool,
    /// The key files; without them the agent does not start, unless `lab` is set.
    pub keys: Option<KeysSection>,
    /// How long things may take.
    #[serde(default)]
    pub timing: TimingSection,
    /// How much is remembered.
    #[serde(default)]
    pub bounds: BoundsSection,
    /// What keeps VMs where they are.
    #[serde(default)]
    pub limits: LimitsSection,
    /// Where traffic is measured.
    pub flows: FlowsSection,
    /// What runs the VMs.
    pub hypervisor: HypervisorSection,
    /// What brings requests for VMs to the agent, and keeps VMs off the agents' port.
    #[serde(default)]
    pub interception: InterceptionSection,
    /// Who makes the first token.
    #[serde(default)]
    pub token: TokenSection,
    /// VMs whose addresses are known beforehand.
    #[serde(default)]
    pub vm: Vec<VmSection>,
    /// Where the file is.
    #[serde(skip)]
    path: PathBuf,
}

/// `[keys]`: files of [`read_key_file`](crate::read_key_file).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysSection {
    /// The key to seal with; it is accepted too.
    pub active: PathBuf,
    /// Another key to accept, while keys are being changed.
    pub accepted: Option<PathBuf>,
}

/// `[timing]`: the fields of [`Timing`](s_core_proto::Timing), each with its default; and how long the agent's end
/// waits.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimingSection {
    /// For reading a VM's rates.
    #[serde(deserialize_with = "values::seconds")]
    pub measurement: Option<Duration>,
    /// For the answer to a request, before it is sent again.
    #[serde(deserialize_with = "values::seconds")]
    pub answer: Option<Duration>,
    /// For a token to be acknowledged, before it is sent again.
    #[serde(deserialize_with = "values::seconds")]
    pub acknowledgement: Option<Duration>,
    /// For a migration.
    #[serde(deserialize_with = "values::seconds")]
    pub migration: Option<Duration>,
    /// How long room is kept for a VM that does not come: at least a tenth longer than a migration, and the
    /// answers to its requests.
    #[serde(deserialize_with = "values::seconds")]
    pub reservation: Option<Duration>,
    /// How long the token rests with each VM.
    #[serde(deserialize_with = "values::seconds")]
    pub rest: Option<Duration>,
    /// How long the token rests at the end of a round, once `quiet_rounds` of `[bounds]` have been quiet.
    #[serde(deserialize_with = "values::seconds")]
    pub idle: Option<Duration>,
    /// How often whoever holds the token tells the server that keeps a copy of it.
    #[serde(deserialize_with = "values::seconds")]
    pub keep_alive: Option<Duration>,
    /// How long that server hears nothing before it asks, and then makes the token anew: at least two `keep_alive`.
    #[serde(deserialize_with = "values::seconds")]
    pub custody: Option<Duration>,
    /// How often all servers are told that the token lives.
    #[serde(deserialize_with = "values::seconds")]
    pub beacon: Option<Duration>,
    /// How long a server hears of no token before it claims to make a new one: at least two `beacon`, a `custody`
    /// and the answers to its questions. The first token is made so too, unless one agent has `mint` of `[token]`.
    #[serde(deserialize_with = "values::seconds")]
    pub silence: Option<Duration>,
    /// By how much each server waits longer for that than the one with the next lower address.
    #[serde(deserialize_with = "values::seconds")]
    pub stagger: Option<Duration>,
    /// How often both ends of a migration of unknown outcome are asked.
    #[serde(deserialize_with = "values::seconds")]
    pub outcome: Option<Duration>,
    /// How long the agent, when told to stop, waits for a migration in flight. Default: as `migration`. Whatever
    /// stops it must wait longer, as by systemd's `TimeoutStopSec`.
    #[serde(deserialize_with = "values::seconds")]
    pub migration_grace: Option<Duration>,
}

/// `[bounds]`: some of the fields of [`Bounds`](s_core_proto::Bounds), each with its default.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BoundsSection {
    /// Migrations of unknown outcome at a time, at most 1023; with more, none begins.
    pub open_migrations: Option<usize>,
    /// VMs elsewhere remembered that asked for a slot, at most 65,536.
    pub newcomers: Option<usize>,
    /// After how many quiet rounds the token rests longer.
    pub quiet_rounds: Option<u16>,
}

/// `[flows]`: Open vSwitch, and the fields of [`FlowSettings`](crate::FlowSettings), each with its default.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowsSection {
    /// The control socket of `ovs-vswitchd`, or the directory that it runs from, where its process id tells the
    /// socket. Default `/run/openvswitch`.
    #[serde(default = "default_socket")]
    pub socket: PathBuf,
    /// The datapath, where the switch has several, e.g. `system@ovs-system`.
    pub datapath: Option<String>,
    /// The socket of `ovsdb-server`, e.g. `/run/openvswitch/db.sock`: with it VMs are told from routers by
    /// `external_ids:attached-mac`. Needed by `netflow`, and where the IP-pair rule is not set up.
    pub ovsdb: Option<PathBuf>,
    /// `datapath`, `netlink` or `netflow`: see [`FlowSourceKind`]. Default `datapath`.
    #[serde(default)]
    pub source: FlowSourceKind,
    /// The bridge that the VMs are at, e.g. `xenbr0`: for `netflow`, `ip_pair_rule`, and
    /// [`interception`](ConfigFile::interception), which keeps VMs from the agents' port where it is named.
    #[serde(default, deserialize_with = "values::interface")]
    pub bridge: Option<InterfaceName>,
    /// Whether the agent sets the IP-pair rule on the bridge, keeps it there, and takes it away when it ends.
    /// Default `false`.
    #[serde(default)]
    pub ip_pair_rule: bool,
    /// How often the switch is asked.
    #[serde(default, deserialize_with = "values::seconds")]
    pub interval: Option<Duration>,
    /// How long the switch may take to answer.
    #[serde(default, deserialize_with = "values::seconds")]
    pub deadline: Option<Duration>,
    /// How far back rates look.
    #[serde(default, deserialize_with = "values::seconds")]
    pub window: Option<Duration>,
    /// After how long without a packet a flow is forgotten.
    #[serde(default, deserialize_with = "values::seconds")]
    pub idle_timeout: Option<Duration>,
    /// The most flows kept.
    pub limit: Option<usize>,
    /// Whether traffic between two VMs counts only as far as both send. The same on every host. Default `false`.
    #[serde(default)]
    pub answered_only: bool,
}

/// `[limits]`: the fields of [`MigrationLimits`](s_core_proto::MigrationLimits), against traffic that is made in order to
/// have VMs moved. Without them nothing is limited.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsSection {
    /// How much of a VM's load one pair may make up where its move is decided: above 0, at most 1. Default 1.
    #[serde(deserialize_with = "values::pair_share")]
    pub pair_share: PairShare,
    /// VMs that are never migrated from here.
    pub pinned: BTreeSet<VmId>,
    /// Whether this host takes no VMs. Default `false`.
    pub takes_none: bool,
    /// For how long a VM that was migrated here is not migrated again. Default 0.
    #[serde(deserialize_with = "values::seconds")]
    pub cool_down: Option<Duration>,
}

/// What is read of the switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowSourceKind {
    /// The counters of its datapath flows ([`OvsFlowSource`](s_core_backend::ovs::OvsFlowSource)). With the IP-pair rule
    /// they lack one packet per pair and pause of 10 s.
    #[default]
    Datapath,
    /// The same counters of the kernel's datapath, asked from the kernel and not through `ovs-vswitchd`
    /// (`OvsFlowSource::with_netlink`); in programs that are built with the feature `netlink`.
    Netlink,
    /// What it exports as NetFlow ([`NetFlowSource`](s_core_backend::ovs::netflow::NetFlowSource)): exact, and more work
    /// for the switch where VMs make many short connections.
    Netflow,
}

/// `[hypervisor]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HypervisorSection {
    /// `xl`, `xm` or `external`.
    pub kind: HypervisorKind,
    /// How many VMs this host runs at most; `xl` and `xm` need it, and the other keys are for these alone.
    pub vm_slots: Option<u32>,
    /// Memory that is not given to VMs, in MiB. Default 0.
    #[serde(default)]
    pub reserve_mib: u32,
    /// Whether every migration to this host goes through `dom0-agent receive`, which asks the agent: then a VM is let in only where room
    /// is reserved for one from its host. Default `false`.
    #[serde(default)]
    pub receive: bool,
    /// The program. Default `xl` or `xm`.
    pub program: Option<PathBuf>,
    /// The ssh command of `xl migrate -s`. Default `ssh -o BatchMode=yes`.
    pub ssh: Option<String>,
    /// Instead of `ssh`: a command that leads to `xl migrate-receive` on the target, with `{target}` where its
    /// address belongs, e.g. `socat - TCP:{target}:8003`. Neither encrypted nor authenticated.
    pub command: Option<String>,
}

/// What kind of hypervisor a host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HypervisorKind {
    /// Xen, through the program `xl`.
    Xl,
    /// Xen up to 4.4, through the program `xm`, as in the thesis.
    Xm,
    /// One that the program brings which embeds the agent; `dom0-agent` has none.
    External,
}

/// `[token]`: at most one agent of a cluster has `mint`. Without it the agents make a token by themselves, after
/// `silence` of `[timing]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenSection {
    /// A file with the VMs of the data centre, an address a line; comments begin with `#`. The agent makes the token
    /// for them if it has never seen one, which its state directory tells; `dom0-agent --mint` makes one all the same.
    pub mint: Option<PathBuf>,
    /// How long it waits for another's token first. Default: twice the window of `[flows]`.
    #[serde(deserialize_with = "values::seconds")]
    pub delay: Option<Duration>,
}

/// `[[vm]]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmSection {
    /// The MAC address of its interface.
    #[serde(deserialize_with = "values::parsed")]
    pub mac: MacAddr,
    /// Its address.
    pub address: VmId,
}

fn default_socket() -> PathBuf {
    "/run/openvswitch".into()
}

const fn default_port() -> u16 {
    DEFAULT_PORT
}

const fn default_policy() -> PolicyKind {
    PolicyKind::Distributed
}

impl ConfigFile {
    /// Reads a configuration file. The files that it names are not looked at yet.
    ///
    /// # Errors
    ///
    /// [`ConfigFileError`] names the file, the line and column, what is wrong and what would do.
    pub fn read(path: &Path) -> Result<Self, ConfigFileError> {
        let text = read_text(path)?;
        let mut config: Self = toml::from_str(&text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let before = text.get(..at).unwrap_or_default();
            ConfigFileError::Content {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                column: before.chars().rev().take_while(|c| *c != '\n').count() + 1,
                message: error.message().trim().replace('\n', "; "),
            }
        })?;
        config.path = path.to_owned();
        Ok(config)
    }

    /// A path of this file, seen from where the process runs.
    fn resolve(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    /// Where the table of servers is.
    pub fn servers_file(&self) -> PathBuf {
        self.resolve(&self.servers)
    }

    /// An error about a key.
    fn problem(&self, key: &'static str, problem: impl ToString) -> ConfigFileError {
        ConfigFileError::Key {
            path: self.path.clone(),
            key,
            problem: problem.to_string(),
        }
    }
}

/// The text of a file of bounded length.
fn read_text(path: &Path) -> Result<String, ConfigFileError> {
    use std::io::Read as _;
    let mut text = String::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(MAX_LEN).read_to_string(&mut text));
    read.map_err(|source| ConfigFileError::Io {
        path: path.to_owned(),
        source,
    })?;
    Ok(text)
}

/// A configuration that no agent can be started with. Shown as one line: where, what, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigFileError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not TOML, or has an unknown key or a value that does not do.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong, and what would do.
        message: String,
    },
    /// Values that do not go together, or with this host.
    #[error("{}: {key}: {problem}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What is wrong, and what would do.
        problem: String,
    },
    /// There is no key.
    #[error(
        "{}: keys.active is missing: name a key file, or set lab = true in a laboratory", .0.display()
    )]
    NoKey(PathBuf),
    /// A key file cannot be used.
    #[error("{}: {key}: {source}", path.display())]
    KeyFile {
        /// The configuration file.
        path: PathBuf,
        /// The key that names the key file.
        key: &'static str,
        /// What is wrong with it.
        source: KeyFileError,
    },
}
