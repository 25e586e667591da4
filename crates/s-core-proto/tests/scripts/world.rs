//! Real nodes, a wire on which messages wait, and a log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use s_core_model::{
    Capacity, CostModel, Level, Levels, LinkWeights, Rate, ServerId, ServerIndex, VmId,
};
use s_core_proto::{
    Action, Config, Destination, Durable, Input, Instant, Message, Node, Outcome, QueryId, Report,
    TimerKind,
};
use s_core_token::PolicyKind;

use crate::words;

const MEMORY_MIB: u32 = 64;
const FIRST_SERVER: u32 = 0x0a00_0001;
/// Further than any script counts, so that a restarted server asks no question twice.
const QUERIES_PER_START: u64 = 1 << 20;

/// Servers in racks of their own.
#[derive(Clone, Copy, Debug)]
pub struct Racks(u32);

impl Levels for Racks {
    fn server_count(&self) -> usize {
        self.0 as usize
    }
    fn max_level(&self) -> Level {
        Level::new(1)
    }
    fn level(&self, a: ServerIndex, b: ServerIndex) -> Level {
        Level::new(u8::from(a != b))
    }
    fn index_of(&self, server: ServerId) -> Option<ServerIndex> {
        let index = server.get().checked_sub(FIRST_SERVER)?;
        (index < self.0).then(|| ServerIndex::new(index))
    }
    fn server_at(&self, index: ServerIndex) -> ServerId {
        ServerId::new(FIRST_SERVER + index.get())
    }
}

#[derive(Debug)]
pub struct Host {
    /// None while the agent is dead.
    pub node: Option<Node<Racks>>,
    config: Arc<Config<Racks>>,
    durable: Durable,
    starts: u64,
}

#[derive(Debug)]
struct Envelope {
    from: ServerId,
    to: ServerId,
    message: Message,
}

#[derive(Debug, Default)]
pub struct World {
    pub servers: BTreeMap<ServerId, Host>,
    pub homes: BTreeMap<VmId, ServerId>,
    /// Servers that no message from the others reaches, and the reverse.
    pub cut_off: BTreeSet<ServerId>,
    /// Only news is logged.
    pub quiet: bool,
    pub log: String,
    /// How long the token rests with each VM, if not as long as it does by default.
    pub rest: Option<Duration>,
    room: u32,
    traffic: Vec<(VmId, VmId, u32)>,
    wire: VecDeque<Envelope>,
    /// VMs that are migrating: from where to where.
    flights: BTreeMap<VmId, (ServerId, ServerId)>,
    admitted: bool,
    now: Instant,
}

impl World {
    pub fn build(&mut self, count: u32, room: u32) {
        self.room = room;
        for number in 0..count {
            let server = ServerId::new(FIRST_SERVER + number);
            let weights = LinkWeights::new([1.0]).expect("one weight");
            let model = CostModel::new(weights, Racks(count)).expect("one level, one weight");
            let policy = Arc::from(PolicyKind::RoundRobin.build());
            let mut config = Config::new(server, model, policy);
            config.timing.rest = self.rest.unwrap_or(config.timing.rest);
            let host = Host {
                node: None,
                config: Arc::new(config),
                durable: Durable::default(),
                starts: 0,
            };
            self.servers.insert(server, host);
            self.restart(server);
        }
    }

    pub fn start_vms(&mut self, at: ServerId, vms: Vec<VmId>) {
        self.homes.extend(vms.into_iter().map(|vm| (vm, at)));
        self.list(at);
    }

    pub fn traffic(&mut self, a: VmId, b: VmId, rate: u32) {
        self.traffic.push((a, b, rate));
    }

    pub fn mint(&mut self, at: ServerId) {
        let vms = self.homes.keys().copied().collect();
        self.handle(at, Input::Mint { vms });
    }

    pub fn deliver_all(&mut self) {
        while let Some(envelope) = self.wire.pop_front() {
            self.arrive(envelope);
        }
    }

    /// Those of a kind, and what is answered to them.
    pub fn deliver(&mut self, kind: &str) -> Result<(), String> {
        let mut arriving = self.take(Some(kind))?;
        while !arriving.is_empty() {
            for envelope in arriving {
                self.arrive(envelope);
            }
            arriving = self.take(Some(kind)).unwrap_or_default();
        }
        Ok(())
    }

    pub fn lose(&mut self, kind: Option<&str>) -> Result<(), String> {
        for envelope in self.take(kind)? {
            self.log_lost(&envelope);
        }
        Ok(())
    }

    fn take(&mut self, kind: Option<&str>) -> Result<Vec<Envelope>, String> {
        let all = self.wire.drain(..);
        let wanted = |e: &Envelope| kind.is_none_or(|kind| words::kind(&e.message) == kind);
        let (taken, left): (Vec<_>, Vec<_>) = all.partition(wanted);
        self.wire = left.into();
        if taken.is_empty() {
            return Err(format!("nothing of that kind is on its way: {kind:?}"));
        }
        Ok(taken)
    }

    fn arrive(&mut self, envelope: Envelope) {
        let cut = self.cut_off.contains(&envelope.from) != self.cut_off.contains(&envelope.to);
        if cut || self.servers[&envelope.to].node.is_none() {
            return self.log_lost(&envelope);
        }
        let Envelope { from, to, message } = envelope;
        let quiet = self.quiet;
        self.quiet &= !words::is_rare(&message);
        self.say(format_args!("{from} → {to}  {}", words::message(&message)));
        self.quiet = quiet;
        let sender = from;
        self.handle(to, Input::Received { sender, message });
    }

