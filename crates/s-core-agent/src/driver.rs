//! The main thread: it owns the node, tells it what happens and does what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use s_core_backend::{Hypervisor, MigrationOutcome, Uuid};
use s_core_model::{ServerId, VmId};
use s_core_proto::{
    Action, Arrival, CapacityAnswer, Durable, Input, Instant, Message, Node, Outcome, Report,
    TokenVerdict,
};
use s_core_token::Mark;
use s_core_topology::LocationTable;

use crate::arrivals::Arrivals;
use crate::clock::{Clock, Throttle};
use crate::config::Mint;
use crate::event::{Event, Observer};
use crate::flows::Flows;
use crate::interception::Intercepted;
use crate::inventory::Inventory;
use crate::journal::log;
use crate::mark_file::MarkFile;
use crate::network::{Letter, Mailbox, NetworkStop, Refusals};
use crate::post::Post;
use crate::status::AgentStatus;
use crate::verify::Verification;

/// How long to wait when there is nothing to wait for.
const IDLE: Duration = Duration::from_secs(3600);

/// Messages taken from the mailbox before others get their turn.
const MESSAGES_PER_TURN: usize = 64;

/// What reaches the main thread, beside mail.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// There is something in the mailbox.
    Mail,
    Hosted(Inventory),
    MigrationEnded {
        vm: VmId,
        target: ServerId,
        outcome: MigrationOutcome,
    },
    /// A VM is about to arrive.
    Arriving {
        vm: VmId,
        answer: SyncSender<bool>,
    },
    ArrivalFailed(VmId),
    /// A VM is about to arrive from there, of which no more is known.
    ArrivingFrom {
        source: ServerId,
        answer: SyncSender<Option<VmId>>,
    },
    /// The migration of such a VM has ended.
    ArrivalEnded(VmId),
    Mint(Vec<VmId>),
    Status(SyncSender<AgentStatus>),
    /// The stop flag was raised.
    Stop,
}

/// The node and everything that it acts through.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) node: Node<Arc<LocationTable>>,
    pub(crate) clock: Clock,
    pub(crate) marks: MarkFile,
    /// What could not be made durable.
    pub(crate) unstored: Option<Durable>,
    pub(crate) store_errors: Throttle,
    pub(crate) warnings: Throttle,
    pub(crate) post: Post,
    pub(crate) flows: Arc<Flows>,
    pub(crate) hypervisor: Arc<dyn Hypervisor>,
    pub(crate) list_requests: SyncSender<()>,
    pub(crate) migrations_ended: Arc<AtomicU64>,
    /// The domain of each VM that runs here.
    pub(crate) domains: BTreeMap<VmId, Uuid>,
    pub(crate) arrivals: Arrivals,
    pub(crate) verification: Verification,
    /// Which server has last asked for room for a VM, and how many had asked before.
    pub(crate) expected: BTreeMap<VmId, (ServerId, u64)>,
    pub(crate) expected_before: u64,
    /// VMs whose migration to here has ended, until it is seen how.
    pub(crate) ended: BTreeSet<VmId>,
    /// The domains of VMs that are migrating from here, or have with an unknown outcome.
    pub(crate) departing: BTreeMap<VmId, Uuid>,
    /// The VMs without a port at the last listing, and those that had none at the one before either.
    pub(crate) portless: BTreeSet<VmId>,
    pub(crate) unattached: BTreeSet<VmId>,
    /// Whether a leftover is being destroyed.
    pub(crate) cleaning: Arc<AtomicBool>,
    pub(crate) hypervisor_deadline: Duration,
    pub(crate) migrating: bool,
    /// A migration that the node has decided and that could not begin, and why.
    pub(crate) not_begun: Option<(VmId, ServerId, String)>,
    /// Whether the VM that was asked about last may arrive.
    pub(crate) admitted: bool,
    /// The VM whose rates are to be read next.
    pub(crate) to_measure: Option<VmId>,
    pub(crate) mint: Option<Mint>,
    pub(crate) migration_grace: Duration,
    /// How long to wait, once the agent is to stop, for another server to take the token.
    pub(crate) token_grace: Duration,
    /// Raised when the agent is to stop.
    pub(crate) stop: Arc<AtomicBool>,
    /// What is left to be done once it is.
    pub(crate) stopping: Option<Stopping>,
    pub(crate) mailbox: Mailbox,
    /// Whether the mailbox may hold more.
    pub(crate) more_mail: bool,
    pub(crate) observer: Option<Observer>,
    pub(crate) intercepted: Option<Intercepted>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) inbox: SyncSender<Incoming>,
    /// Held, not used: ends the network thread with the main thread.
    pub(crate) _network: NetworkStop,
    /// Held, not used: ends the flow thread.
    pub(crate) _flows_stop: SyncSender<()>,
}

