//! Racks and the groups above them, numbered so that what is together in the tree has consecutive numbers.

use std::ops::Range;

use s_core_model::{Allocation, Capacity, Level, Levels, ServerIndex};

/// A topology as a tree of groups. A group of level 0 is a rack, the one of the highest level is the whole
/// data centre. Groups of each level are numbered from 0, so that a group's parts are a range.
#[derive(Clone, Debug)]
pub(crate) struct RackTree {
    rack_of: Vec<u32>,
    /// The servers, rack by rack; those of rack r begin at `first_server[r]`.
    servers: Vec<ServerIndex>,
    first_server: Vec<u32>,
    /// The parts of group g of level l begin at `first_part[l - 1][g]`.
    first_part: Vec<Vec<u32>>,
    /// The group of rack r at level l is `ancestors[l][r]`.
    ancestors: Vec<Vec<u32>>,
}

impl RackTree {
    /// The tree of this topology, or `None` if it is not one. O(servers × (levels + log servers)).
    pub(crate) fn new(levels: &impl Levels) -> Option<Self> {
        let top = levels.max_level().get();
        let count = u32::try_from(levels.server_count()).expect("servers have 32-bit indices");
        // From the highest level down, so that sorting puts together what is together.
        let path = |server| {
            let group = |level| levels.group(server, Level::new(level));
            (0..top.max(1)).rev().map(group).collect::<Option<Vec<_>>>()
        };
        let mut paths = (0..count)
            .map(ServerIndex::new)
            .map(|server| Some((path(server)?, server)))
            .collect::<Option<Vec<_>>>()?;
        paths.sort_unstable();
        let mut tree = Self {
            rack_of: vec![0; paths.len()],
            servers: paths.iter().map(|(_, server)| *server).collect(),
            first_server: Vec::new(),
            first_part: vec![Vec::new(); usize::from(top)],
            ancestors: vec![Vec::new(); usize::from(top) + 1],
        };
        tree.number_groups(&paths);
        Some(tree)
    }

    fn number_groups(&mut self, paths: &[(Vec<u32>, ServerIndex)]) {
        let top = self.first_part.len();
        let mut counts = vec![0u32; top + 1];
        for (place, (path, server)) in (0..).zip(paths) {
            let before = paths[..place as usize].last().map(|(path, _)| path);
            let same = before.map_or(0, |before| {
                before.iter().zip(path).take_while(|(a, b)| a == b).count()
            });
            if before.is_none() || same < path.len() {
                // Levels below `new` have a group that begins here; the whole data centre has one only.
                let new = if before.is_none() {
                    top + 1
                } else {
                    top - same
                };
                for level in (1..new).rev() {
                    self.first_part[level - 1].push(counts[level - 1]);
                }
                self.first_server.push(place);
                counts[..new].iter_mut().for_each(|count| *count += 1);
                for (ancestors, count) in self.ancestors.iter_mut().zip(&counts) {
                    ancestors.push(count - 1);
                }
            }
            self.rack_of[server.usize()] = counts[0] - 1;
        }
        for (level, first_part) in self.first_part.iter_mut().enumerate() {
            first_part.push(counts[level]);
        }
        self.first_server
            .push(u32::try_from(paths.len()).expect("servers have 32-bit indices"));
    }

    /// The highest level.
    pub(crate) fn top(&self) -> usize {
        self.first_part.len()
    }

    pub(crate) fn rack_count(&self) -> usize {
        self.first_server.len() - 1
    }

    /// How many groups a level has.
    pub(crate) fn group_count(&self, level: usize) -> usize {
        match level {
            0 => self.rack_count(),
            _ => self.first_part[level - 1].len() - 1,
        }
    }

    /// The rack of a server.
    pub(crate) fn rack_of(&self, server: ServerIndex) -> u32 {
        self.rack_of[server.usize()]
    }

    /// The servers of a rack, ascending.
    pub(crate) fn servers_of(&self, rack: u32) -> &[ServerIndex] {
        let rack = rack as usize;
        &self.servers[self.first_server[rack] as usize..self.first_server[rack + 1] as usize]
    }

    /// The groups of the level below that make up a group of a level from 1 up.
    pub(crate) fn parts(&self, level: usize, group: u32) -> Range<u32> {
        let first = &self.first_part[level - 1];
        first[group as usize]..first[group as usize + 1]
    }

