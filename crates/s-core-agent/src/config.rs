//! What an agent is started with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use s_core_backend::interception::Interception;
use s_core_backend::ovs::Attachments;
use s_core_flow::{FlowTable, FlowTableConfig, MacAddr};
use s_core_model::VmId;
use s_core_proto::Config as NodeConfig;
use s_core_proto::wire::{Cluster, Keyring};
use s_core_topology::LocationTable;

use crate::error::AgentError;
use crate::event::Observer;
use crate::mark_file::MAX_MIGRATIONS;

/// The UDP and TCP port of agents unless another is configured.
pub const DEFAULT_PORT: u16 = 4747;

/// The longest time that can be set.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// The shortest, where none at all would do harm.
const SHORTEST: Duration = Duration::from_millis(1);

/// The most VMs that are remembered to have asked for a slot.
const MOST_NEWCOMERS: usize = 1 << 16;

/// The settings of an agent.
///
/// Times are from 1 ms to a day, except where 0 is said to do. Every agent of a cluster needs the same cost model,
/// policy, cluster, key and port.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// What its node is told: this server, the cost model, the policy.
    pub node: NodeConfig<Arc<LocationTable>>,
    /// The name of the cluster.
    pub cluster: Cluster,
    /// The keys to seal and open frames with.
    pub keyring: Keyring,
    /// The port, UDP and TCP, at the server's own address, of this agent and of all others. Default [`DEFAULT_PORT`].
    pub port: u16,
    /// The directory that keeps the highest mark and open migrations; of this agent alone.
    pub state_dir: PathBuf,
    /// How the server that hosts a VM is asked.
    pub addressing: Addressing,
    /// What brings requests for the VMs of this host to this agent, and keeps the VMs off the agents' port. Default:
    /// nothing. It is kept in step with the VMs that run here, and removed when the agent ends.
    pub interception: Option<Arc<dyn Interception>>,
    /// How traffic is measured.
    pub flows: FlowSettings,
    /// How often the hypervisor is asked what runs here and what there is room for, beside when something
    /// has changed. Default 10 s.
    pub inventory_interval: Duration,
    /// How long the hypervisor may take to answer. Default 30 s.
    pub hypervisor_deadline: Duration,
    /// What strangers may take of this host.
    pub network: NetworkLimits,
    /// The addresses of VMs that are known beforehand, by MAC address. They count more than what flows show.
    pub identities: BTreeMap<MacAddr, VmId>,
    /// Where to see that each VM that runs here has its port at the bridge, after a migration above all. Default: nowhere.
    pub attachments: Option<Attachments>,
    /// Whether this agent makes the first token, sooner than agents do that hear of none for long.
    pub mint: Option<Mint>,
    /// How long [`shutdown`](crate::AgentHandle::shutdown) waits at most for a migration in flight, and for
    /// another server to take the token. Default: as long as the node gives a migration, as one that is given
    /// up may leave the VM on either server.
    pub migration_grace: Duration,
    /// Who is told what happens.
    pub observer: Option<Observer>,
}

