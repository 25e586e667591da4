//! Starting, asking and stopping an agent.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use s_core_backend::{FlowSource, Hypervisor};
use s_core_model::{Levels as _, ServerId, VmId};
use s_core_proto::wire::{Codec, FRAME_OVERHEAD, Opener};
use s_core_proto::{Node, OpenMigration, QueryId, UnknownServer};
use s_core_topology::LocationTable;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::arrivals::Arrivals;
use crate::clock::{Clock, Throttle};
use crate::config::{Addressing, AgentConfig};
use crate::driver::{Driver, Incoming};
use crate::error::AgentError;
use crate::flows::Flows;
use crate::gate::NodeGate;
use crate::interception::{self, interceptor};
use crate::inventory::Inventories;
use crate::mark_file::MarkFile;
use crate::network::{Mailbox, Network, NetworkStop, Refusals, mail, wake_pipe};
use crate::post::{Bucket, Parcel, Post, VmAddresses, deliver};
use crate::status::AgentStatus;
use crate::verify::Verification;

/// What may wait for the main thread, beside mail.
const INBOX: usize = 64;
/// How long to wait for a place in it before the next try.
const INBOX_PAUSE: Duration = Duration::from_millis(5);
/// Tokens that wait to be delivered.
const OUTBOX: usize = 16;
/// What is asked of the system for datagrams that wait; it gives what it allows.
const RECEIVE_BUFFER: usize = 4 << 20;
/// What is asked of the system for datagrams to all servers that leave at once.
const SEND_BUFFER: usize = 4 << 20;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// How often a kind of trouble is logged at most.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// What a token's message adds to the token, at most.
const TOKEN_FIELDS: usize = 64;
/// How long [`AgentHandle::status`] and [`AgentHandle::mint`] wait.
const STATUS_DEADLINE: Duration = Duration::from_secs(5);
/// How long an agent that is to stop keeps the token going until another server's VM is next, beside what
/// acknowledgements may take.
const TOKEN_GRACE: Duration = Duration::from_secs(3);
/// How often [`AgentHandle::join`] looks whether a thread has ended.
const JOIN_PAUSE: Duration = Duration::from_millis(5);
/// How long [`AgentHandle::join`] waits for threads that may hang on the hypervisor or the switch.
const BACKEND_GRACE: Duration = Duration::from_secs(1);
/// How long it waits for the interception's rules to be removed, which may begin after they have been kept once more.
const INTERCEPTION_GRACE: Duration = interception::DEADLINE
    .saturating_mul(2)
    .saturating_add(BACKEND_GRACE);

/// One server's part in S-CORE, running: see [`Agent::start`].
#[derive(Debug)]
pub struct Agent {}

impl Agent {
    /// Starts an agent for the host that `hypervisor` and `flows` belong to: its main thread, one that
    /// listens, one that delivers tokens, one that reads flows and one that asks what runs here.
    ///
    /// It serves and waits for a token until [`AgentHandle::shutdown`].
    ///
    /// # Errors
    ///
    /// [`AgentError`]; nothing runs then.
    pub fn start(
        config: AgentConfig,
        hypervisor: Arc<dyn Hypervisor>,
        flows: Box<dyn FlowSource>,
    ) -> Result<AgentHandle, AgentError> {
        config.check()?;
        start(config, hypervisor, flows)
    }
}

/// What the threads of an agent share, and the ends of the channels between them.
struct Wiring {
    clock: Clock,
    server: ServerId,
    servers: Arc<LocationTable>,
    codec: Codec,
    flows: Arc<Flows>,
    refusals: Arc<Refusals>,
    migrations_ended: Arc<AtomicU64>,
    inbox: SyncSender<Incoming>,
}

