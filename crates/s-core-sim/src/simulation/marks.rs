//! A set of VMs that is emptied in one step.

use s_core_model::VmIndex;

const BITS: usize = u64::BITS as usize;

/// A set of VMs. Emptying it takes one step, not one per VM; 2 bits of memory per VM.
#[derive(Debug)]
pub(super) struct Marks {
    blocks: Vec<Block>,
    era: u64,
    count: usize,
}

#[derive(Clone, Debug, Default)]
struct Block {
    bits: u64,
    /// When the bits were set: those of an earlier era do not count any more.
    era: u64,
}

impl Marks {
    /// No VM, of `vms`.
    pub(super) fn new(vms: usize) -> Self {
        Self {
            blocks: vec![Block::default(); vms.div_ceil(BITS)],
            era: 0,
            count: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.era += 1;
        self.count = 0;
    }

    /// How many VMs are in the set.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn contains(&self, vm: VmIndex) -> bool {
        let block = &self.blocks[vm.usize() / BITS];
        block.era == self.era && block.bits >> (vm.usize() % BITS) & 1 == 1
    }

    pub(super) fn insert(&mut self, vm: VmIndex) {
        let block = &mut self.blocks[vm.usize() / BITS];
        if block.era != self.era {
            *block = Block {
                bits: 0,
                era: self.era,
            };
        }
        let bit = 1 << (vm.usize() % BITS);
        self.count += usize::from(block.bits & bit == 0);
        block.bits |= bit;
    }

    pub(super) fn remove(&mut self, vm: VmIndex) {
        if self.contains(vm) {
            self.blocks[vm.usize() / BITS].bits &= !(1 << (vm.usize() % BITS));
            self.count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_a_set(steps in prop::collection::vec((0..130u32, 0..20u8), 0..300)) {
            let (mut marks, mut plain) = (Marks::new(130), BTreeSet::new());
            for (vm, what) in steps {
                let index = VmIndex::new(vm);
                match what {
                    0 => {
                        marks.clear();
                        plain.clear();
                    }
                    1..6 => {
                        marks.remove(index);
                        plain.remove(&vm);
                    }
                    _ => {
                        marks.insert(index);
                        plain.insert(vm);
                    }
                }
                prop_assert_eq!(marks.len(), plain.len());
                for vm in 0..130 {
                    prop_assert_eq!(marks.contains(VmIndex::new(vm)), plain.contains(&vm));
                }
            }
        }
    }
}