impl AgentConfig {
    /// Settings with everything else at its default.
    pub fn new(
        node: NodeConfig<Arc<LocationTable>>,
        keyring: Keyring,
        state_dir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            migration_grace: node.timing.migration,
            node,
            cluster: Cluster(0),
            keyring,
            port: DEFAULT_PORT,
            state_dir: state_dir.into(),
            addressing: Addressing::Servers,
            interception: None,
            flows: FlowSettings::default(),
            inventory_interval: Duration::from_secs(10),
            hypervisor_deadline: Duration::from_secs(30),
            network: NetworkLimits::default(),
            identities: BTreeMap::new(),
            attachments: None,
            mint: None,
            observer: None,
        }
    }

    /// Refuses what no thread could work with.
    pub(crate) fn check(&self) -> Result<(), AgentError> {
        self.check_times()?;
        let FlowSettings {
            interval, window, ..
        } = self.flows;
        if interval > window / 2 {
            let problem = format!(
                "is {interval:?}, more than half of flows.window; rates need two polls at least, choose less"
            );
            return Err(setting("flows.interval", problem));
        }
        // It takes no memory before it has flows.
        let table = FlowTableConfig {
            limit: self.flows.limit,
            window,
            idle_timeout: self.flows.idle_timeout,
            seed: 0,
        };
        FlowTable::new(table, Duration::ZERO)?;
        if self.network.connections == 0 {
            let problem = "is 0; the token needs one, choose 8";
            return Err(setting("network.connections", problem));
        }
        if self.port == 0 {
            let problem = "is 0; every agent must know the others', choose 4747";
            return Err(setting("port", problem));
        }
        self.check_bounds()
    }

    fn check_bounds(&self) -> Result<(), AgentError> {
        let bounds = &self.node.bounds;
        let limits = [
            (
                "bounds.open_migrations",
                bounds.open_migrations,
                // One more may be under way.
                MAX_MIGRATIONS - 1,
            ),
            ("bounds.newcomers", bounds.newcomers, MOST_NEWCOMERS),
            (
                "bounds.quiet_rounds",
                bounds.quiet_rounds.into(),
                u16::MAX.into(),
            ),
        ];
        for (name, value, most) in limits {
            if !(1..=most).contains(&value) {
                return Err(setting(name, format!("is {value}; choose 1 to {most}")));
            }
        }
        Ok(())
    }

    fn check_times(&self) -> Result<(), AgentError> {
        let (timing, flows, network) = (&self.node.timing, &self.flows, &self.network);
        let delay = self.mint.as_ref().map_or(Duration::ZERO, |mint| mint.delay);
        let times = [
            ("timing.measurement", timing.measurement, SHORTEST),
            ("timing.answer", timing.answer, SHORTEST),
            ("timing.acknowledgement", timing.acknowledgement, SHORTEST),
            ("timing.migration", timing.migration, SHORTEST),
            ("timing.reservation", timing.reservation, SHORTEST),
            ("timing.rest", timing.rest, SHORTEST),
            ("timing.idle", timing.idle, SHORTEST),
            ("timing.keep_alive", timing.keep_alive, SHORTEST),
            ("timing.custody", timing.custody, SHORTEST),
            ("timing.beacon", timing.beacon, SHORTEST),
            ("timing.silence", timing.silence, SHORTEST),
            ("timing.stagger", timing.stagger, Duration::ZERO),
            ("timing.outcome", timing.outcome, SHORTEST),
            (
                "limits.cool_down",
                self.node.limits.cool_down,
                Duration::ZERO,
            ),
            (
                "timing.migration_grace",
                self.migration_grace,
                Duration::ZERO,
            ),
            ("flows.interval", flows.interval, SHORTEST),
            ("flows.deadline", flows.deadline, SHORTEST),
            ("flows.window", flows.window, SHORTEST),
            ("flows.idle_timeout", flows.idle_timeout, SHORTEST),
            ("inventory_interval", self.inventory_interval, SHORTEST),
            ("hypervisor_deadline", self.hypervisor_deadline, SHORTEST),
            ("network.idle", network.idle, SHORTEST),
            ("network.whole_frame", network.whole_frame, SHORTEST),
            ("network.delivery", network.delivery, SHORTEST),
            ("token.delay", delay, Duration::ZERO),
        ];
        for (name, value, least) in times {
            if !(least..=LONGEST).contains(&value) {
                let problem = format!("is {value:?}; choose {least:?} to {LONGEST:?}");
                return Err(setting(name, problem));
            }
        }
        // A tenth more, as clocks of two hosts differ, and the way of the answer that grants the room.
        let asking = timing.answer * u32::from(self.node.bounds.attempts);
        let needed = timing.migration + timing.migration / 10 + asking;
        if timing.reservation < needed {
            let problem = format!(
                "is {:?}, so that room could go to another VM while one is on its way; \
                 choose at least {needed:?}, as timing.migration is {:?}",
                timing.reservation, timing.migration
            );
            return Err(setting("timing.reservation", problem));
        }
        self.check_recovery_times()
    }

    /// No server may take a token for lost that lives, nor claim a new one before its predecessor has recovered it.
    fn check_recovery_times(&self) -> Result<(), AgentError> {
        let timing = &self.node.timing;
        let needed = 2 * timing.keep_alive;
        if timing.custody < needed {
            let problem = format!(
                "is {:?}, so that one lost message puts the token in doubt; \
                 choose at least {needed:?}, as timing.keep_alive is {:?}",
                timing.custody, timing.keep_alive
            );
            return Err(setting("timing.custody", problem));
        }
        let asking = timing.answer * u32::from(self.node.bounds.attempts);
        let needed = 2 * timing.beacon + timing.custody + asking;
        if timing.silence < needed {
            let problem = format!(
                "is {:?}, so that servers make a token while another lives or is being recovered; \
                 choose at least {needed:?}, as timing.beacon is {:?} and timing.custody {:?}",
                timing.silence, timing.beacon, timing.custody
            );
            return Err(setting("timing.silence", problem));
        }
        Ok(())
    }
}

