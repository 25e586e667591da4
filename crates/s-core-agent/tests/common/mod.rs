//! One agent and the socket of another server, for which the test speaks.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its part of the bench"
)]

use std::cell::Cell;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use s_core_agent::{Agent, AgentConfig, AgentHandle, Event, FlowSettings, Observer, lab_key};
use s_core_backend::emulated::{
    DataCentre, DataCentreBuilder, EmulatedHypervisor, EmulatedServer, EmulatedVm,
};
use s_core_backend::{FlowSource, Hypervisor};
use s_core_model::{CostModel, LinkWeights, Rate, ServerId, VmId};
use s_core_proto::wire::{Cluster, Codec, Keyring};
use s_core_proto::{Config, Message, QueryId};
use s_core_token::{Limits, Mark, PolicyKind, Token};
use s_core_topology::LocationTable;
use socket2::{Domain, Protocol, Socket, Type};

pub const SOON: Duration = Duration::from_secs(5);
pub const VM: VmId = VmId::new(0x0a01_0001);
pub const PEER: VmId = VmId::new(0x0a01_0002);

/// An agent at 127.78.N.1 with one VM, and the socket of another server, 127.78.N.2, that only the test speaks for.
pub struct Bench {
    pub agent: AgentHandle,
    pub data_centre: DataCentre,
    pub target: SocketAddr,
    pub other: UdpSocket,
    pub other_id: ServerId,
    pub events: Receiver<Event>,
    /// What the next codec counts from.
    counter: Cell<u64>,
}

impl Bench {
    pub fn start(net: u8, state: &Path) -> Self {
        Self::start_with(net, state, |_| {}, |flows| flows)
    }

    pub fn start_with(
        net: u8,
        state: &Path,
        change: impl FnOnce(&mut AgentConfig),
        wrap: impl FnOnce(Box<dyn FlowSource>) -> Box<dyn FlowSource>,
    ) -> Self {
        let data_centre = data_centre(net, DataCentre::builder());
        Self::start_in(data_centre, net, state, change, wrap, |emulated| {
            Arc::new(emulated)
        })
    }

