//! The main thread: it owns the node, tells it what happens and does what it says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use s_core_backend::{Hypervisor, MigrationOutcome, Uuid};
use s_core_model::{ServerId, VmId};
use s_core_proto::{
    Action, CapacityAnswer, Input, Instant, Message, Node, Outcome, Report, TokenVerdict,
};
use s_core_token::Mark;
use s_core_topology::LocationTable;

use crate::clock::{Clock, Throttle};
use crate::config::Mint;
use crate::event::{Event, Observer};
use crate::flows::Flows;
use crate::inventory::Inventory;
use crate::mark_file::MarkFile;
use crate::network::{NetworkStop, Refusals};
use crate::post::Post;
use crate::status::AgentStatus;

/// How long to wait when there is nothing to wait for.
const IDLE: Duration = Duration::from_secs(3600);

/// What reaches the main thread.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A message whose frame bore the seal of a known server.
    Message {
        sender: ServerId,
        message: Message,
    },
    Hosted(Inventory),
    MigrationEnded {
        vm: VmId,
        target: ServerId,
        outcome: MigrationOutcome,
    },
    Mint(Vec<VmId>),
    Status(SyncSender<AgentStatus>),
    Stop,
}

/// The node and everything that it acts through.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) node: Node<Arc<LocationTable>>,
    pub(crate) clock: Clock,
    pub(crate) marks: MarkFile,
    /// The highest mark that could not be made durable.
    pub(crate) unstored: Option<Mark>,
    pub(crate) store_errors: Throttle,
    pub(crate) post: Post,
    pub(crate) flows: Arc<Flows>,
    pub(crate) hypervisor: Arc<dyn Hypervisor>,
    pub(crate) list_requests: SyncSender<()>,
    pub(crate) migrations_ended: Arc<AtomicU64>,
    /// The domain of each VM that runs here.
    pub(crate) domains: BTreeMap<VmId, Uuid>,
    pub(crate) migrating: bool,
    /// The VM whose rates are to be read next.
    pub(crate) to_measure: Option<VmId>,
    pub(crate) mint: Option<Mint>,
    pub(crate) migration_grace: Duration,
    /// Until when to wait for a migration in flight, once the agent is to stop.
    pub(crate) stop_by: Option<Duration>,
    pub(crate) observer: Option<Observer>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) inbox: SyncSender<Incoming>,
    /// Held, not used: ends the network thread with the main thread.
    pub(crate) _network: NetworkStop,
    /// Held, not used: ends the flow thread.
    pub(crate) _flows_stop: SyncSender<()>,
}

impl Driver {
    /// Runs until it is told to stop and no migration is in flight any more.
    pub(crate) fn run(mut self, incoming: &Receiver<Incoming>) {
        loop {
            match incoming.recv_timeout(self.patience()) {
                Ok(incoming) => self.take(incoming),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.tick();
            if self
                .stop_by
                .is_some_and(|by| !self.migrating || self.clock.now() >= by)
            {
                break;
            }
        }
        if let Some(vm) = self.node.holder() {
            tracing::warn!(%vm, mark = %self.node.mark(), "stopped while the token was here");
        }
        if self.migrating {
            tracing::error!("stopped while a migration was in flight; see where the VM runs");
        }
    }

    /// How long nothing has to be done.
    fn patience(&self) -> Duration {
        if self.to_measure.is_some() {
            return Duration::ZERO;
        }
        let timer = self.node.poll_timeout().map(|(at, _)| at.since_origin());
        let mint = self.mint.as_ref().map(|mint| mint.delay);
        let next = [timer, mint, self.stop_by].into_iter().flatten().min();
        next.map_or(IDLE, |at| at.saturating_sub(self.clock.now()))
    }

    fn take(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Message { sender, message } => {
                self.handle(Input::Received { sender, message });
            }
            Incoming::Hosted(inventory) => self.hosted(inventory),
            Incoming::MigrationEnded {
                vm,
                target,
                outcome,
            } => self.migration_ended(vm, target, outcome),
            Incoming::Mint(vms) => self.handle(Input::Mint { vms }),
            // Whoever asked may have gone away.
            Incoming::Status(answer) => drop(answer.try_send(self.status())),
            Incoming::Stop => self.stop_by = Some(self.clock.now() + self.migration_grace),
        }
    }

