//! Racks and the groups above them, numbered so that what is together in the tree has consecutive numbers.

use std::ops::Range;

use s_core_model::{Allocation, Capacity, Level, Levels, ServerIndex};

/// Some racks that follow each other: a group, or all of them.
pub(crate) type Racks = Range<u32>;

/// A topology as a tree of groups.
///
/// A group of level 0 is a rack, the only one of the highest level is the whole data centre. Groups of all levels
/// are numbered together, level by level from 0, so that racks have the same numbers as groups, the whole data
/// centre has the last, and a group's racks and parts are ranges.
#[derive(Clone, Debug)]
pub(crate) struct RackTree {
    /// The highest level.
    top: usize,
    rack_of: Vec<u32>,
    /// The servers, rack by rack; those of rack r begin at `first_server[r]`.
    servers: Vec<ServerIndex>,
    first_server: Vec<u32>,
    /// Row by row, for each rack its groups at levels 0 to `top` − 1.
    paths: Vec<u32>,
    groups: Vec<Group>,
    /// The first group of each level.
    first_group: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Group {
    racks: Racks,
    /// The groups of the level below; none of a rack.
    parts: Range<u32>,
}

/// A server behind what names the groups that it is in, from the highest level down to its rack.
type Located = (Vec<u32>, ServerIndex);

// `racks_of`, `path` and `level` are called in the innermost loops of the multilevel reference, which take a tenth longer
// where they are not inlined.
impl RackTree {
    /// The tree of this topology, or `None` if it is not one. O(servers × (levels + log servers)).
    pub(crate) fn new(levels: &impl Levels) -> Option<Self> {
        let top = usize::from(levels.max_level().get());
        Some(Self::of(locate(levels)?, top))
    }

    /// The same with each server as a rack of its own, in a group that is its rack.
    pub(crate) fn of_servers(levels: &impl Levels) -> Option<Self> {
        let top = usize::from(levels.max_level().get()) + 1;
        let mut located = locate(levels)?;
        for (path, server) in &mut located {
            path.push(server.get());
        }
        Some(Self::of(located, top))
    }

    /// Racks of one server side by side, with nothing between them and the whole.
    pub(crate) fn flat(racks: u32) -> Self {
        let located = (0..racks).map(|rack| (vec![rack], ServerIndex::new(rack)));
        Self::of(located.collect(), 1)
    }

    fn of(mut located: Vec<Located>, top: usize) -> Self {
        located.sort_unstable();
        let mut tree = Self {
            top,
            rack_of: vec![0; located.len()],
            servers: located.iter().map(|(_, server)| *server).collect(),
            first_server: Vec::new(),
            paths: Vec::new(),
            groups: Vec::new(),
            first_group: Vec::new(),
        };
        for (place, (path, server)) in (0..).zip(&located) {
            if place == 0 || located[place - 1].0 != *path {
                tree.first_server.push(place as u32);
            }
            tree.rack_of[server.usize()] = tree.first_server.len() as u32 - 1;
        }
        let first = |place: &u32| &*located[*place as usize].0;
        let racks: Vec<&[u32]> = tree.first_server.iter().map(first).collect();
        tree.first_server.push(located.len() as u32);
        tree.number_groups(&racks);
        tree
    }

    /// Numbers the groups of racks, given what names the groups of each from the highest level down.
    fn number_groups(&mut self, racks: &[&[u32]]) {
        self.paths = vec![0; racks.len() * self.top];
        for level in 0..self.top {
            self.first_group.push(self.group_count() as u32);
            let name = |rack: usize| &racks[rack][..racks[rack].len() - level];
            for rack in 0..racks.len() {
                let row = rack * self.top + level;
                let part = (level > 0).then(|| self.paths[row - 1]);
                if rack == 0 || name(rack) != name(rack - 1) {
                    self.groups.push(Group {
                        racks: rack as u32..rack as u32,
                        parts: part.map_or(0..0, |part| part..part),
                    });
                }
                self.paths[row] = self.groups.len() as u32 - 1;
                let group = &mut self.groups[self.paths[row] as usize];
                group.racks.end += 1;
                group.parts.end = part.map_or(0, |part| part + 1);
            }
        }
        let whole = self.group_count() as u32;
        self.groups.push(Group {
            racks: 0..racks.len() as u32,
            parts: self.first_group.last().map_or(0..0, |first| *first..whole),
        });
        self.first_group.extend([whole, whole + 1]);
    }

    /// The highest level.
    pub(crate) fn top(&self) -> usize {
        self.top
    }

    pub(crate) fn rack_count(&self) -> usize {
        self.first_server.len() - 1
    }

    /// All racks.
    pub(crate) fn racks(&self) -> Racks {
        0..self.rack_count() as u32
    }