/// An agent that is to stop first ends its migration and gives the token away.
#[derive(Debug)]
pub(crate) struct Stopping {
    /// Until when to wait for a migration in flight.
    migration_by: Duration,
    /// Until when to wait for another server to take the token.
    token_by: Duration,
}

impl Stopping {
    /// The moment until which to wait, unless what is waited for happens; `None` if there is nothing to wait for.
    fn deadline(&self, migrating: bool, holding: bool) -> Option<Duration> {
        if migrating {
            return Some(self.migration_by);
        }
        holding.then_some(self.token_by)
    }
}

impl Driver {
    /// Runs until it is told to stop, no migration is in flight any more and the token is not here.
    pub(crate) fn run(mut self, incoming: &Receiver<Incoming>) {
        loop {
            match incoming.recv_timeout(self.patience()) {
                Ok(incoming) => self.take(incoming),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.tick();
            self.read_mail();
            if self.stopping.is_none() && self.stop.load(Ordering::SeqCst) {
                self.begin_to_stop();
            }
            if self.has_stopped() {
                break;
            }
        }
        if let Some(vm) = self.node.holder() {
            tracing::warn!(%vm, mark = %self.node.mark(), "stopped while the token was here; the other agents will \
                find it lost and go on without this one");
        }
        if self.migrating {
            tracing::error!("stopped while a migration was in flight; see where the VM runs");
        }
    }

    fn begin_to_stop(&mut self) {
        let now = self.clock.now();
        self.stopping = Some(Stopping {
            migration_by: now + self.migration_grace,
            token_by: now + self.token_grace,
        });
        self.handle(Input::Leave);
    }

    fn has_stopped(&self) -> bool {
        let holding = self.node.holder().is_some();
        self.stopping.as_ref().is_some_and(|stopping| {
            let deadline = stopping.deadline(self.migrating, holding);
            deadline.is_none_or(|by| self.clock.now() >= by)
        })
    }

    /// How long nothing has to be done.
    fn patience(&self) -> Duration {
        if self.to_measure.is_some() || self.not_begun.is_some() || self.more_mail {
            return Duration::ZERO;
        }
        let timer = self.node.poll_timeout().map(|(at, _)| at.since_origin());
        let mint = self.mint.as_ref().map(|mint| mint.delay);
        let holding = self.node.holder().is_some();
        let stopping = self.stopping.as_ref();
        let stop = stopping.and_then(|stopping| stopping.deadline(self.migrating, holding));
        let next = [timer, mint, stop].into_iter().flatten().min();
        next.map_or(IDLE, |at| at.saturating_sub(self.clock.now()))
    }

    fn take(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Mail | Incoming::Stop => {}
            Incoming::Hosted(inventory) => self.hosted(inventory),
            Incoming::MigrationEnded {
                vm,
                target,
                outcome,
            } => self.migration_ended(vm, target, outcome),
            Incoming::Arriving { vm, answer } => {
                self.admitted = false;
                self.handle(Input::Arriving { vm });
                // Whoever asked says so if it did not wait for the answer.
                let _ = answer.try_send(self.admitted);
            }
            Incoming::ArrivalFailed(vm) => {
                self.migrations_ended.fetch_add(1, Ordering::SeqCst);
                self.handle(Input::ArrivalFailed { vm });
            }
            Incoming::ArrivingFrom { source, answer } => {
                let admitted = self.admit_from(source);
                // Whoever asked waits for it.
                let _ = answer.try_send(admitted);
            }
            Incoming::ArrivalEnded(vm) => self.arrival_ended(vm),
            Incoming::Mint(vms) => self.handle(Input::Mint { vms }),
            // Whoever asked may have gone away.
            Incoming::Status(answer) => drop(answer.try_send(self.status())),
        }
    }

    /// A turn's mail, the token first.
    fn read_mail(&mut self) {
        self.mailbox.open();
        self.more_mail = false;
        if let Ok(letter) = self.mailbox.token() {
            self.more_mail = true;
            self.receive(letter);
        }
        for _ in 0..MESSAGES_PER_TURN {
            let Ok(letter) = self.mailbox.message() else {
                return;
            };
            self.receive(letter);
        }
        self.more_mail = true;
    }

    fn receive(&mut self, Letter { sender, message }: Letter) {
        self.verification.heard(sender, &message);
        self.note_expected(sender, &message);
        let demanded = match &message {
            Message::CapacityRequest { demands, .. } => demands.iter().map(|of| of.vm).collect(),
            _ => Vec::new(),
        };
        self.handle(Input::Received { sender, message });
        for vm in demanded {
            if self.node.is_expected(vm) && !self.node.is_arriving(vm) {
                self.verification.promised(vm);
            }
        }
        self.tick();
    }

