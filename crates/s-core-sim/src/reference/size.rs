//! How much room a VM, or a cluster of them, takes; how much a rack has.

use std::ops::{AddAssign, SubAssign};

use s_core_model::Capacity;

/// VM slots and memory, of one VM or many, of one rack or many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::reference) struct Size {
    pub(in crate::reference) slots: u64,
    /// In MiB.
    pub(in crate::reference) memory: u64,
}

impl Size {
    pub(in crate::reference) const fn new(slots: u64, memory: u64) -> Self {
        Self { slots, memory }
    }

    /// Whether `added` fits into `capacity` beside this.
    pub(in crate::reference) fn leaves_room(self, added: Self, capacity: Self) -> bool {
        self.slots.saturating_add(added.slots) <= capacity.slots
            && self.memory.saturating_add(added.memory) <= capacity.memory
    }

    /// Whether this is more than `capacity` in slots or memory.
    pub(in crate::reference) fn exceeds(self, capacity: Self) -> bool {
        !self.leaves_room(Self::default(), capacity)
    }

    /// What is left of `self` when `taken` is taken from it; nothing where more is taken than there is.
    pub(in crate::reference) fn less(self, taken: Self) -> Self {
        Self {
            slots: self.slots.saturating_sub(taken.slots),
            memory: self.memory.saturating_sub(taken.memory),
        }
    }
}

impl From<Capacity> for Size {
    fn from(room: Capacity) -> Self {
        Self::new(room.vm_slots.into(), room.memory_mib)
    }
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        // Of capacities; what VMs take is never so much.
        self.slots = self.slots.saturating_add(other.slots);
        self.memory = self.memory.saturating_add(other.memory);
    }
}

impl SubAssign for Size {
    fn sub_assign(&mut self, other: Self) {
        self.slots -= other.slots;
        self.memory -= other.memory;
    }
}

impl std::iter::Sum for Size {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::default(), |mut sum, size| {
            sum += size;
            sum
        })
    }
}
