//! A small world of real nodes with its own time: the test harness of this crate.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its part of the harness"
)]

pub mod lead;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use s_core_model::{
    Capacity, CostModel, Level, Levels, LinkWeights, Rate, ServerId, ServerIndex, VmId,
};
use s_core_proto::{
    Action, Config, Destination, Durable, Input, Instant, Message, Node, Outcome, Report,
    TargetChoice,
};
use s_core_token::{Mark, PolicyKind};

/// Servers in pairs under an aggregation switch each, all of these under one core (Fig. 5.5).
#[derive(Clone, Copy, Debug)]
pub struct Pairs {
    pub servers: u32,
}

impl Levels for Pairs {
    fn server_count(&self) -> usize {
        self.servers as usize
    }
    fn max_level(&self) -> Level {
        Level::new(2)
    }
    fn level(&self, a: ServerIndex, b: ServerIndex) -> Level {
        Level::new(u8::from(a != b) + u8::from(a.get() / 2 != b.get() / 2))
    }
    fn index_of(&self, server: ServerId) -> Option<ServerIndex> {
        let index = server.get().checked_sub(100)?;
        (index < self.servers).then(|| ServerIndex::new(index))
    }
    fn server_at(&self, index: ServerIndex) -> ServerId {
        ServerId::new(index.get() + 100)
    }
}

pub fn server(number: u32) -> ServerId {
    ServerId::new(100 + number)
}

pub fn vm(number: u32) -> VmId {
    VmId::new(number)
}

pub fn rate(bytes_per_second: f64) -> Rate {
    Rate::new(bytes_per_second).expect("tests use proper rates")
}

pub fn config(me: ServerId, servers: u32, policy: PolicyKind) -> Config<Pairs> {
    let weights = LinkWeights::new([1.0, 3.0]).expect("rising");
    let model = CostModel::new(weights, Pairs { servers }).expect("two levels, two weights");
    Config::new(me, model, Arc::from(policy.build()))
}

/// A small generator, so that a seed replays on every machine.
#[derive(Clone, Copy, Debug)]
pub struct Draw(pub u64);

impl Draw {
    pub fn below(&mut self, bound: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(bound)).expect("below a u32")
    }
}

pub struct World {
    pub now: Instant,
    pub nodes: BTreeMap<ServerId, Node<Pairs>>,
    pub homes: BTreeMap<VmId, ServerId>,
    pub pairs: BTreeMap<(VmId, VmId), f64>,
    pub slots: u32,
    pub reports: Vec<(ServerId, Report)>,
    pub persisted: BTreeMap<ServerId, Mark>,
    /// In percent, of every message.
    pub loss: u32,
    pub duplication: u32,
    pub reordering: u32,
    pub draw: Draw,
    admitted: Option<VmId>,
    wire: VecDeque<(ServerId, ServerId, Message)>,
    marks_acted_on: BTreeSet<Mark>,
}

pub struct Settings {
    pub seed: u64,
    pub servers: u32,
    pub vms: u32,
    pub slots: u32,
    pub policy: PolicyKind,
    pub choice: TargetChoice,
}

impl World {
    pub fn new(settings: &Settings) -> Self {
        let mut draw = Draw(settings.seed);
        let nodes = (0..settings.servers).map(|number| {
            let mut config = config(server(number), settings.servers, settings.policy);
            config.target_choice = settings.choice;
            let node = Node::new(Arc::new(config), Durable::default()).expect("known server");
            (server(number), node)
        });
        let mut world = Self {
            now: Instant::ORIGIN,
            nodes: nodes.collect(),
            homes: (0..settings.vms)
                .map(|n| (vm(n), server(n % settings.servers)))
                .collect(),
            pairs: BTreeMap::new(),
            slots: settings.slots,
            reports: Vec::new(),
            persisted: BTreeMap::new(),
            loss: 0,
            duplication: 0,
            reordering: 0,
            draw,
            admitted: None,
            wire: VecDeque::new(),
            marks_acted_on: BTreeSet::new(),
        };
        for _ in 0..settings.vms * 2 {
            let (a, b) = (draw.below(settings.vms), draw.below(settings.vms));
            if a != b {
                let pair = (vm(a.min(b)), vm(a.max(b)));
                world.pairs.insert(pair, f64::from(1 + draw.below(1000)));
            }
        }
        world.draw = draw;
        for number in 0..settings.servers {
            world.list_hosted(server(number));
        }
        world
    }

    /// Eq. 3.1 from the truth.
    pub fn cost(&self) -> f64 {
        let levels = Pairs {
            servers: self.nodes.len().try_into().expect("few"),
        };
        let index = |vm: &VmId| levels.index_of(self.homes[vm]).expect("a known server");
        let path = [0.0, 1.0, 4.0];
        self.pairs
            .iter()
            .map(|((a, b), rate)| {
                2.0 * rate * path[usize::from(levels.level(index(a), index(b)).get())]
            })
            .sum()
    }

    pub fn vms_on(&self, server: ServerId) -> u32 {
        let here = self.homes.values().filter(|home| **home == server);
        u32::try_from(here.count()).expect("few")
    }

    pub fn mint(&mut self, server: ServerId) {
        let vms = self.homes.keys().copied().collect();
        self.handle(server, Input::Mint { vms });
    }

