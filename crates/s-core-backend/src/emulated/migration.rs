//! How emulated migrations take their course.

use std::time::Duration;

use s_core_model::{ServerId, VmId};

use super::state::State;
use crate::{MigrationOutcome, Uuid};

/// How long a migration takes: a fixed time and a time for each MiB of the VM's memory.
///
/// The default is some hundred times faster than a real network, so that a demonstration is short:
/// 50 ms and 0.1 ms per MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationModel {
    /// The time that every migration takes.
    pub fixed: Duration,
    /// The time to copy one MiB.
    pub per_mib: Duration,
}

impl MigrationModel {
    /// How long the migration of a VM with this memory takes.
    pub fn duration(self, memory_mib: u32) -> Duration {
        self.fixed
            .saturating_add(self.per_mib.saturating_mul(memory_mib))
    }
}

impl Default for MigrationModel {
    fn default() -> Self {
        Self {
            fixed: Duration::from_millis(50),
            per_mib: Duration::from_micros(100),
        }
    }
}

/// What goes wrong with a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The target refuses at once: `StayedHere`.
    Refuse,
    /// The copy fails after half its time: `StayedHere`.
    FailMidway,
    /// The last handshake is lost: `Unknown`, and the VM is at the one end or at the other.
    LoseHandshake {
        /// Whether the VM runs on the target afterwards.
        moved: bool,
    },
    /// Nothing happens until the deadline: `Unknown`, and the VM is where it was.
    Hang,
}

/// A migration that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationRecord {
    /// The VM.
    pub vm: VmId,
    /// Where it was.
    pub source: ServerId,
    /// Where it was to go.
    pub target: ServerId,
    /// When it was begun, by the data centre's clock.
    pub started: Duration,
    /// When it ended; the VM changed its home at this time, if it did.
    pub ended: Duration,
    /// Whether the VM runs on the target since.
    pub moved: bool,
    /// What the caller was told.
    pub outcome: MigrationOutcome,
}

/// What [`Journey::begin`] and the end of the journey need to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) domain: Uuid,
    pub(super) source: ServerId,
    pub(super) target: ServerId,
    pub(super) deadline: Duration,
}

/// A migration under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Journey {
    order: Order,
    vm: VmId,
    started: Duration,
    /// How long it would take without fault and deadline.
    whole: Duration,
    fault: Option<Fault>,
}

impl Journey {
    /// Begins a migration, or says why it does not begin.
    pub(super) fn begin(
        state: &mut State,
        order: Order,
        model: MigrationModel,
        now: Duration,
    ) -> Result<Self, MigrationOutcome> {
        let not_begun = |why: String| MigrationOutcome::StayedHere(format!("not begun: {why}"));
        let Order {
            domain,
            source,
            target,
            ..
        } = order;
        let Some(vm) = state.resident(domain, source) else {
            return Err(not_begun(format!("no domain with UUID {domain} here")));
        };
        if let Some(target) = vm.target {
            let why = format!("not begun: it is being migrated to {target} already");
            return Err(MigrationOutcome::Unknown(why));
        }
        if target == source {
            return Err(not_begun(format!("it is on {target} already")));
        }
        let journey = Self {
            order,
            vm: vm.given.id,
            started: now,
            whole: model.duration(vm.given.memory_mib),
            fault: vm.faults.pop_front(),
        };
        let departed = if journey.fault == Some(Fault::Refuse) {
            Err(format!("injected fault: {target} refused"))
        } else {
            let departed = state.depart(journey.vm, target);
            departed.map_err(|error| error.to_string())
        };
        if let Err(why) = departed {
            return Err(journey.record(state, false, not_begun(why), now));
        }
        Ok(journey)
    }

    /// How long to wait before [`Journey::end`].
    pub(super) fn wait(&self) -> Duration {
        let takes = match self.fault {
            Some(Fault::Hang) => self.order.deadline,
            Some(Fault::FailMidway) => self.whole / 2,
            Some(Fault::LoseHandshake { .. } | Fault::Refuse) | None => self.whole,
        };
        takes.min(self.order.deadline)
    }

    /// Ends the migration.
    pub(super) fn end(self, state: &mut State, now: Duration) -> MigrationOutcome {
        let deadline = self.order.deadline;
        let (moved, outcome) = match self.fault {
            Some(Fault::Hang) => (
                false,
                MigrationOutcome::Unknown(format!("injected fault: no end within {deadline:?}")),
            ),
            Some(Fault::FailMidway | Fault::Refuse) => (
                false,
                MigrationOutcome::StayedHere("injected fault: the copy failed".to_owned()),
            ),
            _ if self.whole > deadline => (
                false,
                MigrationOutcome::StayedHere(format!(
                    "{:?} of copying do not fit in {deadline:?}",
                    self.whole
                )),
            ),
            Some(Fault::LoseHandshake { moved }) => (
                moved,
                MigrationOutcome::Unknown("injected fault: the last handshake was lost".to_owned()),
            ),
            None => (true, MigrationOutcome::Moved),
        };
        match state.arrive(self.vm, moved, now) {
            Ok(()) => self.record(state, moved, outcome, now),
            Err(error) => MigrationOutcome::Unknown(error.to_string()),
        }
    }

    fn record(
        self,
        state: &mut State,
        moved: bool,
        outcome: MigrationOutcome,
        now: Duration,
    ) -> MigrationOutcome {
        state.log.push(MigrationRecord {
            vm: self.vm,
            source: self.order.source,
            target: self.order.target,
            started: self.started,
            ended: now,
            moved,
            outcome: outcome.clone(),
        });
        outcome
    }
}
