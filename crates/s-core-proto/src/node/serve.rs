//! What a node does for other servers: it says where VMs are, and makes room.

use s_core_model::{ServerId, VmId};
use s_core_token::Mark;

use super::Node;
use super::io::Action;
use crate::message::{CapacityAnswer, Demand, Message, QueryId};
use crate::time::Instant;
use s_core_model::Levels;

impl<L: Levels> Node<L> {
    /// 4.2.5: the server that hosts the VM answers with its own address. One that does not host it
    /// says where it last knew it to be if it was asked by itself, and nothing if all were asked.
    pub(super) fn location_request(
        &mut self,
        sender: ServerId,
        query: QueryId,
        vm: VmId,
        directed: bool,
    ) {
        let here = self.state.hosted.contains_key(&vm);
        if !here && self.state.reservations.expects(vm) {
            // It may have come since the last listing.
            self.actions.push_back(Action::ListHosted);
        }
        if here || directed {
            let server = if here {
                Some(self.config.server)
            } else {
                self.state.locations.get(vm)
            };
            self.answer(sender, Message::LocationResponse { query, vm, server });
        }
    }

    /// 4.2.5 and rule R3: fences lower marks, then promises room or says what is left.
    pub(super) fn capacity_request(
        &mut self,
        now: Instant,
        sender: ServerId,
        query: QueryId,
        mark: Mark,
        demands: &[Demand],
    ) {
        let answer = if mark < self.state.highest {
            CapacityAnswer::Stale(self.state.highest)
        } else {
            self.raise(mark);
            self.state.reservations.expire(now);
            let here = |demand: &Demand| self.state.hosted.contains_key(&demand.vm);
            let promised = if demands.iter().any(here) {
                // It has come already, and this is an old request again.
                Err(self.state.reservations.left(self.state.free, demands))
            } else {
                self.alive(now, sender);
                self.state.reservations.reserve(
                    self.state.free,
                    mark,
                    demands,
                    now + self.config.timing.reservation,
                    self.config.bounds.reservations,
                )
            };
            match promised {
                Ok(()) => CapacityAnswer::Reserved,
                Err(left) => CapacityAnswer::Full(left),
            }
        };
        self.answer(sender, Message::CapacityResponse { query, answer });
    }

    /// The asker does not need the room, or has lost track of the VM: it is not let in under this mark any more.
    pub(super) fn withdraw(&mut self, now: Instant, mark: Mark, vm: VmId) {
        self.raise(mark);
        let expires = now + self.config.timing.reservation;
        let bound = self.config.bounds.reservations;
        let reservations = &mut self.state.reservations;
        reservations.release(mark, vm, expires, bound);
    }

    /// Rule R3: a VM is let in once, against a reservation that has not ended.
    pub(super) fn arriving(&mut self, now: Instant, vm: VmId) {
        self.state.reservations.expire(now);
        let admitted = self.state.reservations.admit(vm);
        self.actions.push_back(if admitted {
            Action::Admit(vm)
        } else {
            Action::Refuse(vm)
        });
    }
}
