//! Which rack has the most free VM slots, among racks in a row.

/// A segment tree over racks that answers in O(log racks).
#[derive(Clone, Debug)]
pub(super) struct Room {
    /// Node 1 is the root, node i has the children 2i and 2i + 1; the leaves are the racks.
    most: Vec<u64>,
    leaves: usize,
}

impl Room {
    pub(super) fn new(free: impl ExactSizeIterator<Item = u64>) -> Self {
        let leaves = free.len().next_power_of_two();
        let mut most = vec![0; 2 * leaves];
        for (rack, slots) in free.enumerate() {
            most[leaves + rack] = slots;
        }
        for node in (1..leaves).rev() {
            most[node] = most[2 * node].max(most[2 * node + 1]);
        }
        Self { most, leaves }
    }

    pub(super) fn set(&mut self, rack: u32, free: u64) {
        let mut node = self.leaves + rack as usize;
        self.most[node] = free;
        while node > 1 {
            node /= 2;
            let most = self.most[2 * node].max(self.most[2 * node + 1]);
            if self.most[node] == most {
                break;
            }
            self.most[node] = most;
        }
    }

    /// The rack with the most free slots from `racks`, the first of several; none if no slot is free.
    pub(super) fn roomiest(&self, racks: &crate::reference::tree::Racks) -> Option<u32> {
        let (mut low, mut high) = (
            self.leaves + racks.start as usize,
            self.leaves + racks.end as usize,
        );
        let mut best = (0, usize::MAX);
        while low < high {
            if low % 2 == 1 {
                best = self.better(best, low);
                low += 1;
            }
            if high % 2 == 1 {
                high -= 1;
                best = self.better(best, high);
            }
            low /= 2;
            high /= 2;
        }
        let (most, mut node) = best;
        if most == 0 {
            return None;
        }
        while node < self.leaves {
            node *= 2;
            node += usize::from(self.most[node] != most);
        }
        Some((node - self.leaves) as u32)
    }

    fn better(&self, best: (u64, usize), node: usize) -> (u64, usize) {
        if self.most[node] > best.0 {
            (self.most[node], node)
        } else {
            best
        }
    }
}
