//! Which rack has the most free VM slots, among racks in a row.

use crate::rack_tree::Racks;

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

    /// A rack of `racks` that has the most free slots; none if no slot is free.
    pub(super) fn roomiest(&self, racks: &Racks) -> Option<u32> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_most_as_one_does_by_looking_at_all() {
        for racks in [1, 2, 3, 5, 8, 13] {
            let mut free: Vec<u64> = (0..racks).map(|rack| rack * 7 % 5).collect();
            let mut room = Room::new(free.iter().copied());
            for step in 0..100 {
                let rack = step * 11 % racks;
                free[rack as usize] = step * 13 % 6;
                room.set(rack as u32, free[rack as usize]);
                for start in 0..racks as u32 {
                    for end in start..=racks as u32 {
                        let most = free[start as usize..end as usize].iter().max();
                        let found = room.roomiest(&(start..end));
                        assert!(found.is_none_or(|rack| (start..end).contains(&rack)));
                        let found = found.map_or(0, |rack| free[rack as usize]);
                        assert_eq!(found, most.copied().unwrap_or(0), "{free:?} {start}..{end}");
                    }
                }
            }
        }
    }
}