    /// The group that a rack belongs to at a level.
    pub(crate) fn ancestor(&self, level: usize, rack: u32) -> u32 {
        self.ancestors[level][rack as usize]
    }

    /// ℓ of two racks.
    pub(crate) fn level(&self, a: u32, b: u32) -> usize {
        (0..self.top())
            .find(|level| self.ancestor(*level, a) == self.ancestor(*level, b))
            .unwrap_or(self.top())
    }

    /// What each rack has room for, with the VMs that it hosts counted as gone.
    pub(crate) fn rack_capacities(&self, allocation: &Allocation) -> Vec<Capacity> {
        let mut racks = vec![Capacity::default(); self.rack_count()];
        for (server, capacity) in allocation.servers().zip(server_capacities(allocation)) {
            let rack = &mut racks[self.rack_of(server) as usize];
            rack.vm_slots = rack.vm_slots.saturating_add(capacity.vm_slots);
            rack.memory_mib = rack.memory_mib.saturating_add(capacity.memory_mib);
        }
        racks
    }

    /// The rack of each VM.
    pub(crate) fn racks_of_vms<'a>(
        &'a self,
        allocation: &'a Allocation,
    ) -> impl ExactSizeIterator<Item = u32> + 'a {
        allocation.vms().map(|vm| self.rack_of(allocation.host(vm)))
    }
}

/// What each server has room for, with the VMs that it hosts counted as gone.
pub(crate) fn server_capacities(allocation: &Allocation) -> Vec<Capacity> {
    let mut servers: Vec<_> = allocation.servers().map(|x| allocation.free(x)).collect();
    for vm in allocation.vms() {
        give_back(
            &mut servers[allocation.host(vm).usize()],
            allocation.memory_mib(vm),
        );
    }
    servers
}

/// Takes the room of a VM, which must be there.
pub(crate) fn take(room: &mut Capacity, memory_mib: u32) {
    room.vm_slots -= 1;
    room.memory_mib -= u64::from(memory_mib);
}

/// Gives the room of a VM back.
pub(crate) fn give_back(room: &mut Capacity, memory_mib: u32) {
    room.vm_slots += 1;
    room.memory_mib += u64::from(memory_mib);
}

#[cfg(test)]
mod tests {
    use s_core_model::ServerId;
    use s_core_topology::LocationTable;

    use super::*;

    /// Servers in any order, groups of unequal size: levels are those of the topology, parts are what they should be.
    #[test]
    fn groups_are_those_of_the_topology() {
        let tables: [&[&str]; 5] = [
            &["a/x", "b/y", "a/z", "b/y", "a/x", "c/x"],
            &["r"],
            &["r", "r", "s"],
            &["a/b/c", "a/b/d", "a/e/c", "f/b/c", "a/b/c"],
            &["a/x/1", "b/x/1", "a/y/1", "b/x/2", "a/x/2", "a/x/1"],
        ];
        for paths in tables {
            let table =
                LocationTable::new((0..).map(ServerId::new).zip(paths.iter().copied())).unwrap();
            let tree = RackTree::new(&table).unwrap();
            assert_eq!(tree.rack_count(), table.rack_count(), "{paths:?}");
            assert_eq!(tree.group_count(tree.top()), 1);
            let servers: Vec<_> = (0..paths.len() as u32).map(ServerIndex::new).collect();
            for (a, b) in servers
                .iter()
                .flat_map(|a| servers.iter().map(move |b| (*a, *b)))
            {
                let level = tree.level(tree.rack_of(a), tree.rack_of(b));
                assert_eq!(level, usize::from(table.level(a, b).get()), "{paths:?}");
            }
            for rack in 0..tree.rack_count() as u32 {
                assert!(
                    tree.servers_of(rack)
                        .iter()
                        .all(|x| tree.rack_of(*x) == rack)
                );
                let mut group = rack;
                for level in 1..=tree.top() {
                    let parent = tree.ancestor(level, rack);
                    assert!(tree.parts(level, parent).contains(&group), "{paths:?}");
                    group = parent;
                }
            }
            for level in 1..=tree.top() {
                let groups = 0..tree.group_count(level) as u32;
                let parts: Vec<u32> = groups.flat_map(|g| tree.parts(level, g)).collect();
                assert!(parts.into_iter().eq(0..tree.group_count(level - 1) as u32));
            }
        }
    }
}