    fn tick(&mut self) {
        if let Some((vm, target, why)) = self.not_begun.take() {
            self.migration_ended(vm, target, MigrationOutcome::StayedHere(why));
        }
        if let Some(vm) = self.to_measure.take() {
            let rates = self.flows.rates(vm);
            self.handle(match rates {
                Some(peers) => Input::Measured { vm, peers },
                None => Input::NotMeasured { vm },
            });
        }
        let now = self.clock.now();
        let due = |at: Instant| at.since_origin() <= now;
        if self.node.poll_timeout().is_some_and(|(at, _)| due(at)) {
            self.handle(Input::Tick);
        }
        if let Some(mint) = self.mint.take_if(|mint| mint.delay <= now)
            && self.node.mark() == Mark::default()
        {
            self.handle(Input::Mint { vms: mint.vms });
        }
    }

    fn hosted(&mut self, inventory: Inventory) {
        if inventory.generation != self.migrations_ended.load(Ordering::SeqCst) {
            // Listed before a migration ended: a VM that has left may stand in it, or one that does not come.
            return self.list();
        }
        if let Some(cpu) = inventory.cpu {
            self.handle(Input::Cpu(cpu));
        }
        self.look_at_ports(&inventory);
        let mark = self.node.mark();
        for step in self.verification.listed(self.clock.now(), &inventory, mark) {
            self.take_step(step);
        }
        self.fail_ended_arrivals(&inventory);
        let knows = |vm| self.node.is_arriving(vm);
        for input in self.arrivals.listed(&inventory, knows) {
            self.handle(input);
        }
        let vms = inventory.vms.iter();
        let vms = vms
            .map(|(vm, (_, memory_mib))| (*vm, *memory_mib))
            .collect();
        let free = inventory.free;
        let domains = inventory.vms.into_iter();
        self.domains = domains.map(|(vm, (uuid, _))| (vm, uuid)).collect();
        self.intercept();
        self.handle(Input::Hosted { vms, free });
    }

    fn migration_ended(&mut self, vm: VmId, target: ServerId, outcome: MigrationOutcome) {
        self.migrating = false;
        if let Some(stopping) = &mut self.stopping {
            stopping.token_by = self.clock.now() + self.token_grace;
        }
        self.migrations_ended.fetch_add(1, Ordering::SeqCst);
        let (outcome, why) = match outcome {
            MigrationOutcome::Moved => {
                self.domains.remove(&vm);
                self.intercept();
                tracing::info!(%vm, %target, "migrated");
                self.verify(vm, target);
                (Outcome::Moved, None)
            }
            MigrationOutcome::StayedHere(why) => {
                self.departing.remove(&vm);
                (Outcome::StayedHere, Some(why))
            }
            MigrationOutcome::Unknown(why) => (Outcome::Unknown, Some(why)),
        };
        if let Some(why) = why {
            tracing::warn!(%vm, %target, ?outcome, why, "the migration did not end as it should");
            self.tell(Event::NotMoved { vm, target, why });
        }
        self.handle(Input::MigrationEnded { vm, outcome });
    }

    /// Tells the node and does what it says, in order; nothing after what is not durable.
    pub(crate) fn handle(&mut self, input: Input) {
        let now = Instant::after_origin(self.clock.now());
        self.node.handle(now, input);
        let mut fenced = false;
        while let Some(action) = self.node.poll() {
            match action {
                Action::Persist(durable) => fenced |= !self.store(durable),
                action if fenced => self.leave_undone(action),
                action if self.arrivals.leaves_open(&action) => {
                    if self.warnings.permits() {
                        tracing::info!(
                            "asked how a migration ended: not answered before it is known which VMs are arriving here"
                        );
                    }
                }
                action if needs_mark(&action) && !self.store_again() => {
                    fenced = true;
                    self.leave_undone(action);
                }
                action => self.act(action),
            }
        }
    }

    /// The node waits for the end of a migration for ever; for everything else it has timers.
    fn leave_undone(&mut self, action: Action) {
        if let Action::Migrate { vm, target, .. } = action {
            let why = "that it leaves could not be stored";
            self.not_begun = Some((vm, target, why.to_owned()));
        }
    }

    /// Rule R1: whether it is durable now.
    fn store(&mut self, durable: Durable) -> bool {
        match self.marks.store(&durable) {
            Ok(()) => {
                self.unstored = None;
                true
            }
            Err(error) => {
                let mark = durable.mark;
                self.unstored = Some(durable);
                if self.store_errors.permits() {
                    tracing::error!(%mark, %error, "nothing is done under this mark until it can be stored");
                }
                let why = error.to_string();
                self.tell(Event::MarkNotStored { mark, why });
                false
            }
        }
    }

    /// Tries once more to store what could not be stored.
    fn store_again(&mut self) -> bool {
        let unstored = self.unstored.take();
        unstored.is_none_or(|durable| self.store(durable))
    }