fn start(
    mut config: AgentConfig,
    hypervisor: Arc<dyn Hypervisor>,
    source: Box<dyn FlowSource>,
) -> Result<AgentHandle, AgentError> {
    let (marks, found) = MarkFile::open(&config.state_dir)?;
    if let Some(durable) = &found {
        // Whether the token that was here is still on its way, this server cannot tell.
        config.mint = None;
        for OpenMigration { vm, target, .. } in &durable.migrations {
            tracing::warn!(%vm, %target, "a migration was under way when the agent last ended; it is left alone until its target says what became of it");
        }
    }
    let (inbox, incoming) = sync_channel(INBOX);
    let wiring = Wiring::new(&config, inbox.clone())?;
    let transparent = config.interception.as_ref();
    let transparent = transparent.is_some_and(|interception| interception.is_transparent());
    let (udp, listener) = open_sockets(wiring.server, config.port, transparent)?;
    let (network, network_stop, mailbox) = wiring.network(&config, &udp, listener)?;
    let (tokens, tokens_out) = sync_channel(OUTBOX);
    let (list_requests, list_requested) = sync_channel(1);
    let (flows_stop, flows_stopped) = sync_channel(1);
    let post = wiring.post(&config, udp, tokens)?;
    let inventories = wiring.inventories(&config, Arc::clone(&hypervisor));
    let gate = NodeGate {
        inbox: inbox.clone(),
        identities: config.identities.clone(),
        flows: Arc::clone(&wiring.flows),
    };
    let interception = config.interception.take();
    let interception =
        interception.map(|interception| interceptor(interception, config.inventory_interval));
    let (interceptor, intercepted) = interception.unzip();
    let (flows, server) = (Arc::clone(&wiring.flows), wiring.server);
    let port = config.port;
    // Later the node sends it again.
    let delivery = config.network.delivery;
    let delivery = delivery.min(config.node.timing.acknowledgement);
    let token_grace = token_grace(&config);
    let longest_migration = config.node.timing.reservation;
    let stop = Arc::new(AtomicBool::new(false));
    config.node.asks_admission = hypervisor.guard(Arc::new(gate));
    if !config.node.asks_admission {
        tracing::debug!("the hypervisor lets every VM in that it has room for");
    }
    let node = Node::new(Arc::new(config.node), found.unwrap_or_default())
        .map_err(|UnknownServer(server)| AgentError::UnknownServer(server))?;
    let driver = Driver {
        node: node.with_first_query(QueryId::new(wall_clock_nanos())),
        clock: wiring.clock,
        marks,
        unstored: None,
        store_errors: Throttle::new(LOG_INTERVAL),
        warnings: Throttle::new(LOG_INTERVAL),
        post,
        flows: wiring.flows,
        hypervisor: Arc::clone(&hypervisor),
        list_requests,
        migrations_ended: wiring.migrations_ended,
        domains: BTreeMap::new(),
        arrivals: Arrivals::default(),
        expected: BTreeMap::new(),
        expected_before: 0,
        ended: BTreeSet::new(),
        verification: Verification::new(longest_migration),
        departing: BTreeMap::new(),
        portless: BTreeSet::new(),
        unattached: BTreeSet::new(),
        cleaning: Arc::default(),
        hypervisor_deadline: config.hypervisor_deadline,
        migrating: false,
        not_begun: None,
        admitted: false,
        to_measure: None,
        mint: config.mint,
        migration_grace: config.migration_grace,
        token_grace,
        stop: Arc::clone(&stop),
        stopping: None,
        mailbox,
        more_mail: false,
        observer: config.observer,
        intercepted,
        refusals: wiring.refusals,
        inbox: wiring.inbox,
        _network: network_stop,
        _flows_stop: flows_stop,
    };

    let mut handle = AgentHandle {
        inbox: inbox.clone(),
        stop,
        threads: Vec::new(),
    };
    handle.spawn("network", move || network.run())?;
    handle.spawn("deliver", move || {
        deliver(&tokens_out, server, port, delivery);
    })?;
    handle.spawn("flows", move || flows.run(source, &flows_stopped))?;
    handle.spawn("inventory", move || {
        inventories.run(&list_requested, &inbox);
    })?;
    if let Some(interceptor) = interceptor {
        handle.spawn("interception", move || interceptor.run())?;
    }
    handle.spawn("main", move || driver.run(&incoming))?;
    tracing::info!(%server, port, "the agent runs");
    Ok(handle)
}

impl Wiring {
    fn new(config: &AgentConfig, inbox: SyncSender<Incoming>) -> Result<Self, AgentError> {
        let clock = Clock::start();
        let max_frame = usize::try_from(config.node.token_limits.max_frame_len());
        let max_frame = max_frame.unwrap_or(usize::MAX);
        let server = config.node.server;
        let codec = Codec::new(
            config.cluster,
            server,
            config.keyring.clone(),
            max_frame.saturating_add(FRAME_OVERHEAD + TOKEN_FIELDS),
        );
        Ok(Self {
            clock,
            server,
            servers: Arc::clone(config.node.model.levels()),
            codec: codec.with_counter(wall_clock_nanos()),
            flows: Arc::new(Flows::new(config.flows, random_seed(), clock)?),
            refusals: Arc::default(),
            migrations_ended: Arc::default(),
            inbox,
        })
    }

