//! Agents of the laboratory's hosts, over hypervisors whose VMs the test moves by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use s_core_agent::{
    Addressing, Agent, AgentConfig, AgentHandle, AgentStatus, Event, FlowSettings, Observer,
    lab_key,
};
use s_core_backend::interception::{BridgeNft, Interception, InterceptionConfig, OpenFlowTproxy};
use s_core_backend::{
    Domain, FlowSource, FlowSourceError, FreeCapacity, Hypervisor, HypervisorError,
    MigrationOutcome, Poll, Uuid,
};
use s_core_model::{CostModel, LinkWeights, ServerId, VmId};
use s_core_proto::Config;
use s_core_proto::wire::Keyring;
use s_core_token::PolicyKind;
use s_core_topology::LocationTable;

use crate::lab::{Kind, Lab, server};

/// The agents' port.
pub(crate) const PORT: u16 = 4747;

/// Which host each VM runs on.
pub(crate) type Homes = Arc<Mutex<BTreeMap<VmId, u8>>>;

/// The VMs that `homes` says run on one host.
#[derive(Debug)]
struct Listed {
    host: u8,
    homes: Homes,
}

impl Hypervisor for Listed {
    fn domains(&self, _: Duration) -> Result<Vec<Domain>, HypervisorError> {
        let homes = self.homes.lock().unwrap();
        let here = homes.iter().filter(|(_, host)| **host == self.host);
        let domain = |vm: VmId| Domain {
            uuid: Uuid::new([vm.addr().octets()[3]; 16]),
            name: vm.to_string(),
            macs: Vec::new(),
            address: Some(vm.addr()),
            memory_mib: 1,
        };
        Ok(here.map(|(vm, _)| domain(*vm)).collect())
    }

    fn arriving(&self, _: Duration) -> Result<Vec<Domain>, HypervisorError> {
        Ok(Vec::new())
    }

    fn free_capacity(&self, _: Duration) -> Result<FreeCapacity, HypervisorError> {
        Ok(FreeCapacity::default())
    }

    fn migrate(&self, _: Uuid, _: ServerId, _: Duration) -> MigrationOutcome {
        MigrationOutcome::StayedHere("the test moves VMs".into())
    }
}

/// A switch that counts nothing.
#[derive(Debug)]
struct NoTraffic;

impl FlowSource for NoTraffic {
    fn poll(&mut self, _: Duration) -> Result<Poll, FlowSourceError> {
        Ok(Poll::default())
    }
}

/// An interception as a host's agent has it.
pub(crate) fn interception(lab: &Lab, host: u8) -> Arc<dyn Interception> {
    interception_with(lab, host, |_| {})
}

pub(crate) fn interception_with(
    lab: &Lab,
    host: u8,
    change: impl FnOnce(&mut InterceptionConfig),
) -> Arc<dyn Interception> {
    let bridge = "br0".parse().unwrap();
    let mut config = InterceptionConfig::new(server(host).into(), PORT, bridge);
    change(&mut config);
    match lab.kind {
        Kind::OpenVSwitch => Arc::new(OpenFlowTproxy::new(config, &lab.run_dir(host))),
        Kind::LinuxBridge => Arc::new(BridgeNft::new(config)),
    }
}

/// Whether a host's rules are exactly those for these VMs.
pub(crate) fn is_kept(lab: &Lab, host: u8, vms: BTreeSet<VmId>) -> bool {
    let interception = interception(lab, host);
    let verify = move || interception.verify(&vms, Duration::from_secs(10));
    let state = lab.inside(&format!("h{host}"), verify).join().unwrap();
    state.unwrap().is_in_place()
}

/// An agent that runs in the network of its host.
pub(crate) struct Host {
    pub(crate) agent: AgentHandle,
    pub(crate) events: Receiver<Event>,
}

impl Host {
    pub(crate) fn start(lab: &Lab, host: u8, homes: &Homes) -> Self {
        let table = [1, 2, 3].map(|n| (server(n).into(), format!("a1/r{n}")));
        let table = Arc::new(LocationTable::new(table).unwrap());
        let model = CostModel::new(LinkWeights::new([1.0, 2.0]).unwrap(), table).unwrap();
        let policy = PolicyKind::RoundRobin.build().into();
        let node = Config::new(server(host).into(), model, policy);
        let keyring = Keyring::new(lab_key(), []).unwrap();
        let mut config = AgentConfig::new(node, keyring, lab.state_dir(host));
        config.port = PORT;
        config.addressing = Addressing::Vms;
        config.interception = Some(interception(lab, host));
        config.inventory_interval = Duration::from_millis(300);
        config.flows = FlowSettings {
            interval: Duration::from_millis(100),
            window: Duration::from_secs(1),
            ..FlowSettings::default()
        };
        let (told, events) = channel();
        config.observer = Some(Observer::new(move |_, event| {
            let _ = told.send(event.clone());
        }));
        let homes = Arc::clone(homes);
        let start = move || {
            let hypervisor = Arc::new(Listed { host, homes });
            Agent::start(config, hypervisor, Box::new(NoTraffic)).unwrap()
        };
        let agent = lab.inside(&format!("h{host}"), start).join().unwrap();
        Self { agent, events }
    }

    pub(crate) fn status(&self) -> AgentStatus {
        self.agent.status().unwrap()
    }

    /// Packets that were brought to the agent, and those of VMs that were dropped.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let status = self.status().interception.unwrap();
        (status.intercepted, status.dropped)
    }

    pub(crate) fn stop(self) {
        self.agent.shutdown();
        self.agent.join().unwrap();
    }
}

/// Waits until this is so.
pub(crate) fn wait(what: &str, limit: Duration, so: impl Fn() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