fn setting(setting: &'static str, problem: impl Into<String>) -> AgentError {
    let problem = problem.into();
    AgentError::Setting { setting, problem }
}

/// How the server that hosts a VM is asked where it is ([`Destination::HostOf`](s_core_proto::Destination::HostOf)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Addressing {
    /// A location request goes to every server of the location table, at most
    /// [`asks_per_second`](NetworkLimits::asks_per_second) datagrams; whoever hosts the VM answers. Needs nothing from
    /// the network, and is the default for that. The answer is remembered, so that a VM is sought in this way once.
    #[default]
    Servers,
    /// It goes to the VM's own address and the agents' port, as in thesis 4.2.3. The control domain of each
    /// host [intercepts](s_core_backend::interception) such packets. One datagram finds a VM in a data centre of any
    /// size; if it is not answered, the next goes to every server.
    Vms,
}

/// How traffic is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowSettings {
    /// How often the switch is asked. Default 2 s; above half of `window` it is refused. Where an answer takes more than
    /// half of it, the switch is left alone as long as it took, so polls never come one on another's heels.
    pub interval: Duration,
    /// How long the switch may take to answer. Default 5 s.
    pub deadline: Duration,
    /// How far back rates look (thesis 5.1.4). Default 60 s.
    pub window: Duration,
    /// After how long without a packet a flow is forgotten; at least `window`. Default 120 s.
    pub idle_timeout: Duration,
    /// The most flows kept. Default 200,000, which is what Open vSwitch keeps.
    pub limit: usize,
    /// Whether the rate of a pair is twice the smaller of its two directions, so that traffic counts only as far as the
    /// other side answers. The same on every host, or the two ends of a pair disagree. Default no: the sum of both.
    pub answered_only: bool,
}

impl Default for FlowSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2),
            deadline: Duration::from_secs(5),
            window: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(120),
            limit: 200_000,
            answered_only: false,
        }
    }
}

/// Bounds on what the network may take of an agent's memory and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkLimits {
    /// The most TCP connections at a time. When all are taken and one more comes, one goes: of the addresses
    /// that are no server's first, then of the address with the most connections, its oldest. Default 64.
    pub connections: usize,
    /// How long a connection may be silent. Default 5 s.
    pub idle: Duration,
    /// How long a frame may take from its first byte to its last, and a connection to its first frame. Default 30 s.
    pub whole_frame: Duration,
    /// How long it may take to deliver a token to another server, connection included; never longer than it
    /// is waited for to be acknowledged. Default 10 s.
    pub delivery: Duration,
    /// The most datagrams per second that ask all servers for VMs; what is beyond is not sent. A second's
    /// worth may go at once. Beacons and claims, which are rare by themselves, are not counted. Default 20,000.
    pub asks_per_second: u32,
}

impl Default for NetworkLimits {
    fn default() -> Self {
        Self {
            connections: 64,
            idle: Duration::from_secs(5),
            whole_frame: Duration::from_secs(30),
            delivery: Duration::from_secs(10),
            asks_per_second: 20_000,
        }
    }
}

/// Makes the first token, sooner than it would be made otherwise: agents that hear of no token for
/// [`silence`](s_core_proto::Timing::silence) agree on one of them that makes it.
///
/// It is made only by an agent whose state directory holds no mark, when no token was seen for the whole `delay`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mint {
    /// VMs of the whole data centre, in any order. Those that run on servers where the token passes are added.
    pub vms: Vec<VmId>,
    /// How long to wait: at least as long as the others take to start and to measure.
    pub delay: Duration,
}
