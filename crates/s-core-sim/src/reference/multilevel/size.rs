//! How much room a VM, or a cluster of them, takes; how much a rack has.

use std::ops::{AddAssign, SubAssign};

/// VM slots and memory, of one VM or many, of one rack or many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) slots: u64,
    /// In MiB.
    pub(super) memory: u64,
}

impl Size {
    pub(super) const fn new(slots: u64, memory: u64) -> Self {
        Self { slots, memory }
    }

    /// Whether `added` fits into `capacity` beside this.
    pub(super) fn leaves_room(self, added: Self, capacity: Self) -> bool {
        self.slots + added.slots <= capacity.slots
            && self.memory + added.memory <= capacity.memory
    }

    /// Whether this is more than `capacity` in slots or memory.
    pub(super) fn exceeds(self, capacity: Self) -> bool {
        !self.leaves_room(Self::default(), capacity)
    }

    /// What is left of `self` when `taken` is taken from it; nothing where more is taken than there is.
    pub(super) fn less(self, taken: Self) -> Self {
        Self {
            slots: self.slots.saturating_sub(taken.slots),
            memory: self.memory.saturating_sub(taken.memory),
        }
    }

    /// This share of it, rounded down.
    pub(super) fn scaled(self, share: f64) -> Self {
        Self {
            slots: (self.slots as f64 * share) as u64,
            memory: (self.memory as f64 * share) as u64,
        }
    }
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.slots += other.slots;
        self.memory += other.memory;
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