    fn network(
        &self,
        config: &AgentConfig,
        udp: &UdpSocket,
        listener: TcpListener,
    ) -> Result<(Network, NetworkStop, Mailbox), AgentError> {
        let error = |source| AgentError::Thread {
            what: "network",
            source,
        };
        let (mail, mailbox) = mail(self.inbox.clone());
        let (wake_reader, wake) = wake_pipe().map_err(error)?;
        let stop = Arc::new(AtomicBool::new(false));
        let network = Network {
            udp: udp.try_clone().map_err(error)?,
            listener,
            wake: wake_reader,
            stop: Arc::clone(&stop),
            opener: Opener::new(self.codec.clone(), Arc::clone(&self.servers)),
            servers: Arc::clone(&self.servers),
            limits: config.network,
            refusals: Arc::clone(&self.refusals),
            mail,
        };
        Ok((network, NetworkStop { stop, wake }, mailbox))
    }

    fn post(
        &self,
        config: &AgentConfig,
        udp: UdpSocket,
        tokens: SyncSender<Parcel>,
    ) -> Result<Post, AgentError> {
        let asks = config.network.asks_per_second;
        let vms = (config.addressing == Addressing::Vms)
            .then(|| VmAddresses::open(self.server))
            .transpose()?;
        Ok(Post {
            codec: self.codec.clone(),
            udp,
            tokens,
            servers: Arc::clone(&self.servers),
            here: self.server,
            port: config.port,
            vms,
            asks: Bucket::new(asks, self.servers.server_count()),
            first_told: 0,
            losses: Throttle::new(LOG_INTERVAL),
        })
    }

    fn inventories(&self, config: &AgentConfig, hypervisor: Arc<dyn Hypervisor>) -> Inventories {
        Inventories {
            hypervisor,
            flows: Arc::clone(&self.flows),
            identities: config.identities.clone(),
            interval: config.inventory_interval,
            deadline: config.hypervisor_deadline,
            migrations_ended: Arc::clone(&self.migrations_ended),
            attachments: config.attachments.clone(),
            cpu: None,
            learnt: BTreeMap::new(),
            warnings: Throttle::new(LOG_INTERVAL),
        }
    }
}

/// Long enough for the token to come to a VM elsewhere and be acknowledged; not longer than a migration is waited for.
fn token_grace(config: &AgentConfig) -> Duration {
    let attempts = u32::from(config.node.bounds.attempts);
    let acknowledged = config.node.timing.acknowledgement.saturating_mul(attempts);
    let whole = TOKEN_GRACE.saturating_add(acknowledged);
    whole.min(config.migration_grace)
}

/// A number that tenants cannot guess: the standard library draws the keys of its own hash maps at random.
pub(crate) fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Above all numbers of frames and queries that this server used before, as long as its clock is not set back.
fn wall_clock_nanos() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(elapsed.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX / 2)
}

/// If `transparent`, they also take what was sent to other addresses and was brought to them.
fn open_sockets(
    server: ServerId,
    port: u16,
    transparent: bool,
) -> Result<(UdpSocket, TcpListener), AgentError> {
    let address = SocketAddr::from(SocketAddrV4::new(server.addr(), port));
    let error = |protocol| {
        move |source| AgentError::Socket {
            protocol,
            address,
            source,
        }
    };
    let open_udp = || {
        let udp = UdpSocket::bind(address)?;
        take_for_others(&SockRef::from(&udp), transparent)?;
        SockRef::from(&udp).set_recv_buffer_size(RECEIVE_BUFFER)?;
        SockRef::from(&udp).set_send_buffer_size(SEND_BUFFER)?;
        udp.set_nonblocking(true)?;
        Ok(udp)
    };
    let open_tcp = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        // An agent that starts again need not wait for its old connections to be forgotten.
        socket.set_reuse_address(true)?;
        take_for_others(&SockRef::from(&socket), transparent)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(TcpListener::from(socket))
    };
    let udp = open_udp().map_err(error("UDP"))?;
    Ok((udp, open_tcp().map_err(error("TCP"))?))
}

/// Lets a socket take what was sent to other addresses, if it is to.
fn take_for_others(socket: &SockRef<'_>, transparent: bool) -> std::io::Result<()> {
    if !transparent {
        return Ok(());
    }
    #[cfg(target_os = "linux")]
    return socket.set_ip_transparent_v4(true);
    #[cfg(not(target_os = "linux"))]
    Err(std::io::Error::from(std::io::ErrorKind::Unsupported))
}

