//! Room promised to VMs that are about to come (rule R3).

use alloc::collections::BTreeMap;

use s_core_model::{Capacity, VmId};
use s_core_token::Mark;

use crate::message::Demand;
use crate::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Reservation {
    mark: Mark,
    memory_mib: u32,
    expires: Instant,
}

/// At most one reservation per VM: a newer mark's replaces an older one's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Reservations {
    by_vm: BTreeMap<VmId, Reservation>,
}

impl Reservations {
    /// What is left of `free` after all promises but those to the VMs of `demands`.
    fn left(&self, free: Capacity, demands: &[Demand]) -> Capacity {
        let promised = self
            .by_vm
            .iter()
            .filter(|(vm, _)| demands.iter().all(|demand| demand.vm != **vm));
        promised.fold(free, |left, (_, reservation)| Capacity {
            vm_slots: left.vm_slots.saturating_sub(1),
            memory_mib: left
                .memory_mib
                .saturating_sub(u64::from(reservation.memory_mib)),
        })
    }

    /// Promises room for all the demands or for none; asking again with the same mark changes
    /// nothing but the time at which the promise ends.
    pub(super) fn reserve(
        &mut self,
        free: Capacity,
        mark: Mark,
        demands: &[Demand],
        expires: Instant,
        bound: usize,
    ) -> Result<(), Capacity> {
        let left = self.left(free, demands);
        let memory_mib: u64 = demands.iter().map(|d| u64::from(d.memory_mib)).sum();
        let new = demands
            .iter()
            .filter(|demand| !self.by_vm.contains_key(&demand.vm))
            .count();
        let fits = (left.vm_slots as usize) >= demands.len() && left.memory_mib >= memory_mib;
        if !fits || self.by_vm.len() + new > bound {
            return Err(left);
        }
        for demand in demands {
            let reservation = Reservation {
                mark,
                memory_mib: demand.memory_mib,
                expires,
            };
            self.by_vm.insert(demand.vm, reservation);
        }
        Ok(())
    }

    /// Gives up the promise that was made for exactly this mark.
    pub(super) fn release(&mut self, mark: Mark, vm: VmId) {
        if self.by_vm.get(&vm).is_some_and(|held| held.mark == mark) {
            self.by_vm.remove(&vm);
        }
    }

    /// The VM has come: its room is now counted by the hypervisor.
    pub(super) fn arrived(&mut self, vm: VmId) {
        self.by_vm.remove(&vm);
    }

    pub(super) fn expects(&self, vm: VmId) -> bool {
        self.by_vm.contains_key(&vm)
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.by_vm
            .retain(|_, reservation| reservation.expires > now);
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.by_vm.values().map(|held| held.expires).min()
    }

    pub(super) fn len(&self) -> usize {
        self.by_vm.len()
    }
}
