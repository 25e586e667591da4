//! A whole data centre on one machine: real agents on loopback addresses and real sockets, over the
//! [emulated](s_core_backend::emulated) hypervisors and switches of a [`Scenario`].
//!
//! For demonstrations and tests. It needs a system on which all of 127.0.0.0/8 is the host's own, as on Linux.
//!
//! ```
//! use std::time::Duration;
//! use s_core_agent::embedded::{Account, Embedded, EmbeddedConfig, Scenario, Settling};
//! use s_core_agent::Event;
//! use s_core_proto::Report;
//!
//! let scenario = Scenario::testbed(2, 2, 1)?;
//! let mut account = Account::new(&scenario);
//! let before = account.total_cost();
//! # let state = tempfile::tempdir()?;
//! # let state_dir = state.path();
//! let embedded = Embedded::start(&scenario, EmbeddedConfig::new(state_dir))?;
//! embedded.mint()?;
//! let mut settling = Settling::default();
//! while let Some((_, event)) = embedded.next_event(Duration::from_secs(10)) {
//!     if let Event::Node(Report::Migrated { vm, target, .. }) = event {
//!         account.migrate(vm, target)?;
//!     }
//!     if settling.is_settled_after(&event) {
//!         break;
//!     }
//! }
//! embedded.stop()?;
//! assert!(account.total_cost() <= before);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod account;
mod scenario;
mod settling;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use s_core_backend::emulated::{DataCentre, DataCentreError};
use s_core_model::{MigrationCost, ServerId};
use s_core_proto::wire::{Keyring, KeyringError};
use s_core_proto::{Config as NodeConfig, TargetChoice, Timing};
use s_core_token::PolicyKind;

use crate::{
    Agent, AgentConfig, AgentError, AgentHandle, AgentStatus, Event, FlowSettings, Observer,
    lab_key,
};

pub use account::{Account, NoSuchMigration};
pub use scenario::{Scenario, ScenarioError, ScenarioServer, ScenarioVm};
pub use settling::Settling;

/// How long all agents may take to start and to measure.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// How often a port is looked for that is free on all servers' addresses.
const PORT_ATTEMPTS: u32 = 16;
/// The shortest time that the token rests with a VM.
const SHORTEST_REST: Duration = Duration::from_millis(5);

/// What agents of an embedded data centre are told.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// Which VM gets the token next.
    pub policy: PolicyKind,
    /// In which order candidates are asked for room.
    pub target_choice: TargetChoice,
    /// c_m of Eq. 3.2.
    pub migration_cost: MigrationCost,
    /// How far back rates look: one second by default, as emulated traffic is steady. A round of the token takes at
    /// least as long, so that in the second of two quiet rounds nobody's rates lack what was before a migration.
    pub window: Duration,
    /// A directory in which each agent makes one to keep its mark in.
    pub state_dir: PathBuf,
    /// Set from elsewhere, it has [`Embedded::start`] give up.
    pub cancel: Arc<AtomicBool>,
    /// Is told every event when it happens, before [`Embedded::next_event`] tells it: for whoever takes the time.
    pub observer: Option<Observer>,
}

impl EmbeddedConfig {
    /// Algorithm 1's policy, the first server with room, migrations that cost nothing.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self {
            policy: PolicyKind::Distributed,
            target_choice: TargetChoice::FirstFit,
            migration_cost: MigrationCost::ZERO,
            window: Duration::from_secs(1),
            state_dir: state_dir.into(),
            cancel: Arc::default(),
            observer: None,
        }
    }
}

/// Agents that run, one per server of a [`Scenario`].
#[derive(Debug)]
pub struct Embedded {
    data_centre: DataCentre,
    agents: BTreeMap<ServerId, AgentHandle>,
    port: u16,
    events: Receiver<(ServerId, Event)>,
}