    fn act(&mut self, action: Action) {
        match action {
            // Taken care of before.
            Action::Persist(_) => {}
            Action::Send { to, message } => self.post.send(to, &message),
            Action::Measure(vm) => self.to_measure = Some(vm),
            Action::ListHosted => self.list(),
            Action::Migrate {
                vm,
                target,
                deadline,
            } => self.migrate(vm, target, deadline),
            Action::Admit(_) => self.admitted = true,
            Action::Refuse(vm) => tracing::warn!(%vm, "not let in: no room is reserved for it"),
            Action::Report(report) => {
                log(&report, &mut self.warnings);
                match report {
                    Report::OutcomeKnown {
                        vm,
                        target,
                        moved: true,
                    } => self.verify(vm, target),
                    Report::OutcomeKnown { vm, .. } | Report::Missing { vm, .. } => {
                        self.departing.remove(&vm);
                    }
                    _ => {}
                }
                self.tell(Event::Node(report));
            }
        }
    }

    pub(crate) fn list(&self) {
        // A request that waits already will be answered after now.
        let _ = self.list_requests.try_send(());
    }

    /// Requests for these VMs shall come here, and for no others.
    fn intercept(&self) {
        if let Some(intercepted) = &self.intercepted {
            intercepted.follow(self.domains.keys().copied().collect());
        }
    }

    /// In a thread of its own: it may take minutes.
    fn migrate(&mut self, vm: VmId, target: ServerId, deadline: Duration) {
        let hypervisor = Arc::clone(&self.hypervisor);
        let inbox = self.inbox.clone();
        let not_begun = |why: String| Some((vm, target, why));
        if self.stopping.is_some() {
            self.not_begun = not_begun("the agent stops".into());
            return;
        }
        let ended = move |outcome| Incoming::MigrationEnded {
            vm,
            target,
            outcome,
        };
        let Some(domain) = self.domains.get(&vm).copied() else {
            self.not_begun = not_begun("it does not run here any more".into());
            return;
        };
        tracing::info!(%vm, %target, "migrating");
        self.departing.insert(vm, domain);
        let work = move || {
            let outcome = hypervisor.migrate(domain, target, deadline);
            // The main thread may have stopped waiting.
            drop(inbox.send(ended(outcome)));
        };
        match std::thread::Builder::new()
            .name("s-core-migrate".into())
            .spawn(work)
        {
            Ok(_) => self.migrating = true,
            Err(error) => self.not_begun = not_begun(format!("cannot start a thread: {error}")),
        }
    }

    fn tell(&self, event: Event) {
        if let Some(observer) = &self.observer {
            observer.tell(self.node.server(), &event);
        }
    }

    fn status(&self) -> AgentStatus {
        let open = self.node.open_migrations();
        AgentStatus {
            server: self.node.server(),
            mark: self.node.mark(),
            holder: self.node.holder(),
            watched: self.node.watched(),
            vms: self.node.hosted_vms().collect(),
            measured: self.flows.is_measured(),
            flows: self.flows.totals(),
            switch: self.flows.switch(),
            migrating: self.migrating,
            open_migrations: open.map(|open| (open.vm, open.target)).collect(),
            unverified: self.verification.unverified(),
            leftovers: self.verification.left(),
            unattached: self.unattached.iter().copied().collect(),
            reservations: self.node.reservation_count(),
            interception: self.intercepted.as_ref().map(Intercepted::status),
            refused: self.refusals.totals(),
        }
    }
}

/// Whether an action must not happen before the marks behind it are durable: one that promises something that a
/// server started again would not keep, or that says that the token is well here.
fn needs_mark(action: &Action) -> bool {
    match action {
        Action::Migrate { .. } => true,
        Action::Send { message, .. } => match message {
            Message::Token(_)
            | Message::CapacityRequest { .. }
            | Message::KeepAlive { .. }
            | Message::Beacon { .. } => true,
            Message::CapacityResponse { answer, .. } => !matches!(answer, CapacityAnswer::Stale(_)),
            Message::TokenAck { verdict, .. } => *verdict == TokenVerdict::Accepted,
            Message::OutcomeResponse { arrival, .. } => *arrival == Arrival::Absent,
            Message::LocationRequest { .. }
            | Message::LocationResponse { .. }
            | Message::Release { .. }
            | Message::CustodyRequest { .. }
            | Message::Claim { .. }
            | Message::Yield { .. }
            | Message::Join { .. }
            | Message::OutcomeRequest { .. } => false,
        },
        Action::Persist(_)
        | Action::Measure(_)
        | Action::ListHosted
        | Action::Admit(_)
        | Action::Refuse(_)
        | Action::Report(_) => false,
    }
}