    fn tick(&mut self) {
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
            // Listed before a migration ended: a VM that has left may stand in it.
            return self.list();
        }
        let vms = inventory.vms.iter();
        let vms = vms
            .map(|(vm, (_, memory_mib))| (*vm, *memory_mib))
            .collect();
        let free = inventory.free;
        let domains = inventory.vms.into_iter();
        self.domains = domains.map(|(vm, (uuid, _))| (vm, uuid)).collect();
        self.handle(Input::Hosted { vms, free });
    }

    fn migration_ended(&mut self, vm: VmId, target: ServerId, outcome: MigrationOutcome) {
        self.migrating = false;
        self.migrations_ended.fetch_add(1, Ordering::SeqCst);
        let (outcome, why) = match outcome {
            MigrationOutcome::Moved => {
                self.domains.remove(&vm);
                tracing::info!(%vm, %target, "migrated");
                (Outcome::Moved, None)
            }
            MigrationOutcome::StayedHere(why) => (Outcome::StayedHere, Some(why)),
            MigrationOutcome::Unknown(why) => (Outcome::Unknown, Some(why)),
        };
        if let Some(why) = why {
            tracing::warn!(%vm, %target, ?outcome, why, "the migration did not end as it should");
            self.tell(Event::NotMoved { vm, target, why });
        }
        self.handle(Input::MigrationEnded { vm, outcome });
    }

    /// Tells the node and does what it says, in order; nothing after a mark that is not durable.
    fn handle(&mut self, input: Input) {
        let now = Instant::after_origin(self.clock.now());
        self.node.handle(now, input);
        let mut fenced = false;
        while let Some(action) = self.node.poll() {
            match action {
                Action::Persist(mark) => fenced |= !self.store(mark),
                _ if fenced => {}
                action if needs_mark(&action) && !self.store_again() => fenced = true,
                action => self.act(action),
            }
        }
    }

    /// Rule R1: whether the mark is durable.
    fn store(&mut self, mark: Mark) -> bool {
        match self.marks.store(mark) {
            Ok(()) => {
                self.unstored = None;
                true
            }
            Err(error) => {
                self.unstored = Some(mark);
                if self.store_errors.permits() {
                    tracing::error!(%mark, %error, "nothing is done under this mark until it can be stored");
                }
                let why = error.to_string();
                self.tell(Event::MarkNotStored { mark, why });
                false
            }
        }
    }

    /// Tries once more to store a mark that could not be stored.
    fn store_again(&mut self) -> bool {
        self.unstored.is_none_or(|mark| self.store(mark))
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
            Action::Report(report) => {
                tracing::debug!(?report, "node");
                if let Report::BadToken { from, why } = &report {
                    tracing::warn!(%from, ?why, "a token cannot be used");
                }
                self.tell(Event::Node(report));
            }
        }
    }

    fn list(&self) {
        // A request that waits already will be answered after now.
        let _ = self.list_requests.try_send(());
    }

    /// In a thread of its own: it may take minutes.
    fn migrate(&mut self, vm: VmId, target: ServerId, deadline: Duration) {
        let hypervisor = Arc::clone(&self.hypervisor);
        let inbox = self.inbox.clone();
        let ended = move |outcome| Incoming::MigrationEnded {
            vm,
            target,
            outcome,
        };
        let Some(domain) = self.domains.get(&vm).copied() else {
            let why = "it does not run here any more".to_owned();
            return self.migration_ended(vm, target, MigrationOutcome::StayedHere(why));
        };
        tracing::info!(%vm, %target, "migrating");
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
            Err(error) => {
                let outcome =
                    MigrationOutcome::StayedHere(format!("cannot start a thread: {error}"));
                self.migration_ended(vm, target, outcome);
            }
        }
    }

    fn tell(&self, event: Event) {
        if let Some(observer) = &self.observer {
            observer.tell(self.node.server(), &event);
        }
    }

    fn status(&self) -> AgentStatus {
        AgentStatus {
            server: self.node.server(),
            mark: self.node.mark(),
            holder: self.node.holder(),
            vms: self.node.hosted_vms().collect(),
            measured: self.flows.is_measured(),
            migrating: self.migrating,
            reservations: self.node.reservation_count(),
            refused: self.refusals.totals(),
        }
    }
}

/// Whether an action must not happen before the marks behind it are durable.
fn needs_mark(action: &Action) -> bool {
    match action {
        Action::Migrate { .. } => true,
        Action::Send { message, .. } => match message {
            Message::Token(_) | Message::CapacityRequest { .. } => true,
            Message::CapacityResponse { answer, .. } => !matches!(answer, CapacityAnswer::Stale(_)),
            Message::TokenAck { verdict, .. } => *verdict == TokenVerdict::Accepted,
            Message::LocationRequest { .. }
            | Message::LocationResponse { .. }
            | Message::Release { .. } => false,
        },
        Action::Persist(_) | Action::Measure(_) | Action::ListHosted | Action::Report(_) => false,
    }
}