/// An agent that runs. When it is dropped, the agent stops as after [`shutdown`](Self::shutdown), and nobody waits for it.
#[derive(Debug)]
pub struct AgentHandle {
    inbox: SyncSender<Incoming>,
    stop: Arc<AtomicBool>,
    threads: Vec<(&'static str, JoinHandle<()>)>,
}

impl AgentHandle {
    fn spawn(
        &mut self,
        what: &'static str,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), AgentError> {
        let thread = std::thread::Builder::new().name(format!("s-core-{what}"));
        let thread = thread.spawn(work);
        let thread = thread.map_err(|source| AgentError::Thread { what, source })?;
        self.threads.push((what, thread));
        Ok(())
    }

    /// Has the agent make a token in a new epoch for these VMs and those that run on its host. What becomes
    /// of it is told as an [event](crate::Event): the agent refuses if it holds a token.
    ///
    /// Only one agent may be asked, and only when no token is on its way: a second token costs time.
    ///
    /// # Errors
    ///
    /// [`AgentError::Stopped`], or [`AgentError::NoAnswer`] after 5 s.
    pub fn mint(&self, vms: Vec<VmId>) -> Result<(), AgentError> {
        self.tell(Incoming::Mint(vms))
    }

    fn tell(&self, mut incoming: Incoming) -> Result<(), AgentError> {
        let began = Instant::now();
        loop {
            incoming = match self.inbox.try_send(incoming) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(_)) => return Err(AgentError::Stopped),
                Err(TrySendError::Full(incoming)) => incoming,
            };
            if began.elapsed() >= STATUS_DEADLINE {
                return Err(AgentError::NoAnswer(STATUS_DEADLINE));
            }
            std::thread::sleep(INBOX_PAUSE);
        }
    }

    /// What the agent says about itself.
    ///
    /// # Errors
    ///
    /// [`AgentError::Stopped`], or [`AgentError::NoAnswer`] after 5 s.
    pub fn status(&self) -> Result<AgentStatus, AgentError> {
        let (answer, answered) = sync_channel(1);
        self.tell(Incoming::Status(answer))?;
        answered.recv_timeout(STATUS_DEADLINE).map_err(|error| {
            if error == RecvTimeoutError::Timeout {
                AgentError::NoAnswer(STATUS_DEADLINE)
            } else {
                AgentError::Stopped
            }
        })
    }

    /// Tells the agent to stop and returns at once. It takes no token and begins no migration any more. It waits
    /// for a migration that is in flight, at most for [`migration_grace`](AgentConfig::migration_grace). A token that
    /// it holds goes on until another server has taken it; if none does within seconds and the time that
    /// acknowledgements may take, it is logged, and the others find the token again without this server.
    pub fn shutdown(&self) {
        self.stop.store(true, Ordering::SeqCst);
        // It fails only when the agent has stopped, or is awake and sees the flag.
        drop(self.inbox.try_send(Incoming::Stop));
    }

    /// Whether the agent has stopped or one of its threads has ended before its time;
    /// [`join`](Self::join) then stops the others and says why.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().any(|(_, thread)| thread.is_finished())
    }

    /// Waits until the agent has stopped; [`shutdown`](Self::shutdown) makes it, and so does a thread of it that panics.
    ///
    /// A thread that hangs on the hypervisor or the switch is left behind after a second; the removal of an
    /// [interception](AgentConfig::interception) is waited for 11 s.
    ///
    /// # Errors
    ///
    /// [`AgentError::Panicked`] if a thread of it did.
    pub fn join(mut self) -> Result<(), AgentError> {
        while !self.is_finished() {
            std::thread::sleep(JOIN_PAUSE);
        }
        self.shutdown();
        // The main thread was started last, and the others end when it does.
        while let Some((what, thread)) = self.threads.pop() {
            let began = Instant::now();
            let own = matches!(what, "main" | "network");
            let grace = if what == "interception" {
                INTERCEPTION_GRACE
            } else {
                BACKEND_GRACE
            };
            while !own && !thread.is_finished() && began.elapsed() < grace {
                std::thread::sleep(Duration::from_millis(5));
            }
            if own || thread.is_finished() {
                thread.join().map_err(|_| AgentError::Panicked(what))?;
            } else {
                tracing::warn!(thread = what, "left behind while it waits for an answer");
            }
        }
        Ok(())
    }
}

impl Drop for AgentHandle {
    fn drop(&mut self) {
        self.shutdown();
    }
}
