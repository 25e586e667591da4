//! What goes into a node and what comes out of it.

use alloc::vec::Vec;
use core::time::Duration;

use s_core_model::{Capacity, CpuMismatch, CpuModel, Rate, ServerId, VmId};
use s_core_token::Mark;

use crate::message::Message;
use crate::time::Instant;

/// Something that happened, told to [`Node::handle`](super::Node::handle).
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Time has passed: a moment from [`Node::poll_timeout`](super::Node::poll_timeout) has come.
    Tick,
    /// The VMs that run here with their memory in MiB, all of them, and what there is room for beside them.
    Hosted {
        /// Every VM that runs here.
        vms: Vec<(VmId, u32)>,
        /// Room beyond these.
        free: Capacity,
    },
    /// What the processor of this host offers to VMs. Once a node knows it, its VMs are migrated only to servers whose
    /// processor offers as much, and it takes none that may need more. Told before the first [`Input::Hosted`], or never:
    /// then processors are not compared here.
    Cpu(CpuModel),
    /// Make a token for these VMs and for those that run here, in a new epoch.
    Mint {
        /// VMs of the whole data centre, in any order.
        vms: Vec<VmId>,
    },
    /// A message came whose frame was authenticated.
    Received {
        /// The server that sealed the frame.
        sender: ServerId,
        /// What it says.
        message: Message,
    },
    /// The answer to [`Action::Measure`].
    Measured {
        /// The VM that was asked for.
        vm: VmId,
        /// λ to each address that it exchanges data with; addresses that are no VMs are ignored.
        peers: Vec<(VmId, Rate)>,
    },
    /// The other answer to [`Action::Measure`]: the rates of this VM are not known now.
    NotMeasured {
        /// The VM that was asked for.
        vm: VmId,
    },
    /// A VM begins to arrive by migration; answered with [`Action::Admit`] or [`Action::Refuse`] (rule R3).
    Arriving {
        /// The VM.
        vm: VmId,
    },
    /// A VM is arriving and the node was not asked: it was admitted before the node started, or the driver
    /// [cannot ask](super::Config::asks_admission). What was admitted before is told before the first
    /// [`Input::Hosted`], and no [`Arrival::Absent`](crate::Arrival::Absent) is sent before that.
    StillArriving {
        /// The VM.
        vm: VmId,
        /// Its memory in MiB.
        memory_mib: u32,
    },
    /// An arrival that was admitted has ended and the VM does not run here: it came to nothing, or the VM was gone
    /// before it was listed.
    ArrivalFailed {
        /// The VM.
        vm: VmId,
    },
    /// The agent is about to stop: the token goes on at once, and none is taken any more.
    Leave,
    /// The answer to [`Action::Migrate`].
    MigrationEnded {
        /// The VM.
        vm: VmId,
        /// How it ended.
        outcome: Outcome,
    },
}

/// What a server still has to know after a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Durable {
    /// The highest mark seen (rule R1).
    pub mark: Mark,
    /// Migrations from here that began and whose end is not known, by VM: at most [`Bounds::open_migrations`](super::Bounds) and one.
    pub migrations: Vec<OpenMigration>,
}

/// A VM that may have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpenMigration {
    /// The VM.
    pub vm: VmId,
    /// Where it may have gone.
    pub target: ServerId,
    /// The mark under which room was reserved there.
    pub mark: Mark,
}

/// Nothing is known but a mark.
impl From<Mark> for Durable {
    fn from(mark: Mark) -> Self {
        let migrations = Vec::new();
        Self { mark, migrations }
    }
}

/// How a migration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The VM runs on the target.
    Moved,
    /// The VM runs on, here.
    StayedHere,
    /// Nobody knows yet where it runs. This server's part in it has ended: what has not begun to arrive will not any more.
    Unknown,
}

