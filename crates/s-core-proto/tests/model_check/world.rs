//! The state that is explored: three real nodes, all messages that were ever sent, and the hypervisors.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use s_core_model::{Capacity, ServerId, VmId};
use s_core_proto::{
    Action, Config, Destination, Durable, Input, Instant, Message, Node, Outcome, QueryId, Report,
};
use s_core_token::Mark;

use crate::common::{Pairs, rate, server, vm};
use crate::rules::{self, Rule};
use crate::scenario::{Setup, Start};
use crate::shared::Shared;

pub const SERVERS: u32 = 3;
pub const VMS: u32 = 3;
/// VMs that a server has room for.
pub const SLOTS: u32 = 2;
const MEMORY_MIB: u32 = 64;
/// Further than any path counts, so that a restarted server asks no question twice.
const QUERIES_PER_START: u64 = 1 << 20;

/// A server: its node, its own time, and what it would know after a crash.
#[derive(Clone, Debug, Hash)]
pub struct Host {
    pub node: Node<Pairs>,
    /// How many ticks it was given, a second each.
    pub ticks: u64,
    pub durable: Durable,
    pub starts: u64,
}

impl Host {
    pub fn now(&self) -> Instant {
        Instant::after_origin(Duration::from_secs(self.ticks))
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Envelope {
    pub from: ServerId,
    pub to: ServerId,
    pub message: Message,
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}: ", self.from, self.to)?;
        match rules::token_in(self) {
            Some((vm, mark)) => write!(f, "token {mark} for {vm}"),
            None => self.message.fmt(f),
        }
    }
}

/// How far a migration has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    Begun,
    /// Let in by the target.
    Admitted,
    Moved,
    Failed,
}

/// A migration, as the two hypervisors see it. It goes on whatever becomes of the agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flight {
    pub vm: VmId,
    pub source: ServerId,
    pub target: ServerId,
    pub stage: Stage,
    /// The source's node was told how it ended, or cannot be told any more.
    pub told: bool,
}

impl Flight {
    /// The source's driver is done with it: what has not begun to arrive will not any more, as
    /// [`Outcome::Unknown`] promises; what has may still come or fail.
    fn end_at_source(&mut self) {
        self.told = true;
        if self.stage == Stage::Begun {
            self.stage = Stage::Failed;
        }
    }

    pub fn is_under_way(&self) -> bool {
        matches!(self.stage, Stage::Begun | Stage::Admitted)
    }
}

#[derive(Clone, Debug, PartialEq, Hash)]
pub struct World {
    hosts: Vec<Shared<Host>>,
    /// All that was ever sent, each once. Whatever is here may be delivered at any time, again and again, or never: loss,
    /// duplication and reordering need no steps of their own.
    pub network: Vec<Shared<Envelope>>,
    /// The server of each VM.
    pub homes: Vec<ServerId>,
    pub flights: Vec<Flight>,
    /// The marks under which a visit began, and where.
    pub acted_on: Vec<(Mark, ServerId)>,
    pub crashes_left: u8,
    pub broken: Option<Rule>,
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    ToItsEnd,
    /// Up to the crash that was asked for.
    UpToCrash,
}

impl World {
    pub fn new(setup: &Setup) -> Self {
        let start = |config: &Arc<Config<Pairs>>| {
            let durable = Durable::default();
            let node = Node::new(Arc::clone(config), durable.clone()).expect("a known server");
            Shared::new(Host {
                node,
                ticks: 0,
                durable,
                starts: 0,
            })
        };
        let mut world = Self {
            hosts: setup.configs.iter().map(start).collect(),
            network: Vec::new(),
            homes: (0..VMS).map(server).collect(),
            flights: Vec::new(),
            acted_on: Vec::new(),
            crashes_left: setup.scenario.crashes,
            broken: None,
        };
        for number in 0..SERVERS {
            let listing = world.listing(server(number));
            world.run(setup, server(number), listing, None);
        }
        let vms = (0..VMS).map(vm).collect();
        world.run(setup, server(0), Input::Mint { vms }, None);
        if setup.scenario.start == Start::Arriving {
            world.begin_to_arrive(setup);
        }
        world
    }

