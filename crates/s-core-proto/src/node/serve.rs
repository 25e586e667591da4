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
            let promised = self.state.reservations.reserve(
                self.state.free,
                mark,
                demands,
                now + self.config.timing.reservation,
                self.config.bounds.reservations,
            );
            match promised {
                Ok(()) => CapacityAnswer::Reserved,
                Err(left) => CapacityAnswer::Full(left),
            }
        };
        self.answer(sender, Message::CapacityResponse { query, answer });
    }
}