    /// Runs for this long, and stops early once `until` holds.
    pub fn run(&mut self, span: Duration, until: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + span;
        loop {
            if until(self) {
                return true;
            }
            if let Some((from, to, message)) = self.next_message() {
                self.deliver(from, to, message);
                continue;
            }
            let timers = self.nodes.iter();
            let next = timers
                .filter_map(|(s, node)| Some((node.poll_timeout()?.0, *s)))
                .min();
            match next {
                Some((at, server)) if at <= end => {
                    self.now = self.now.max(at);
                    self.handle(server, Input::Tick);
                }
                _ => return false,
            }
        }
    }

    /// Whether the token's rounds have gone by quietly.
    pub fn settled(&self) -> bool {
        self.reports.iter().any(|(_, report)| {
            matches!(report, Report::RoundEnded { quiet_rounds, .. } if *quiet_rounds > 0)
        })
    }

    pub fn migrations(&self) -> usize {
        let moved = |(_, report): &&(ServerId, Report)| matches!(report, Report::Migrated { .. });
        self.reports.iter().filter(moved).count()
    }

    /// Any message on the wire may come first, now and then.
    fn next_message(&mut self) -> Option<(ServerId, ServerId, Message)> {
        let count = u32::try_from(self.wire.len()).expect("few");
        let first = if count > 1 && self.draw.below(100) < self.reordering {
            self.draw.below(count)
        } else {
            0
        };
        self.wire.remove(first as usize)
    }

    fn deliver(&mut self, from: ServerId, to: ServerId, message: Message) {
        if self.draw.below(100) < self.loss {
            return;
        }
        if self.draw.below(100) < self.duplication {
            self.wire.push_back((from, to, message.clone()));
        }
        self.handle(
            to,
            Input::Received {
                sender: from,
                message,
            },
        );
    }

    pub fn handle(&mut self, at: ServerId, input: Input) {
        let now = self.now;
        let node = self.nodes.get_mut(&at).expect("a known server");
        let before = node.mark();
        node.handle(now, input);
        assert!(node.mark() >= before, "S4: a server's mark never falls");
        let actions: Vec<_> = std::iter::from_fn(|| node.poll()).collect();
        for action in actions {
            self.act(at, action);
        }
    }

    fn act(&mut self, at: ServerId, action: Action) {
        match action {
            Action::Persist(durable) => {
                self.persisted.insert(at, durable.mark);
            }
            Action::Send { to, message } => self.send(at, to, message),
            Action::Measure(vm) => {
                let peers = self.pairs.iter().filter_map(|((a, b), bytes)| match vm {
                    _ if *a == vm => Some((*b, rate(*bytes))),
                    _ if *b == vm => Some((*a, rate(*bytes))),
                    _ => None,
                });
                let peers = peers.collect();
                self.handle(at, Input::Measured { vm, peers });
            }
            Action::ListHosted => self.list_hosted(at),
            Action::Migrate { vm, target, .. } => {
                let before = self.cost();
                self.handle(target, Input::Arriving { vm });
                let outcome = if self.admitted.take() == Some(vm) {
                    self.homes.insert(vm, target);
                    assert!(self.cost() < before, "S6: Eq. 3.1 falls at every migration");
                    assert!(
                        self.vms_on(target) <= self.slots,
                        "S3: room is not exceeded"
                    );
                    Outcome::Moved
                } else {
                    Outcome::StayedHere
                };
                self.handle(at, Input::MigrationEnded { vm, outcome });
            }
            Action::Admit(vm) => self.admitted = Some(vm),
            Action::Refuse(_) => self.admitted = None,
            Action::Report(report) => {
                if let Report::Holding { mark, vm } = report {
                    assert!(
                        self.marks_acted_on.insert(mark),
                        "S1: a mark is acted on once"
                    );
                    assert_eq!(
                        self.persisted[&at], mark,
                        "R1: durable before it is acted on"
                    );
                    assert_eq!(self.homes[&vm], at, "the token is where its holder is");
                }
                self.reports.push((at, report));
            }
        }
    }

    fn send(&mut self, from: ServerId, to: Destination, message: Message) {
        if let Message::Token(bytes) = &message {
            let view = s_core_token::TokenView::new_checked(&bytes[..], Default::default());
            let mark = view.expect("nodes send proper tokens").mark();
            assert_eq!(self.persisted[&from], mark, "R2: durable before it is sent");
        }
        let everybody: Vec<ServerId> = self.nodes.keys().copied().collect();
        let to = match to {
            Destination::Server(server) => vec![server],
            Destination::HostOf(_) | Destination::Everybody => everybody,
        };
        let others = to.into_iter().filter(|server| *server != from);
        self.wire
            .extend(others.map(|to| (from, to, message.clone())));
    }

    pub fn list_hosted(&mut self, at: ServerId) {
        let here = self.homes.iter().filter(|(_, home)| **home == at);
        let vms: Vec<_> = here.map(|(vm, _)| (*vm, 64)).collect();
        let used = u32::try_from(vms.len()).expect("few");
        let free = Capacity {
            vm_slots: self.slots - used,
            memory_mib: u64::from(self.slots - used) * 64,
        };
        self.handle(at, Input::Hosted { vms, free });
    }
}