    /// The first VM is promised room, sent, and let in.
    fn begin_to_arrive(&mut self, setup: &Setup) {
        while self.flights.is_empty() {
            for envelope in self.network.clone() {
                if let Message::CapacityRequest { .. } | Message::CapacityResponse { .. } =
                    envelope.message
                {
                    let (sender, message) = (envelope.from, envelope.message.clone());
                    self.run(
                        setup,
                        envelope.to,
                        Input::Received { sender, message },
                        None,
                    );
                }
            }
        }
        let Flight { vm, target, .. } = self.flights[0];
        self.run(setup, target, Input::Arriving { vm }, None);
    }

    pub fn host(&self, at: ServerId) -> &Host {
        &self.hosts[index(at)]
    }

    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().map(|host| &**host)
    }

    pub fn change<R>(&mut self, at: ServerId, change: impl FnOnce(&mut Host) -> R) -> R {
        let mut host = self.host(at).clone();
        let result = change(&mut host);
        self.hosts[index(at)] = Shared::new(host);
        result
    }

    pub fn home(&self, vm: VmId) -> ServerId {
        self.homes[vm.get() as usize]
    }

    pub fn was_sent(&self, is_it: impl Fn(&Message) -> bool) -> bool {
        self.network.iter().any(|envelope| is_it(&envelope.message))
    }

    pub fn acted_on_at(&self, at: ServerId, mark: Mark) -> bool {
        self.acted_on.contains(&(mark, at))
    }

    /// What the hypervisor would say now.
    pub fn listing(&self, at: ServerId) -> Input {
        let here = self.homes.iter().enumerate();
        let vms: Vec<_> = here
            .filter(|(_, home)| **home == at)
            .map(|(number, _)| (vm(u32::try_from(number).expect("few")), MEMORY_MIB))
            .collect();
        let free = SLOTS.saturating_sub(u32::try_from(vms.len()).expect("few"));
        let free = Capacity {
            vm_slots: free,
            memory_mib: u64::from(free * MEMORY_MIB),
        };
        Input::Hosted { vms, free }
    }

    /// Whether the node knows which VMs run on its server.
    pub fn is_listed(&self, at: ServerId) -> bool {
        let told: Vec<_> = self.host(at).node.hosted_vms().collect();
        matches!(self.listing(at), Input::Hosted { vms, .. } if vms == told)
    }

    fn note(&mut self, setup: &Setup, broken: Option<Rule>) {
        let broken = broken.filter(|rule| Some(*rule) != setup.unwatched);
        self.broken = self.broken.or(broken);
    }

    /// Gives a node an input, does what it asks for, and so on to the end; or until right before what it asks for as
    /// number `crash` among the things that outlive a crash.
    pub fn run(&mut self, setup: &Setup, at: ServerId, input: Input, mut crash: Option<u8>) -> Ran {
        let mut inputs = VecDeque::from([(at, input)]);
        while let Some((at, input)) = inputs.pop_front() {
            let (before, actions) = self.change(at, |host| {
                let before = host.node.mark();
                let now = host.now();
                host.node.handle(now, input.clone());
                let actions: Vec<_> = std::iter::from_fn(|| host.node.poll()).collect();
                (before, actions)
            });
            let broken = rules::check_step(self.host(at), before, &input, &actions);
            self.note(setup, broken);
            for action in actions {
                if matches!(action, Action::Persist(_) | Action::Migrate { .. }) {
                    match &mut crash {
                        Some(0) => {
                            self.crash(setup, at);
                            return Ran::UpToCrash;
                        }
                        Some(left) => *left -= 1,
                        None => {}
                    }
                }
                self.act(setup, at, action, &mut inputs);
            }
        }
        let broken = rules::check_room(self);
        self.note(setup, broken);
        Ran::ToItsEnd
    }

    fn act(
        &mut self,
        setup: &Setup,
        at: ServerId,
        action: Action,
        inputs: &mut VecDeque<(ServerId, Input)>,
    ) {
        match action {
            Action::Persist(durable) => self.change(at, |host| host.durable = durable),
            Action::Send { to, message } => {
                let broken = rules::check_sent(self, at, to, &message);
                self.note(setup, broken);
                self.send(setup, at, to, message, inputs);
            }
            Action::Measure(of) => {
                let pairs = setup.scenario.traffic.iter();
                let peers = pairs.filter_map(|(a, b)| match of {
                    _ if vm(*a) == of => Some((vm(*b), rate(10.0))),
                    _ if vm(*b) == of => Some((vm(*a), rate(10.0))),
                    _ => None,
                });
                let peers = peers.collect();
                inputs.push_back((at, Input::Measured { vm: of, peers }));
            }
            Action::ListHosted => inputs.push_back((at, self.listing(at))),
            Action::Migrate { vm, target, .. } => {
                let broken = rules::check_migration(self, vm, at, target);
                self.note(setup, broken);
                self.begin_migration(vm, at, target);
            }
            // Answered by `arrive`, which looks for them.
            Action::Admit(vm) => self.set_stage(vm, at, Stage::Admitted),
            Action::Refuse(vm) => self.set_stage(vm, at, Stage::Failed),
            Action::Report(Report::Holding { vm, mark }) => {
                let broken = rules::check_acted_on(self, at, vm, mark);
                self.note(setup, broken);
                self.acted_on.push((mark, at));
                self.acted_on.sort_unstable();
            }
            Action::Report(_) => {}
        }
    }

    fn send(
        &mut self,
        setup: &Setup,
        from: ServerId,
        to: Destination,
        message: Message,
        inputs: &mut VecDeque<(ServerId, Input)>,
    ) {
        let to: Vec<_> = match to {
            Destination::Server(server) => vec![server],
            Destination::HostOf(_) | Destination::Everybody => (0..SERVERS).map(server).collect(),
        };
        let about_location = matches!(
            message,
            Message::LocationRequest { .. } | Message::LocationResponse { .. }
        );
        for to in to.into_iter().filter(|to| *to != from) {
            let message = message.clone();
            if about_location && !setup.scenario.slow_locations {
                let sender = from;
                inputs.push_back((to, Input::Received { sender, message }));
                continue;
            }
            let envelope = Shared::new(Envelope { from, to, message });
            let place = self
                .network
                .binary_search_by_key(&envelope.key(), Shared::key);
            if let Err(place) = place {
                self.network.insert(place, envelope);
            }
        }
    }

    fn begin_migration(&mut self, vm: VmId, source: ServerId, target: ServerId) {
        self.flights.push(Flight {
            vm,
            source,
            target,
            stage: Stage::Begun,
            told: false,
        });
    }

    fn set_stage(&mut self, vm: VmId, target: ServerId, stage: Stage) {
        let arriving = |flight: &&mut Flight| {
            flight.vm == vm && flight.target == target && flight.stage == Stage::Begun
        };
        if let Some(flight) = self.flights.iter_mut().find(arriving) {
            flight.stage = stage;
        }
    }

    /// The VM is there, or has failed to come; the target's agent hears of a failure.
    pub fn complete(&mut self, setup: &Setup, number: usize, moved: bool) {
        let flight = self.flights[number];
        self.flights[number].stage = if moved { Stage::Moved } else { Stage::Failed };
        if moved {
            self.homes[flight.vm.get() as usize] = flight.target;
        } else if flight.stage == Stage::Admitted {
            let vm = flight.vm;
            self.run(setup, flight.target, Input::ArrivalFailed { vm }, None);
        }
        self.forget_flights();
    }

    pub fn tell(
        &mut self,
        setup: &Setup,
        number: usize,
        outcome: Outcome,
        crash: Option<u8>,
    ) -> Ran {
        self.flights[number].end_at_source();
        let Flight { vm, source, .. } = self.flights[number];
        self.forget_flights();
        let input = Input::MigrationEnded { vm, outcome };
        self.run(setup, source, input, crash)
    }

    fn forget_flights(&mut self) {
        self.flights
            .retain(|flight| flight.is_under_way() || !flight.told);
    }

    /// The agent dies, and is started again from what was made durable.
    pub fn crash(&mut self, setup: &Setup, at: ServerId) {
        self.crashes_left -= 1;
        let mut flights = self.flights.iter_mut();
        for flight in flights.by_ref().filter(|flight| flight.source == at) {
            flight.end_at_source();
        }
        // Nor does it let in what was promised before.
        let arriving = |flight: &&mut Flight| flight.target == at && flight.is_under_way();
        for flight in self.flights.iter_mut().filter(arriving) {
            flight.stage = Stage::Failed;
        }
        self.forget_flights();
        self.change(at, |host| {
            host.starts += 1;
            let queries = QueryId::new(host.starts * QUERIES_PER_START);
            let node = Node::new(setup.config(at), host.durable.clone()).expect("a known server");
            host.node = node.with_first_query(queries);
        });
        self.run(setup, at, self.listing(at), None);
    }
}

pub fn index(server: ServerId) -> usize {
    usize::try_from(server.get() - 100).expect("few")
}
