//! The node: what an agent does, without a clock, a socket or a thread.

mod claim;
mod config;
mod custody;
mod decide;
mod hand_on;
mod holding;
mod io;
mod limits;
mod locate;
mod locations;
mod migrate;
mod open;
mod receive;
mod reservations;
mod serve;
mod successor;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use s_core_model::{Capacity, CpuModel, Levels, ServerId, ServerIndex, VmId};
use s_core_token::{Epoch, Mark, Token};

use crate::decision::Evaluation;
use crate::message::{Message, QueryId};
use crate::mutation::Mutation;
use crate::time::Instant;

pub use config::{Bounds, Config, Timing};
use custody::Custody;
use holding::{Attempt, Holding, InFlight, Phase};
pub use io::{
    Action, BadToken, Destination, Durable, Input, OpenMigration, Outcome, Report, TimerKind,
    WhySkipped, WhyStayed,
};
use limits::Arrivals;
pub use limits::{InvalidPairShare, MigrationLimits, PairShare};
use locations::Locations;
use open::Open;
use reservations::Reservations;

/// How far above the highest epoch seen a new one may be.
const EPOCHS_AHEAD: u64 = 1 << 32;

/// One server's part in S-CORE: it answers other servers, and while the token is with one of its
/// VMs, it decides for that VM and passes the token on.
///
/// The node is sans-IO. A driver tells it what happened with [`handle`](Self::handle), then takes
/// actions from [`poll`](Self::poll) until there are none, in order, before it calls `handle`
/// again; and it calls `handle` with [`Input::Tick`] when the moment that
/// [`poll_timeout`](Self::poll_timeout) gave has come.
///
/// The crate's page has a driver of a dozen lines.
#[derive(Clone, Debug)]
pub struct Node<L> {
    config: Arc<Config<L>>,
    here: ServerIndex,
    state: State,
    actions: VecDeque<Action>,
    evaluation: Evaluation,
}

/// All that a node remembers: plain values in ordered containers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    /// The highest mark seen (rule R1).
    highest: Mark,
    /// The mark of the last token that came here and went on to another server.
    handed_on: Mark,
    hosted: BTreeMap<VmId, u32>,
    free: Capacity,
    /// What this host's processor offers, if the driver has told.
    cpu: Option<CpuModel>,
    reservations: Reservations,
    arrivals: Arrivals,
    locations: Locations,
    /// Migrations that ended without a known outcome, by VM.
    open: BTreeMap<VmId, Open>,
    in_flight: Option<InFlight>,
    holding: Option<Holding>,
    /// The last token that was here, to make a new one from.
    copy: Option<Token>,
    /// The server that got it, until that has handed it on.
    custody: Option<Custody>,
    /// This server's claim to make a new token.
    claim: Option<Attempt>,
    /// The last sign of any token; none before the first input.
    alive_at: Option<Instant>,
    /// The last beacon, heard or sent.
    beacon_at: Instant,
    /// The round of which epoch last came by, or is the first that was heard of.
    visited: (Epoch, u32),
    /// VMs elsewhere that asked for a slot.
    newcomers: BTreeSet<VmId>,
    /// The agent is about to stop.
    leaving: bool,
    last_query: u64,
}

/// Two nodes are equal if they would behave alike from now on; settings are not compared.
impl<L> PartialEq for Node<L> {
    fn eq(&self, other: &Self) -> bool {
        self.here == other.here && self.state == other.state && self.actions == other.actions
    }
}

/// Costs in actions are finite, so equality is reflexive.
impl<L> Eq for Node<L> {}

impl<L> Hash for Node<L> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.here.hash(hasher);
        self.state.hash(hasher);
    }
}