    fn log_lost(&mut self, envelope: &Envelope) {
        let Envelope { from, to, message } = envelope;
        let message = words::message(message);
        self.say(format_args!("{from} ↛ {to}  {message}"));
    }

    /// Lets time pass; with `delivering`, whatever is sent arrives at once.
    pub fn advance(&mut self, span: Duration, delivering: bool) {
        let end = self.now + span;
        loop {
            if delivering {
                self.deliver_all();
            }
            let next = |(server, host): (&ServerId, &Host)| {
                let (at, timer) = host.node.as_ref()?.poll_timeout()?;
                Some((at, *server, timer))
            };
            match self.servers.iter().filter_map(next).min() {
                Some((at, server, timer)) if at <= end => {
                    self.now = self.now.max(at);
                    self.fire(server, timer);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn fire(&mut self, server: ServerId, timer: TimerKind) {
        let seconds = self.now.since_origin().as_secs_f64();
        let why = words::timer(timer);
        self.say(format_args!("{seconds:.2} s  {server} {why}"));
        self.handle(server, Input::Tick);
    }

    pub fn end_migration(&mut self, vm: VmId, comes: bool, outcome: Outcome) -> Result<(), String> {
        let flight = self.flights.remove(&vm);
        let (source, target) = flight.ok_or_else(|| format!("vm{} does not migrate", vm.get()))?;
        if comes {
            self.handle(target, Input::Arriving { vm });
            if !self.admitted {
                return Err(format!("vm{} is not let in", vm.get()));
            }
            self.homes.insert(vm, target);
        }
        self.handle(source, Input::MigrationEnded { vm, outcome });
        Ok(())
    }

    pub fn crash(&mut self, at: ServerId) {
        self.host(at).node = None;
    }

    pub fn restart(&mut self, at: ServerId) {
        let host = self.host(at);
        let node = Node::new(Arc::clone(&host.config), host.durable.clone());
        host.starts += 1;
        let queries = QueryId::new(host.starts * QUERIES_PER_START);
        host.node = Some(node.expect("a known server").with_first_query(queries));
        self.list(at);
    }

    fn host(&mut self, at: ServerId) -> &mut Host {
        self.servers
            .get_mut(&at)
            .expect("commands name known servers")
    }

    fn list(&mut self, at: ServerId) {
        let here = self.homes.iter().filter(|(_, home)| **home == at);
        let vms: Vec<_> = here.map(|(vm, _)| (*vm, MEMORY_MIB)).collect();
        let free = self
            .room
            .saturating_sub(u32::try_from(vms.len()).expect("few"));
        let free = Capacity {
            vm_slots: free,
            memory_mib: u64::from(free * MEMORY_MIB),
        };
        self.handle(at, Input::Hosted { vms, free });
    }

    fn handle(&mut self, at: ServerId, input: Input) {
        let now = self.now;
        let Some(node) = &mut self.host(at).node else {
            return;
        };
        node.handle(now, input);
        let actions: Vec<_> = std::iter::from_fn(|| node.poll()).collect();
        for action in actions {
            self.act(at, action);
        }
    }

    fn act(&mut self, at: ServerId, action: Action) {
        match action {
            Action::Persist(durable) => {
                self.say(format_args!("  {at} persists {}", words::durable(&durable)));
                self.host(at).durable = durable;
            }
            Action::Send { to, message } => self.send(at, to, message),
            Action::Measure(vm) => {
                let pairs = self.traffic.iter();
                let rate = |rate: u32| Rate::new(f64::from(rate)).expect("a proper rate");
                let peers = pairs.filter_map(|&(a, b, bytes)| match vm {
                    _ if a == vm => Some((b, rate(bytes))),
                    _ if b == vm => Some((a, rate(bytes))),
                    _ => None,
                });
                let peers = peers.collect();
                self.handle(at, Input::Measured { vm, peers });
            }
            Action::ListHosted => self.list(at),
            Action::Migrate { vm, target, .. } => drop(self.flights.insert(vm, (at, target))),
            Action::Admit(vm) => {
                self.admitted = true;
                self.say(format_args!("  {at} lets vm{} in", vm.get()));
            }
            Action::Refuse(vm) => {
                self.admitted = false;
                self.say(format_args!("  {at} does not let vm{} in", vm.get()));
            }
            Action::Report(report) => self.tell(at, &report),
        }
    }

    fn tell(&mut self, at: ServerId, report: &Report) {
        let quiet = self.quiet;
        self.quiet &= !words::is_news(report);
        self.say(format_args!("  {at} {}", words::report(report)));
        self.quiet = quiet;
    }

    fn send(&mut self, from: ServerId, to: Destination, message: Message) {
        let to: Vec<_> = match to {
            Destination::Server(server) => vec![server],
            Destination::HostOf(_) | Destination::Everybody => {
                self.servers.keys().copied().collect()
            }
        };
        for to in to.into_iter().filter(|to| *to != from) {
            let message = message.clone();
            self.wire.push_back(Envelope { from, to, message });
        }
    }

    pub fn say(&mut self, line: impl Display) {
        if !self.quiet {
            self.log.push_str(&format!("{line}\n"));
        }
    }
}
