//! What a node does for other servers: it says where VMs are, and makes room.

use s_core_model::{Capacity, CpuModel, Levels, ServerId, VmId};
use s_core_token::Mark;

use super::Node;
use super::io::{Action, Report};
use crate::message::{CapacityAnswer, Demand, Message, QueryId};
use crate::mutation::Mutation;
use crate::time::Instant;

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
        cpu: Option<CpuModel>,
    ) {
        let unfenced = self.config.has(Mutation::CapacityRequestWithoutMark);
        let answer = if mark < self.state.highest && !unfenced {
            CapacityAnswer::Stale(self.state.highest)
        } else {
            if !unfenced {
                self.raise(mark);
                self.alive(now, sender);
            }
            if self.is_suitable(sender, demands, cpu) {
                match self.promise(now, mark, demands) {
                    Ok(()) => CapacityAnswer::Reserved,
                    Err(left) => CapacityAnswer::Full(left),
                }
            } else {
                CapacityAnswer::Unsuitable
            }
        };
        // Nobody is sent more than he has sent himself.
        let cpu = cpu.and(self.state.cpu);
        self.answer(sender, Message::CapacityResponse { query, answer, cpu });
    }

    /// Whether the processor here offers all that the asker's does, where both are known.
    fn is_suitable(&mut self, source: ServerId, demands: &[Demand], cpu: Option<CpuModel>) -> bool {
        let (Some(cpu), Some(here)) = (cpu, self.state.cpu) else {
            return true;
        };
        let Err(why) = here.offers(&cpu) else {
            return true;
        };
        let target = self.config.server;
        for Demand { vm, .. } in demands {
            self.report(Report::Unsuitable {
                vm: *vm,
                source,
                target,
                why,
            });
        }
        false
    }

    fn promise(&mut self, now: Instant, mark: Mark, demands: &[Demand]) -> Result<(), Capacity> {
        let mut free = self.room();
        let reservations = &mut self.state.reservations;
        reservations.expire(now);
        if self.config.has(Mutation::CapacityWithoutReservation) && free.vm_slots > 0 {
            free.vm_slots += u32::try_from(reservations.len()).unwrap_or(0);
            free.memory_mib = u64::MAX;
        }
        let here = |demand: &Demand| self.state.hosted.contains_key(&demand.vm);
        if demands.iter().any(here) {
            // It has come already, and this is an old request again.
            return Err(reservations.left(free, demands));
        }
        let expires = now + self.config.timing.reservation;
        let bound = self.config.bounds.reservations;
        reservations.reserve(free, mark, demands, expires, bound)
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
        let open = self.config.has(Mutation::AdmittedWithoutReservation);
        let admitted = self.state.reservations.admit(vm) || open;
        self.actions.push_back(if admitted {
            Action::Admit(vm)
        } else {
            Action::Refuse(vm)
        });
    }
}
