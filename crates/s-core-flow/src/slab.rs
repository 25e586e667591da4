//! Records in one allocation, named by 32-bit indices that stay valid until the record is removed.

use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

/// The index that names no record.
pub(crate) const NIL: u32 = u32::MAX;

#[derive(Clone)]
pub(crate) struct Slab<T> {
    slots: Vec<T>,
    free: Vec<u32>,
}

impl<T: Copy> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn insert(&mut self, value: T) -> u32 {
        if let Some(index) = self.free.pop() {
            self[index] = value;
            return index;
        }
        let index = u32::try_from(self.slots.len())
            .ok()
            .filter(|&index| index != NIL)
            .expect("the table's limit keeps indices below 2^32 - 1");
        self.slots.push(value);
        index
    }

    /// Gives the slot back; the index may name another record from now on.
    pub(crate) fn remove(&mut self, index: u32) -> T {
        self.free.push(index);
        self[index]
    }

    /// Bytes allocated.
    pub(crate) fn memory_usage(&self) -> usize {
        self.slots.capacity() * size_of::<T>() + self.free.capacity() * size_of::<u32>()
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, index: u32) -> &T {
        &self.slots[index as usize]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.slots[index as usize]
    }
}