/// Something that the driver has to do, in the order in which [`Node::poll`](super::Node::poll) returns it.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make this durable in place of what was; nothing that comes after it may happen before it is (rule R1).
    Persist(Durable),
    /// Send a message. It may be lost.
    Send {
        /// To whom.
        to: Destination,
        /// What.
        message: Message,
    },
    /// Read the rates of a VM that runs here and answer with [`Input::Measured`] or [`Input::NotMeasured`].
    Measure(VmId),
    /// List the VMs that run here soon and answer with [`Input::Hosted`]: something may have changed.
    ListHosted,
    /// Migrate a VM live and answer with [`Input::MigrationEnded`].
    Migrate {
        /// The VM, which runs here.
        vm: VmId,
        /// Where to.
        target: ServerId,
        /// How long it may take.
        deadline: Duration,
    },
    /// Let a VM arrive; tell with [`Input::ArrivalFailed`] if it does not. Once it runs here it is listed.
    Admit(VmId),
    /// Do not let a VM arrive: no room is reserved for it.
    Refuse(VmId),
    /// Something that a person may want to know; needs no answer.
    Report(Report),
}

/// To whom a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// The agent of this server.
    Server(ServerId),
    /// The agent of whichever server hosts this VM: to the VM's own address where packets to it are
    /// intercepted (4.2.3), or else to every server.
    HostOf(VmId),
    /// All other servers.
    Everybody,
}

/// What a node is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerKind {
    /// Rates of the holder.
    Measurement,
    /// Answers to location requests.
    Location,
    /// The answer to a capacity request.
    Capacity,
    /// The end of a migration.
    Migration,
    /// The token's rest with the holder.
    Rest,
    /// The acknowledgement of a token that was sent.
    Acknowledgement,
    /// The end of a reservation.
    Reservation,
    /// The next sign of life to the server that keeps a copy of the token.
    KeepAlive,
    /// A sign of life of the server that the token was handed to.
    Custody,
    /// The next sign of life to all servers.
    Beacon,
    /// A sign of life of any token, or the end of a claim.
    Silence,
    /// The next question about a migration of unknown outcome.
    Outcome,
}

/// Something that a person may want to know.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Report {
    /// The token came for a VM that runs here.
    Holding {
        /// The VM.
        vm: VmId,
        /// The token's mark.
        mark: Mark,
    },
    /// The holder does not migrate.
    Stayed {
        /// The VM.
        vm: VmId,
        /// Why.
        why: WhyStayed,
    },
    /// The holder begins to migrate.
    Migrating {
        /// The VM.
        vm: VmId,
        /// Where to.
        target: ServerId,
        /// By how much Eq. 3.1 will fall.
        gain: f64,
    },
    /// The holder has migrated.
    Migrated {
        /// The VM.
        vm: VmId,
        /// Where it was.
        source: ServerId,
        /// Where it is.
        target: ServerId,
        /// By how much Eq. 3.1 fell.
        gain: f64,
        /// C(u) before, from which the gain was computed.
        cost_before: f64,
    },
    /// A server's processor does not offer what a VM may need. At the VM's host it is passed over, at the server itself
    /// the VM has been refused.
    Unsuitable {
        /// The VM.
        vm: VmId,
        /// Where it is.
        source: ServerId,
        /// Where it would have gone.
        target: ServerId,
        /// What is missing.
        why: CpuMismatch,
    },
    /// Some peers could not be found; the decision was made without them.
    PeersNotFound {
        /// The holder.
        vm: VmId,
        /// How many peers.
        count: usize,
    },
    /// The token went to another server and was accepted there.
    Passed {
        /// The next holder.
        vm: VmId,
        /// Its server.
        server: ServerId,
    },
    /// A round has ended.
    RoundEnded {
        /// Its number, from 0.
        round: u32,
        /// How many VMs migrated in it.
        migrations: u32,
        /// How many rounds in a row have now been quiet: every VM was asked and none moved.
        quiet_rounds: u16,
    },
    /// A VM could not be reached and was passed over.
    Skipped {
        /// The VM.
        vm: VmId,
        /// What went wrong.
        why: WhySkipped,
    },
    /// The token held here is not the current one and was dropped.
    Superseded {
        /// Its mark.
        mark: Mark,
        /// A higher mark that was seen.
        by: Mark,
    },
    /// The token was not acknowledged in time and is sent again; if that does not help, its holder is passed over.
    SentAgain {
        /// The server.
        server: ServerId,
        /// The token's mark.
        mark: Mark,
    },
    /// The server that the token was handed to gives no sign of life; it is asked.
    InDoubt {
        /// The server.
        server: ServerId,
        /// The mark under which it got the token.
        mark: Mark,
    },
    /// No VM is left elsewhere for the token to go to; it ends here.
    NobodyLeft {
        /// The last holder.
        vm: VmId,
    },
    /// The token was lost with the server that had it, and goes on from the copy that was kept here.
    Recovered {
        /// The server that it was handed to.
        from: ServerId,
        /// The new mark.
        mark: Mark,
    },
    /// No token has been heard of for long; this server asks all others whether it may make one.
    Claiming {
        /// The highest mark seen.
        mark: Mark,
    },
    /// The claim is given up: a token is alive, or another server's claim goes first.
    Parked {
        /// The server that said so.
        by: ServerId,
    },
    /// It is now known how a migration ended whose outcome was unknown.
    OutcomeKnown {
        /// The VM.
        vm: VmId,
        /// Where it should have gone.
        target: ServerId,
        /// Whether it runs there; else it runs here.
        moved: bool,
    },
    /// The migration of a VM, of unknown outcome, has ended, and the VM runs neither here nor on its target: it has gone on from there,
    /// or it runs nowhere.
    Missing {
        /// The VM.
        vm: VmId,
        /// Where it should have gone.
        target: ServerId,
    },
    /// A VM that runs here gets no slot, because the token is as large as it may be.
    TokenFull {
        /// The VM.
        vm: VmId,
    },
    /// A message was ignored because its mark is beyond all that can have been used.
    ImplausibleMark {
        /// The server that sent it.
        from: ServerId,
        /// The mark.
        mark: Mark,
    },
    /// A token was minted.
    Minted {
        /// Its mark.
        mark: Mark,
        /// How many VMs it has slots for.
        vms: usize,
    },
    /// A token could not be minted or used.
    BadToken {
        /// The server that sent it, or this one.
        from: ServerId,
        /// What is wrong with it.
        why: BadToken,
    },
}