    /// How many groups of all levels there are.
    pub(crate) fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// The group of the highest level.
    pub(crate) fn whole(&self) -> u32 {
        self.groups.len() as u32 - 1
    }

    /// The groups of a level.
    pub(crate) fn groups_at(&self, level: usize) -> Range<u32> {
        self.first_group[level]..self.first_group[level + 1]
    }

    /// The rack of a server.
    pub(crate) fn rack_of(&self, server: ServerIndex) -> u32 {
        self.rack_of[server.usize()]
    }

    /// The servers of a group, those of a rack ascending.
    pub(crate) fn servers_of(&self, group: u32) -> &[ServerIndex] {
        let Racks { start, end } = self.racks_of(group);
        let [start, end] = [start, end].map(|rack| self.first_server[rack as usize] as usize);
        &self.servers[start..end]
    }

    /// The racks of a group.
    #[inline]
    pub(crate) fn racks_of(&self, group: u32) -> Racks {
        self.groups[group as usize].racks.clone()
    }

    /// The groups of the level below that make up a group above the racks.
    pub(crate) fn parts(&self, group: u32) -> Range<u32> {
        self.groups[group as usize].parts.clone()
    }

    /// The groups that a rack is in, from itself up to those right below the whole data centre.
    #[inline]
    pub(crate) fn path(&self, rack: u32) -> &[u32] {
        &self.paths[rack as usize * self.top..][..self.top]
    }

    /// The group that a rack is in at a level.
    pub(crate) fn ancestor(&self, level: usize, rack: u32) -> u32 {
        self.path(rack).get(level).copied().unwrap_or(self.whole())
    }

    /// ℓ of two racks: how many links up their paths meet.
    #[inline]
    pub(crate) fn level(&self, a: u32, b: u32) -> usize {
        let paths = self.path(a).iter().zip(self.path(b));
        paths.take_while(|(a, b)| a != b).count()
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

/// Each server, or `None` if the topology does not group them.
fn locate(levels: &impl Levels) -> Option<Vec<Located>> {
    let count = u32::try_from(levels.server_count()).expect("servers have 32-bit indices");
    // From the highest level down, so that sorting puts together what is together.
    let path = |server| {
        let group = |level| levels.group(server, Level::new(level));
        let below_top = 0..levels.max_level().get().max(1);
        below_top.rev().map(group).collect::<Option<Vec<_>>>()
    };
    let servers = (0..count).map(ServerIndex::new);
    servers
        .map(|server| Some((path(server)?, server)))
        .collect()
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
        let tables: [&[&str]; 6] = [
            &["a/x", "b/y", "a/z", "b/y", "a/x", "c/x"],
            &["r"],
            &["r", "r"],
            &["r", "r", "s"],
            &["a/b/c", "a/b/d", "a/e/c", "f/b/c", "a/b/c"],
            &["a/x/1", "b/x/1", "a/y/1", "b/x/2", "a/x/2", "a/x/1"],
        ];
        for paths in tables {
            let table =
                LocationTable::new((0..).map(ServerId::new).zip(paths.iter().copied())).unwrap();
            let tree = RackTree::new(&table).unwrap();
            assert_eq!(tree.rack_count(), table.rack_count(), "{paths:?}");
            assert!(tree.groups_at(tree.top()).eq([tree.whole()]));
            let servers: Vec<_> = (0..paths.len() as u32).map(ServerIndex::new).collect();
            let single = RackTree::of_servers(&table).unwrap();
            for (a, b) in (servers.iter()).flat_map(|a| servers.iter().map(move |b| (*a, *b))) {
                let wanted = usize::from(table.level(a, b).get());
                let level = |tree: &RackTree| tree.level(tree.rack_of(a), tree.rack_of(b));
                assert_eq!(level(&tree), wanted, "{paths:?}");
                assert_eq!(level(&single), wanted + usize::from(a != b), "{paths:?}");
            }
            assert_eq!(single.rack_count(), servers.len(), "{paths:?}");
            for rack in tree.racks() {
                let hosts = tree.servers_of(rack);
                assert!(hosts.is_sorted(), "{paths:?}");
                assert!(hosts.iter().all(|x| tree.rack_of(*x) == rack));
                let mut group = rack;
                for level in 1..=tree.top() {
                    let parent = tree.ancestor(level, rack);
                    assert!(tree.parts(parent).contains(&group), "{paths:?}");
                    assert!(tree.racks_of(parent).contains(&rack), "{paths:?}");
                    group = parent;
                }
            }
            for level in 1..=tree.top() {
                let parts = tree.groups_at(level).flat_map(|group| tree.parts(group));
                assert!(parts.eq(tree.groups_at(level - 1)), "{paths:?}");
            }
        }
    }
}
