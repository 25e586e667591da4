//! Keys are changed on running hosts, one after the other, and the token goes on.
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics says where; clippy.toml exempts only test functions"
)]

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use s_core_agent::{Agent, AgentConfig, AgentHandle, Event, FlowSettings, Observer, read_key_file};
use s_core_backend::emulated::{DataCentre, EmulatedServer, EmulatedVm};
use s_core_model::{CostModel, LinkWeights, ServerId, VmId};
use s_core_proto::wire::{Cluster, Codec, Keyring};
use s_core_proto::{Config, Message, QueryId, Report};
use s_core_token::PolicyKind;
use s_core_topology::LocationTable;
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(10);
const VMS: [VmId; 2] = [VmId::new(0x0a01_0001), VmId::new(0x0a01_0002)];

/// Two servers, 127.79.0.1 and 127.79.0.2, with a VM each, and the key files on their hosts.
struct Hosts {
    data_centre: DataCentre,
    port: u16,
    dir: TempDir,
    told: Sender<(ServerId, Event)>,
    events: Receiver<(ServerId, Event)>,
}

fn servers() -> [ServerId; 2] {
    [1, 2].map(|host| Ipv4Addr::new(127, 79, 0, host).into())
}

impl Hosts {
    fn new() -> Self {
        let server = |id| EmulatedServer {
            id,
            vm_slots: 4,
            memory_mib: 4096,
        };
        let vms = [0, 1].map(|n| EmulatedVm {
            id: VMS[n],
            server: servers()[n],
            memory_mib: 64,
            name: String::new(),
        });
        let data_centre = DataCentre::builder();
        let data_centre = data_centre.build(servers().map(server), vms, []).unwrap();
        let probe = TcpListener::bind((servers()[0].addr(), 0)).unwrap();
        let (told, events) = channel();
        Self {
            data_centre,
            port: probe.local_addr().unwrap().port(),
            dir: tempfile::tempdir().unwrap(),
            told,
            events,
        }
    }

    fn key_file(&self, id: u8) -> PathBuf {
        let path = self.dir.path().join(format!("key-{id}"));
        fs::write(&path, format!("{id}:{}\n", format!("{id:02x}").repeat(32))).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn keyring(&self, keys: &[u8]) -> Keyring {
        let read = |path: PathBuf| read_key_file(Path::new(&path)).unwrap();
        let mut keys = keys.iter().map(|id| read(self.key_file(*id)));
        Keyring::new(keys.next().unwrap(), keys).unwrap()
    }

    /// Starts the agent of a server with these keys, the first of them active.
    fn start(&self, host: usize, keys: &[u8]) -> AgentHandle {
        let server = servers()[host];
        let table = [(servers()[0], "a1/r1"), (servers()[1], "a1/r2")];
        let table = Arc::new(LocationTable::new(table).unwrap());
        let model = CostModel::new(LinkWeights::new([1.0, 2.0]).unwrap(), table).unwrap();
        let mut node = Config::new(server, model, PolicyKind::RoundRobin.build().into());
        node.timing.rest = Duration::from_millis(20);
        node.timing.answer = Duration::from_millis(100);
        node.timing.acknowledgement = Duration::from_millis(500);
        let state = self.dir.path().join(server.to_string());
        let mut config = AgentConfig::new(node, self.keyring(keys), state);
        config.port = self.port;
        config.flows = FlowSettings {
            interval: Duration::from_millis(20),
            window: Duration::from_millis(200),
            ..FlowSettings::default()
        };
        config.inventory_interval = Duration::from_millis(50);
        let told = self.told.clone();
        config.observer = Some(Observer::new(move |server, event| {
            let _ = told.send((server, event.clone()));
        }));
        let hypervisor = Arc::new(self.data_centre.hypervisor(server).unwrap());
        let flows = Box::new(self.data_centre.flows(server).unwrap());
        let agent = Agent::start(config, hypervisor, flows).unwrap();
        let began = Instant::now();
        while agent.status().unwrap().vms.is_empty() {
            assert!(began.elapsed() < SOON);
            std::thread::sleep(Duration::from_millis(5));
        }
        agent
    }

    /// The token comes to both servers from now on; says how often one was made meanwhile.
    fn goes_round(&self, when: &str) -> usize {
        let (mut minted, mut seen) = (0, BTreeSet::new());
        minted += self.events.try_iter().filter(|(_, e)| is_minted(e)).count();
        let began = Instant::now();
        while seen.len() < servers().len() {
            let event = self
                .events
                .recv_timeout(SOON.saturating_sub(began.elapsed()));
            let (server, event) = event.unwrap_or_else(|_| panic!("{when}: only {seen:?}"));
            minted += usize::from(is_minted(&event));
            if let Event::Node(Report::Holding { .. }) = event {
                seen.insert(server);
            }
        }
        minted
    }
}

fn is_minted(event: &Event) -> bool {
    matches!(event, Event::Node(Report::Minted { .. }))
}

#[test]
fn keys_are_changed_without_losing_the_token() {
    let hosts = Hosts::new();
    let mut agents = [0, 1].map(|host| Some(hosts.start(host, &[1])));
    agents[0].as_ref().unwrap().mint(VMS.into()).unwrap();
    let mut minted = hosts.goes_round("with the old key");
    // First everybody accepts the new key, then everybody seals with it, then nobody accepts the old one.
    for keys in [&[1, 2][..], &[2, 1], &[2]] {
        for host in [0, 1] {
            let agent = agents[host].take().unwrap();
            agent.shutdown();
            agent.join().unwrap();
            agents[host] = Some(hosts.start(host, keys));
            minted += hosts.goes_round(&format!("{keys:?} on host {host}"));
        }
    }
    assert_eq!(minted, 1, "the token that was made at first");
    let agents = agents.map(Option::unwrap);
    for agent in &agents {
        let refused = agent.status().unwrap().refused;
        assert!(!refused.contains_key("unknown key"), "{refused:?}");
    }

    // The old key is worth nothing now.
    let thief = Codec::new(Cluster(0), servers()[1], hosts.keyring(&[1]), 1 << 20);
    let question = Message::LocationRequest {
        query: QueryId::new(1),
        vm: VMS[0],
        directed: true,
    };
    let frame = thief.with_counter(u64::MAX - 1).seal(None, &question);
    let socket = UdpSocket::bind((servers()[1].addr(), 0)).unwrap();
    let target = (servers()[0].addr(), hosts.port);
    socket.send_to(&frame, target).unwrap();
    let began = Instant::now();
    while !agents[0]
        .status()
        .unwrap()
        .refused
        .contains_key("unknown key")
    {
        assert!(began.elapsed() < SOON);
        std::thread::sleep(Duration::from_millis(5));
    }
    for agent in &agents {
        agent.shutdown();
    }
    for agent in agents {
        agent.join().unwrap();
    }
}