impl Embedded {
    /// Starts the agents and waits until all of them know their VMs and their rates.
    ///
    /// # Errors
    ///
    /// [`EmbeddedError`]; no agent runs then.
    pub fn start(scenario: &Scenario, config: EmbeddedConfig) -> Result<Self, EmbeddedError> {
        let data_centre = scenario.emulate()?;
        let (told, events) = channel();
        let mut attempts = 1..=PORT_ATTEMPTS;
        let (agents, port) = loop {
            let last = attempts.next() == Some(PORT_ATTEMPTS);
            let port = free_port(scenario)?;
            match start_agents(scenario, &data_centre, &config, port, &told) {
                Err(EmbeddedError::Agent(AgentError::Socket { .. })) if !last => {}
                started => break (started?, port),
            }
        };
        let embedded = Self {
            data_centre,
            agents,
            port,
            events,
        };
        if let Err(error) = embedded.wait_until_ready(scenario, &config.cancel) {
            // Why it was not ready says more than how it stops.
            drop(embedded.stop());
            return Err(error);
        }
        Ok(embedded)
    }

    fn wait_until_ready(
        &self,
        scenario: &Scenario,
        cancel: &AtomicBool,
    ) -> Result<(), EmbeddedError> {
        let started = Instant::now();
        for (server, agent) in &self.agents {
            let vms = scenario
                .vms
                .iter()
                .filter(|vm| vm.server == *server)
                .count();
            loop {
                let status = agent.status()?;
                if status.measured && status.vms.len() == vms {
                    break;
                }
                check_not_cancelled(cancel)?;
                if started.elapsed() > START_DEADLINE {
                    return Err(EmbeddedError::NotReady(*server));
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(())
    }

    /// Has the agent of the first server make the token.
    ///
    /// # Errors
    ///
    /// [`AgentError::Stopped`].
    pub fn mint(&self) -> Result<(), AgentError> {
        let vms = self.data_centre.placement().into_keys().collect();
        match self.agents.values().next() {
            Some(first) => first.mint(vms),
            None => Err(AgentError::Stopped),
        }
    }

    /// The next event of any agent and the agent's server, or `None` if none comes in this time.
    ///
    /// Events of one agent come in their order. Those of one hop of the token come before those of the next, but for
    /// [`Report::Passed`](s_core_proto::Report::Passed), which may come later.
    pub fn next_event(&self, timeout: Duration) -> Option<(ServerId, Event)> {
        self.events.recv_timeout(timeout).ok()
    }

    /// The hypervisors and switches below the agents.
    pub fn data_centre(&self) -> &DataCentre {
        &self.data_centre
    }

    /// How long all threads of this process have computed since it began.
    pub fn cpu_time(&self) -> Duration {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
        Duration::new(time.tv_sec.unsigned_abs(), nanos)
    }

    /// The UDP and TCP port of all agents.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What every agent says about itself.
    ///
    /// # Errors
    ///
    /// [`AgentError`] if one does not answer.
    pub fn statuses(&self) -> Result<Vec<AgentStatus>, AgentError> {
        self.agents.values().map(AgentHandle::status).collect()
    }

    /// Stops all agents and waits for their ends.
    ///
    /// # Errors
    ///
    /// [`AgentError::Panicked`].
    pub fn stop(self) -> Result<(), AgentError> {
        stop(self.agents)
    }
}

fn stop(agents: BTreeMap<ServerId, AgentHandle>) -> Result<(), AgentError> {
    for agent in agents.values() {
        agent.shutdown();
    }
    // All are waited for, even after one has failed.
    let ends: Vec<_> = agents.into_values().map(AgentHandle::join).collect();
    ends.into_iter().collect()
}

fn check_not_cancelled(cancel: &AtomicBool) -> Result<(), EmbeddedError> {
    if cancel.load(Ordering::SeqCst) {
        return Err(EmbeddedError::Cancelled);
    }
    Ok(())
}

fn free_port(scenario: &Scenario) -> Result<u16, EmbeddedError> {
    let Some(first) = scenario.servers.first() else {
        return Err(EmbeddedError::NoServers);
    };
    let bound = TcpListener::bind((first.id.addr(), 0)).and_then(|listener| listener.local_addr());
    bound
        .map(|address| address.port())
        .map_err(|source| EmbeddedError::NoPort {
            server: first.id,
            source,
        })
}

fn start_agents(
    scenario: &Scenario,
    data_centre: &DataCentre,
    config: &EmbeddedConfig,
    port: u16,
    told: &Sender<(ServerId, Event)>,
) -> Result<BTreeMap<ServerId, AgentHandle>, EmbeddedError> {
    let mut agents = BTreeMap::new();
    for server in &scenario.servers {
        match start_agent(scenario, data_centre, config, server.id, port, told) {
            Ok(agent) => drop(agents.insert(server.id, agent)),
            Err(error) => {
                // The next attempt needs their state directories. Why one does not start says more than how others stop.
                drop(stop(agents));
                return Err(error);
            }
        }
    }
    Ok(agents)
}

fn start_agent(
    scenario: &Scenario,
    data_centre: &DataCentre,
    config: &EmbeddedConfig,
    server: ServerId,
    port: u16,
    told: &Sender<(ServerId, Event)>,
) -> Result<AgentHandle, EmbeddedError> {
    check_not_cancelled(&config.cancel)?;
    let agent = agent_config(scenario, config, server, port, told)?;
    let hypervisor = Arc::new(data_centre.hypervisor(server)?);
    let flows = Box::new(data_centre.flows(server)?);
    Ok(Agent::start(agent, hypervisor, flows)?)
}

fn agent_config(
    scenario: &Scenario,
    config: &EmbeddedConfig,
    server: ServerId,
    port: u16,
    told: &Sender<(ServerId, Event)>,
) -> Result<AgentConfig, EmbeddedError> {
    let vms = u32::try_from(scenario.vms.len().max(1)).unwrap_or(u32::MAX);
    let mut node = NodeConfig::new(server, scenario.cost_model(), config.policy.build().into());
    node.migration_cost = config.migration_cost;
    node.target_choice = config.target_choice;
    node.timing = Timing {
        measurement: Duration::from_secs(1),
        acknowledgement: Duration::from_secs(1),
        migration: Duration::from_secs(30),
        reservation: Duration::from_secs(60),
        rest: (config.window / vms).max(SHORTEST_REST),
        idle: config.window,
        ..Timing::default()
    };
    let mut agent = AgentConfig::new(
        node,
        Keyring::new(lab_key(), [])?,
        config.state_dir.join(server.to_string()),
    );
    agent.port = port;
    // All of them stop together: there is nobody to give the token to.
    agent.migration_grace = Duration::from_millis(500);
    agent.flows = FlowSettings {
        interval: config.window / 10,
        window: config.window,
        idle_timeout: 2 * config.window,
        ..FlowSettings::default()
    };
    agent.inventory_interval = Duration::from_millis(250);
    let (told, observer) = (told.clone(), config.observer.clone());
    agent.observer = Some(Observer::new(move |server, event| {
        if let Some(observer) = &observer {
            observer.tell(server, event);
        }
        // Nobody may be listening any more.
        let _ = told.send((server, event.clone()));
    }));
    Ok(agent)
}

/// An embedded data centre cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// There is no server.
    #[error("the scenario has no server")]
    NoServers,
    /// No port is free.
    #[error("no port can be opened on {server}: {source}; is 127.0.0.0/8 this host's own?")]
    NoPort {
        /// The first server.
        server: ServerId,
        /// What the system said.
        source: std::io::Error,
    },
    /// The scenario contradicts itself.
    #[error(transparent)]
    DataCentre(#[from] DataCentreError),
    /// An agent does not start.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The laboratory key cannot be used.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// [`EmbeddedConfig::cancel`] was set.
    #[error("cancelled before all agents had started")]
    Cancelled,
    /// An agent has not measured in time.
    #[error("the agent of {0} does not know its VMs and their rates after {START_DEADLINE:?}")]
    NotReady(ServerId),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn after_a_port_that_is_busy_another_can_be_tried_at_once() {
        let scenario = Scenario::testbed(3, 1, 1).unwrap();
        let data_centre = scenario.emulate().unwrap();
        let state = tempfile::tempdir().unwrap();
        let config = EmbeddedConfig::new(state.path());
        let (told, _events) = channel();
        let start = |port| start_agents(&scenario, &data_centre, &config, port, &told);
        let busy = UdpSocket::bind((scenario.servers[2].id.addr(), 0)).unwrap();
        let port = busy.local_addr().unwrap().port();
        for _ in 0..3 {
            let error = start(port).unwrap_err();
            let busy = matches!(error, EmbeddedError::Agent(AgentError::Socket { .. }));
            assert!(busy, "{error}");
        }
        drop(busy);
        stop(start(port).unwrap()).unwrap();
    }
}