impl<L: Levels> Node<L> {
    /// A node that knows what the last [`Action::Persist`] made durable; the default on the very first start.
    ///
    /// A migration that had begun before has an unknown outcome: both ends are asked.
    /// Its driver has ended this server's part in it, as [`Outcome::Unknown`] says. What is arriving here it has ended as well, or
    /// tells with [`Input::StillArriving`]: room is kept for nothing else.
    ///
    /// One whose target is not in the location table any more is forgotten: its operator has taken that server away, and
    /// nobody is left to ask.
    ///
    /// # Errors
    ///
    /// [`UnknownServer`] if the location table does not know this server.
    pub fn new(config: Arc<Config<L>>, durable: Durable) -> Result<Self, UnknownServer> {
        let here = config
            .model
            .levels()
            .index_of(config.server)
            .ok_or(UnknownServer(config.server))?;
        let levels = config.model.levels();
        let migrations = durable.migrations.into_iter();
        let open = migrations.filter(|open| levels.index_of(open.target).is_some());
        let open = open.map(Open::new).collect();
        Ok(Self {
            here,
            config,
            state: State {
                highest: durable.mark,
                handed_on: Mark::default(),
                hosted: BTreeMap::new(),
                free: Capacity::default(),
                cpu: None,
                reservations: Reservations::default(),
                arrivals: Arrivals::default(),
                locations: Locations::default(),
                open,
                in_flight: None,
                holding: None,
                copy: None,
                custody: None,
                claim: None,
                alive_at: None,
                beacon_at: Instant::ORIGIN,
                visited: (Epoch::default(), 0),
                newcomers: BTreeSet::new(),
                leaving: false,
                last_query: 0,
            },
            actions: VecDeque::new(),
            evaluation: Evaluation::default(),
        })
    }

    /// Numbers the node's queries from here on, so that no answer to one that it asked before a restart is
    /// taken for an answer to another: for instance the time in nanoseconds.
    #[must_use]
    pub fn with_first_query(mut self, query: QueryId) -> Self {
        self.state.last_query = query.get();
        self
    }

    /// Tells the node what happened. Then call [`poll`](Self::poll) until it returns `None`.
    ///
    /// `now` must not fall from one call to the next.
    pub fn handle(&mut self, now: Instant, input: Input) {
        if self.state.holding.is_some() || self.state.alive_at.is_none() {
            self.state.alive_at = Some(now);
        }
        match input {
            Input::Tick => self.tick(now),
            Input::Hosted { vms, free } => self.hosted(now, vms, free),
            Input::Cpu(cpu) => self.state.cpu = Some(cpu),
            Input::Mint { vms } => self.mint(now, vms),
            Input::Received { sender, message } => self.received(now, sender, message),
            Input::Measured { vm, peers } => self.measured(now, vm, peers),
            Input::NotMeasured { vm } => self.not_measured(now, vm),
            Input::Arriving { vm } => self.arriving(now, vm),
            Input::StillArriving { vm, memory_mib } => {
                self.state.reservations.still_arriving(vm, memory_mib);
            }
            Input::ArrivalFailed { vm } => self.state.reservations.failed(vm),
            Input::Leave => self.leave(now),
            Input::MigrationEnded { vm, outcome } => self.migration_ended(now, vm, outcome),
        }
        self.drop_if_superseded(now);
    }