    /// As [`start`](Self::start), in a data centre that there is already.
    pub fn start_in(
        data_centre: DataCentre,
        net: u8,
        state: &Path,
        change: impl FnOnce(&mut AgentConfig),
        wrap: impl FnOnce(Box<dyn FlowSource>) -> Box<dyn FlowSource>,
        wrap_hypervisor: impl FnOnce(EmulatedHypervisor) -> Arc<dyn Hypervisor>,
    ) -> Self {
        let [here, there] = servers(net);
        let port = TcpListener::bind((here, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let servers = [(here.into(), "a1/r1"), (there.into(), "a1/r2")];
        let weights = LinkWeights::new([1.0, 2.0]).unwrap();
        let table = Arc::new(LocationTable::new(servers).unwrap());
        let model = CostModel::new(weights, table).unwrap();
        let mut node = Config::new(here.into(), model, PolicyKind::RoundRobin.build().into());
        node.timing.measurement = Duration::from_millis(100);
        node.timing.answer = Duration::from_millis(100);
        let mut config = AgentConfig::new(node, Keyring::new(lab_key(), []).unwrap(), state);
        config.port = port;
        config.flows = FlowSettings {
            interval: Duration::from_millis(20),
            window: Duration::from_millis(200),
            ..FlowSettings::default()
        };
        config.inventory_interval = Duration::from_millis(50);
        config.network.idle = Duration::from_millis(300);
        config.network.whole_frame = Duration::from_millis(600);
        let (told, events) = channel();
        config.observer = Some(Observer::new(move |_, event| {
            let _ = told.send(event.clone());
        }));
        change(&mut config);
        let hypervisor = wrap_hypervisor(data_centre.hypervisor(here.into()).unwrap());
        let flows = Box::new(data_centre.flows(here.into()).unwrap());
        let agent = Agent::start(config, hypervisor, wrap(flows)).unwrap();
        let other = UdpSocket::bind((there, port)).unwrap();
        other.set_read_timeout(Some(SOON)).unwrap();
        let bench = Self {
            agent,
            data_centre,
            target: (here, port).into(),
            other,
            other_id: there.into(),
            events,
            counter: Cell::new(0),
        };
        while bench.agent.status().unwrap().vms.is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        bench
    }

    /// A codec that counts from above all others before it.
    pub fn codec(&self, server: ServerId) -> Codec {
        self.codec_of(Cluster(0), server)
    }

    pub fn codec_of(&self, cluster: Cluster, server: ServerId) -> Codec {
        self.counter.set(self.counter.get() + 1000);
        let keyring = Keyring::new(lab_key(), []).unwrap();
        Codec::new(cluster, server, keyring, 1 << 20).with_counter(self.counter.get())
    }

    /// The next message that the agent sends to the other server.
    pub fn answer(&self) -> Message {
        let mut datagram = [0; 2048];
        let (length, _) = self.other.recv_from(&mut datagram).expect("an answer");
        let frame = Bytes::copy_from_slice(&datagram[..length]);
        self.codec(self.other_id).open(&frame).unwrap().message
    }

    pub fn refused(&self, reason: &str) -> u64 {
        self.agent
            .status()
            .unwrap()
            .refused
            .get(reason)
            .copied()
            .unwrap_or(0)
    }

    pub fn wait_for(&self, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut seen = Vec::new();
        loop {
            let event = self
                .events
                .recv_timeout(SOON)
                .unwrap_or_else(|_| panic!("only {seen:?}"));
            seen.push(event);
            if wanted(&seen[seen.len() - 1]) {
                return seen;
            }
        }
    }

    /// The frame of a token of these servers' two VMs, for the agent's.
    pub fn token(&self, mark: Mark) -> Bytes {
        let policy = PolicyKind::RoundRobin.build();
        let token = Token::new(&[VM, PEER], &*policy, mark, Limits::default()).unwrap();
        let message = Message::Token(token.encode().into());
        self.codec(self.other_id).seal(None, &message)
    }

    /// Sends this on a connection of its own, from the other server.
    pub fn deliver(&self, bytes: &[u8]) {
        self.connect().write_all(bytes).unwrap();
    }

    /// A connection from the other server.
    pub fn connect(&self) -> TcpStream {
        connect(self.other_id.addr(), self.target)
    }

    pub fn tell(&self, message: &Message) {
        let frame = self.codec(self.other_id).seal(None, message);
        self.other.send_to(&frame, self.target).unwrap();
    }

    pub fn stop(self) {
        self.agent.shutdown();
        let began = Instant::now();
        self.agent.join().unwrap();
        assert!(began.elapsed() < Duration::from_secs(4));
        // The port is free again.
        drop(TcpListener::bind(self.target).unwrap());
        drop(UdpSocket::bind(self.target).unwrap());
    }
}

/// The addresses of the agent's server and of the other.
fn servers(net: u8) -> [Ipv4Addr; 2] {
    [1, 2].map(|host| Ipv4Addr::new(127, 78, net, host))
}

/// Both servers; VM runs on the agent's and PEER on the other.
pub fn data_centre(net: u8, builder: DataCentreBuilder) -> DataCentre {
    let [here, there] = servers(net);
    let server = |addr: Ipv4Addr| EmulatedServer {
        id: addr.into(),
        vm_slots: 4,
        memory_mib: 4096,
    };
    let vm = |id, addr: Ipv4Addr| EmulatedVm {
        id,
        server: addr.into(),
        memory_mib: 64,
        name: String::new(),
    };
    builder
        .build(
            [server(here), server(there)],
            [vm(VM, here), vm(PEER, there)],
            [(VM, PEER, Rate::new(1e6).unwrap())],
        )
        .unwrap()
}

pub fn where_is(vm: VmId, query: u64) -> Message {
    let query = QueryId::new(query);
    Message::LocationRequest {
        query,
        vm,
        directed: false,
    }
}

pub fn connect(source: Ipv4Addr, target: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    socket.connect(&target.into()).unwrap();
    socket.into()
}