/// Why a holder did not migrate.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum WhyStayed {
    /// It exchanges no data with any VM that has a slot in the token.
    NoTraffic,
    /// Its rates are not known, or were not read in time.
    NotMeasured,
    /// No other server's gain exceeds the migration cost.
    NoGain {
        /// The best server other than its own, and the gain there.
        best: Option<(ServerId, f64)>,
        /// What a gain would have to exceed: the migration cost, and what is at stake with peers that were not found.
        threshold: f64,
    },
    /// Every server that is worth a migration is full, has another processor or does not answer.
    NoRoom {
        /// These servers, in the order in which they were asked.
        asked: Vec<ServerId>,
    },
    /// Another migration is still under way here.
    Busy,
    /// It is [pinned](super::MigrationLimits::pinned).
    Excluded,
    /// It came not long ago: see [`MigrationLimits::cool_down`](super::MigrationLimits::cool_down).
    CoolingDown {
        /// Until when it stays.
        until: Instant,
    },
    /// It would gain only by pairs that make up more of its load than a [pair may](super::MigrationLimits::pair_share).
    PairShare {
        /// The server that it would have asked first.
        target: ServerId,
    },
    /// It is not here any more: somebody else moved or stopped it during the visit.
    Gone,
    /// An earlier migration of it ended without a known outcome, and it has been listed here ever since.
    Blocked,
    /// The migration was tried and failed; it runs on here.
    MigrationFailed {
        /// Where it should have gone.
        target: ServerId,
    },
    /// The migration was tried and nobody knows how it ended; it is left alone as long as it is listed here.
    OutcomeUnknown {
        /// Where it should have gone.
        target: ServerId,
    },
}

/// Why a VM was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WhySkipped {
    /// No server says that it hosts it.
    NotFound,
    /// Its server does not acknowledge the token.
    NoAcknowledgement(ServerId),
    /// Its server refuses the token as malformed.
    Refused(ServerId),
    /// Its server has had the token before and does not have it any more: it was started again.
    Forgotten(ServerId),
}

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadToken {
    /// Its bytes are not a token within the limits.
    Malformed,
    /// It is for another passing policy.
    OtherPolicy(u8),
    /// There is no VM to make it for, or too many.
    NoSlots,
    /// This server holds a token already.
    HoldingAlready,
    /// No mark above the highest one seen is left.
    MarksExhausted,
}
