//! Migrations of unknown outcome: both ends are asked until it is known where the VM is; nobody guesses.

use alloc::vec::Vec;

use s_core_model::{Levels, ServerId, VmId};
use s_core_token::Mark;

use super::Node;
use super::io::{Action, OpenMigration, Report};
use crate::message::{Arrival, Message, QueryId};
use crate::time::Instant;

/// A VM that is left alone until both ends have said where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Open {
    pub(super) migration: OpenMigration,
    ask_at: Instant,
    query: QueryId,
    /// What the target has answered to that query.
    arrival: Option<Arrival>,
}

impl Open {
    /// To be asked about at once.
    pub(super) fn new(migration: OpenMigration) -> (VmId, Self) {
        let open = Self {
            migration,
            ask_at: Instant::ORIGIN,
            query: QueryId::default(),
            arrival: None,
        };
        (migration.vm, open)
    }
}

impl<L: Levels> Node<L> {
    pub(super) fn outcome_at(&self) -> Option<Instant> {
        self.state.open.values().map(|open| open.ask_at).min()
    }

    pub(super) fn ask_for_outcomes(&mut self, now: Instant) {
        let due = |open: &&Open| open.ask_at <= now;
        let open = self.state.open.values().filter(due);
        let vms: Vec<_> = open.map(|open| open.migration.vm).collect();
        for vm in vms {
            let query = self.next_query();
            let Some(open) = self.state.open.get_mut(&vm) else {
                continue;
            };
            (open.query, open.arrival) = (query, None);
            open.ask_at = now + self.config.timing.outcome;
            let OpenMigration { target, mark, .. } = open.migration;
            self.answer(target, Message::OutcomeRequest { query, mark, vm });
        }
    }

    /// The target's part: a VM that is not there yet is not let in any more, unless it is arriving already.
    pub(super) fn outcome_request(
        &mut self,
        now: Instant,
        sender: ServerId,
        query: QueryId,
        mark: Mark,
        vm: VmId,
    ) {
        self.state.reservations.expire(now);
        let reservations = &self.state.reservations;
        let unseen = !self.config.asks_admission && reservations.expects(vm);
        let arrival = if self.state.hosted.contains_key(&vm) {
            Arrival::Hosted
        } else if unseen || reservations.is_arriving(vm) {
            self.actions.push_back(Action::ListHosted);
            Arrival::Arriving
        } else {
            self.withdraw(now, mark, vm);
            Arrival::Absent
        };
        self.answer(sender, Message::OutcomeResponse { query, vm, arrival });
    }

    pub(super) fn outcome_response(
        &mut self,
        sender: ServerId,
        query: QueryId,
        vm: VmId,
        arrival: Arrival,
    ) {
        let Some(open) = self.state.open.get_mut(&vm) else {
            return;
        };
        if open.query == query && open.migration.target == sender {
            open.arrival = Some(arrival);
            // And what runs here?
            self.actions.push_back(Action::ListHosted);
        }
    }

    /// The VMs that run here have just been listed.
    pub(super) fn listed_for_outcomes(&mut self) {
        let known = |open: &&Open| {
            let here = self.state.hosted.contains_key(&open.migration.vm);
            match open.arrival {
                Some(Arrival::Hosted) => !here,
                Some(Arrival::Absent) => true,
                Some(Arrival::Arriving) | None => false,
            }
        };
        let known: Vec<Open> = self.state.open.values().filter(known).copied().collect();
        for open in &known {
            let OpenMigration { vm, target, .. } = open.migration;
            let moved = open.arrival == Some(Arrival::Hosted);
            self.state.open.remove(&vm);
            if moved {
                let bound = self.config.bounds.locations;
                self.state.locations.learn(vm, target, bound);
            }
            let here = self.state.hosted.contains_key(&vm);
            self.report(match moved || here {
                true => Report::OutcomeKnown { vm, target, moved },
                false => Report::Missing { vm, target },
            });
        }
        if !known.is_empty() {
            self.persist();
        }
    }
}