    /// The next thing to do, or `None` if there is nothing until the next [`handle`](Self::handle).
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`handle`](Self::handle) with [`Input::Tick`], if nothing else happens before.
    pub fn poll_timeout(&self) -> Option<(Instant, TimerKind)> {
        let state = &self.state;
        let held = state.holding.as_ref().map(Holding::timer);
        let timers = [
            (state.reservations.next_expiry(), TimerKind::Reservation),
            (self.keep_alive_at(), TimerKind::KeepAlive),
            (self.next_beacon_at(), TimerKind::Beacon),
            (self.custody_at(), TimerKind::Custody),
            (self.silence_at(), TimerKind::Silence),
            (self.outcome_at(), TimerKind::Outcome),
        ];
        let timers = timers
            .into_iter()
            .filter_map(|(at, timer)| Some((at?, timer)));
        held.into_iter().chain(timers).min()
    }

    /// This server.
    pub fn server(&self) -> ServerId {
        self.config.server
    }

    /// The highest mark seen.
    pub fn mark(&self) -> Mark {
        self.state.highest
    }

    /// The VM for which the token is held here, if it is.
    pub fn holder(&self) -> Option<VmId> {
        self.state
            .holding
            .as_ref()
            .map(|holding| holding.token.holder_id())
    }

    /// The server that the token was handed to, while a copy of it is kept here (rule R5).
    pub fn watched(&self) -> Option<ServerId> {
        self.state.custody.map(|custody| custody.server)
    }

    /// Migrations from here of unknown outcome, by VM.
    pub fn open_migrations(&self) -> impl Iterator<Item = OpenMigration> + '_ {
        self.state.open.values().map(|open| open.migration)
    }

    /// How many VMs room is reserved for.
    pub fn reservation_count(&self) -> usize {
        self.state.reservations.len()
    }

    /// The VMs that room is reserved for, those that are arriving among them, with their memory in MiB.
    pub fn reservations(&self) -> impl Iterator<Item = (VmId, u32)> + '_ {
        self.state.reservations.iter()
    }

    /// Whether room is reserved for this VM, whether or not it is arriving yet.
    pub fn is_expected(&self, vm: VmId) -> bool {
        self.state.reservations.expects(vm)
    }

    /// Whether the node knows of this VM that it is arriving.
    pub fn is_arriving(&self, vm: VmId) -> bool {
        self.state.reservations.is_arriving(vm)
    }

    /// The VMs that run here with their memory in MiB, as last told.
    pub fn hosted_vms(&self) -> impl Iterator<Item = (VmId, u32)> + '_ {
        self.state.hosted.iter().map(|(vm, memory)| (*vm, *memory))
    }

    fn received(&mut self, now: Instant, sender: ServerId, message: Message) {
        if let Some(mark) = message.highest_mark()
            && !self.is_plausible(sender, mark)
        {
            return;
        }
        match message {
            Message::LocationRequest {
                query,
                vm,
                directed,
            } => self.location_request(sender, query, vm, directed),
            Message::LocationResponse { query, vm, server } => {
                self.location_response(now, sender, query, vm, server);
            }
            Message::CapacityRequest {
                query,
                mark,
                demands,
                cpu,
            } => self.capacity_request(now, sender, query, mark, &demands, cpu),
            Message::CapacityResponse { query, answer, cpu } => {
                self.capacity_response(now, sender, query, answer, cpu);
            }
            Message::Release { mark, vm } => self.withdraw(now, mark, vm),
            Message::Token(bytes) => self.receive_token(now, sender, &bytes),
            Message::TokenAck { mark, verdict } => self.token_ack(now, sender, mark, verdict),
            Message::KeepAlive { mark, current } => self.keep_alive(now, sender, mark, current),
            Message::CustodyRequest {
                mark,
                highest,
                vm: _,
            } => self.custody_request(sender, mark, highest),
            Message::Beacon { mark, round } => self.beacon(now, sender, mark, round),
            Message::Claim { mark, round } => self.claim(now, sender, mark, round),
            Message::Yield { mark, vm } => {
                self.raise(mark);
                if let Some(vm) = vm {
                    self.join(now, vm);
                }
            }
            Message::Join { vm } => self.join(now, vm),
            Message::OutcomeRequest { query, mark, vm } => {
                self.outcome_request(now, sender, query, mark, vm);
            }
            Message::OutcomeResponse { query, vm, arrival } => {
                self.outcome_response(sender, query, vm, arrival);
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        self.state.reservations.expire(now);
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.outcome_at()) {
            self.ask_for_outcomes(now);
        }
        if due(self.custody_at()) {
            self.custody_timeout(now);
        }
        if due(self.silence_at()) {
            self.silence_timeout(now);
        }
        if due(self.keep_alive_at()) {
            self.send_keep_alive(now);
        }
        if due(self.next_beacon_at()) {
            self.send_beacon(now);
        }
        let Some((at, timer)) = self.state.holding.as_ref().map(Holding::timer) else {
            return;
        };
        if at > now {
            return;
        }
        match timer {
            TimerKind::Measurement => self.stay(now, WhyStayed::NotMeasured),
            TimerKind::Location => self.location_timeout(now),
            TimerKind::Capacity => self.capacity_timeout(now),
            TimerKind::Migration => self.migration_timeout(now),
            TimerKind::Rest => self.hand_on(now),
            TimerKind::Acknowledgement => self.acknowledgement_timeout(now),
            TimerKind::Reservation
            | TimerKind::KeepAlive
            | TimerKind::Custody
            | TimerKind::Beacon
            | TimerKind::Silence
            | TimerKind::Outcome => {}
        }
    }

    fn hosted(&mut self, now: Instant, vms: Vec<(VmId, u32)>, free: Capacity) {
        self.state.hosted = vms.into_iter().collect();
        self.state.free = free;
        self.note_arrivals(now);
        for vm in self.state.hosted.keys() {
            self.state.reservations.arrived(*vm);
            self.state.locations.forget(*vm);
        }
        self.listed_for_outcomes();
        self.found_here(now);
        let gone = |holding: &Holding| {
            holding.is_deciding() && !self.state.hosted.contains_key(&holding.token.holder_id())
        };
        if self.state.holding.as_ref().is_some_and(gone) {
            self.take_offer_back();
            self.stay(now, WhyStayed::Gone);
        }
    }

    /// Whoever has been asked for room and will not be needed gives it to others (rule R3).
    fn take_offer_back(&mut self) {
        if let Some(holding) = &self.state.holding
            && let Phase::Asking { offers, .. } = &holding.phase
            && let Some(offer) = offers.last()
        {
            let (mark, vm) = (holding.token.mark(), holding.token.holder_id());
            self.answer(offer.server, Message::Release { mark, vm });
        }
    }

    /// Rules R1 and R6: a mark that was seen is never gone below, and it is durable before anything is done under it.
    fn raise(&mut self, mark: Mark) {
        if mark > self.state.highest {
            self.state.highest = mark;
            if !self.config.has(Mutation::MarkNotPersisted) {
                self.persist();
            }
        }
    }

    fn persist(&mut self) {
        let in_flight = self.state.in_flight.iter().map(InFlight::open);
        let open = self.state.open.values().map(|open| open.migration);
        let durable = Durable {
            mark: self.state.highest,
            migrations: in_flight.chain(open).collect(),
        };
        self.actions.push_back(Action::Persist(durable));
    }

    /// A token whose mark is below one that was seen elsewhere is not the current one. While its
    /// holder migrates it is kept, so that the migration's end is not missed.
    fn drop_if_superseded(&mut self, now: Instant) {
        let by = self.state.highest;
        let superseded = |holding: &&Holding| holding.token.mark() < by && !holding.is_migrating();
        let Some(holding) = self.state.holding.as_ref().filter(superseded) else {
            return;
        };
        match holding.phase {
            // Whoever it was sent to has it, and only the acknowledgement is missing: nobody else makes marks of its epoch.
            Phase::Handing { server, .. } if holding.token.mark().epoch == by.epoch => {
                self.handed_on(now, server, true);
            }
            _ => self.drop_token(by),
        }
    }

    fn drop_token(&mut self, by: Mark) {
        self.take_offer_back();
        if let Some(holding) = self.state.holding.take() {
            let mark = holding.token.mark();
            self.state.copy = Some(holding.token);
            self.report(Report::Superseded { mark, by });
        }
    }

    /// No honest server is that far ahead. A mark near the end of all marks would leave none to mint.
    fn is_plausible(&mut self, from: ServerId, mark: Mark) -> bool {
        let plausible =
            mark.epoch.counter.saturating_sub(EPOCHS_AHEAD) <= self.state.highest.epoch.counter;
        if !plausible {
            self.report(Report::ImplausibleMark { from, mark });
        }
        plausible
    }

    fn next_query(&mut self) -> QueryId {
        self.state.last_query = self.state.last_query.wrapping_add(1);
        QueryId::new(self.state.last_query)
    }

    fn send(&mut self, to: Destination, message: Message) {
        self.actions.push_back(Action::Send { to, message });
    }

    fn answer(&mut self, server: ServerId, message: Message) {
        self.send(Destination::Server(server), message);
    }

    fn report(&mut self, report: Report) {
        self.actions.push_back(Action::Report(report));
    }
}

/// The location table does not know the server that the node shall run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("server {0} is not in the location table; add it with its location path")]
pub struct UnknownServer(pub ServerId);
