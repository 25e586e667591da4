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
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// The VM may begin to arrive until the reservation expires.
    Promised,
    /// The VM is arriving; its room is kept until it runs here or has failed to come.
    Arriving,
    /// The promise was given back. It is remembered so that a late copy of the request is not a new one.
    Released,
}

/// At most one reservation per VM: a newer mark's replaces an older one's, unless that VM is arriving.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Reservations {
    by_vm: BTreeMap<VmId, Reservation>,
}

impl Reservations {
    /// What is left of `free` after all promises but those to the VMs of `demands`.
    pub(super) fn left(&self, free: Capacity, demands: &[Demand]) -> Capacity {
        let promised = self.by_vm.iter().filter(|(vm, held)| {
            held.stage != Stage::Released && demands.iter().all(|demand| demand.vm != **vm)
        });
        promised.fold(free, |left, (_, reservation)| Capacity {
            vm_slots: left.vm_slots.saturating_sub(1),
            memory_mib: left
                .memory_mib
                .saturating_sub(u64::from(reservation.memory_mib)),
        })
    }

    /// Promises room for all the demands or for none. Asking again with the same mark changes
    /// nothing, and after a release or an arrival gets no second promise.
    pub(super) fn reserve(
        &mut self,
        free: Capacity,
        mark: Mark,
        demands: &[Demand],
        expires: Instant,
        bound: usize,
    ) -> Result<(), Capacity> {
        let left = self.left(free, demands);
        let held = |demand: &Demand| self.by_vm.get(&demand.vm);
        let used = |held: &Reservation| match held.stage {
            Stage::Promised => false,
            Stage::Arriving => true,
            Stage::Released => held.mark == mark,
        };
        if demands.iter().filter_map(held).any(used) {
            return Err(left);
        }
        let memory_mib: u64 = demands.iter().map(|d| u64::from(d.memory_mib)).sum();
        let new = demands.iter().filter(|demand| held(demand).is_none());
        let fits = (left.vm_slots as usize) >= demands.len() && left.memory_mib >= memory_mib;
        if !fits || self.by_vm.len() + new.count() > bound {
            return Err(left);
        }
        for demand in demands {
            let reservation = Reservation {
                mark,
                memory_mib: demand.memory_mib,
                expires,
                stage: Stage::Promised,
            };
            let held = self.by_vm.entry(demand.vm).or_insert(reservation);
            if held.mark != mark {
                *held = reservation;
            }
        }
        Ok(())
    }

    /// Whether the VM may come in; once for each promise.
    pub(super) fn admit(&mut self, vm: VmId) -> bool {
        let promised = |held: &&mut Reservation| held.stage == Stage::Promised;
        match self.by_vm.get_mut(&vm).filter(promised) {
            Some(held) => {
                held.stage = Stage::Arriving;
                true
            }
            None => false,
        }
    }

    /// The VM is on its way though nobody asked this node. What was promised to it is kept, and remembered after it.
    pub(super) fn still_arriving(&mut self, vm: VmId, memory_mib: u32) {
        let held = self.by_vm.entry(vm).or_insert(Reservation {
            mark: Mark::default(),
            memory_mib,
            expires: Instant::ORIGIN,
            stage: Stage::Arriving,
        });
        held.stage = Stage::Arriving;
        held.memory_mib = held.memory_mib.max(memory_mib);
    }

    /// Gives up the promise that was made for exactly this mark, also if its request is still on its way.
    pub(super) fn release(&mut self, mark: Mark, vm: VmId, expires: Instant, bound: usize) {
        let released = Reservation {
            mark,
            memory_mib: 0,
            expires,
            stage: Stage::Released,
        };
        let room = self.by_vm.len() < bound;
        match self.by_vm.get_mut(&vm) {
            Some(held) if held.mark == mark && held.stage == Stage::Promised => *held = released,
            None if room => drop(self.by_vm.insert(vm, released)),
            _ => {}
        }
    }

    /// The VM has come: its room is now counted by the hypervisor.
    pub(super) fn arrived(&mut self, vm: VmId) {
        self.by_vm.remove(&vm);
    }

    /// The VM was let in and has not come.
    pub(super) fn failed(&mut self, vm: VmId) {
        if let Some(held) = self.by_vm.get_mut(&vm)
            && held.stage == Stage::Arriving
        {
            held.stage = Stage::Released;
        }
    }

    pub(super) fn expects(&self, vm: VmId) -> bool {
        let expected = |held: &Reservation| held.stage != Stage::Released;
        self.by_vm.get(&vm).is_some_and(expected)
    }

    pub(super) fn is_arriving(&self, vm: VmId) -> bool {
        let arriving = |held: &Reservation| held.stage == Stage::Arriving;
        self.by_vm.get(&vm).is_some_and(arriving)
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.by_vm
            .retain(|_, held| held.expires > now || held.stage == Stage::Arriving);
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let waiting = |held: &&Reservation| held.stage != Stage::Arriving;
        let waiting = self.by_vm.values().filter(waiting);
        waiting.map(|held| held.expires).min()
    }

    /// The VMs that room is kept for, and how much memory.
    pub(super) fn iter(&self) -> impl Iterator<Item = (VmId, u32)> + '_ {
        let kept = self
            .by_vm
            .iter()
            .filter(|(_, held)| held.stage != Stage::Released);
        kept.map(|(vm, held)| (*vm, held.memory_mib))
    }

    /// How many of them there are.
    pub(super) fn len(&self) -> usize {
        self.iter().count()
    }
}
