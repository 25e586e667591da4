//! The tree of groups of racks that a graph is mapped onto.

use s_core_model::{Level, Levels, LinkWeights, ServerIndex};

use super::size::Size;

/// The racks of a data centre, ordered so that those of a group follow each other, and the groups they are in.
#[derive(Clone, Debug)]
pub(in crate::reference) struct Tree {
    /// Row by row, for each rack the number of its group at levels 0 to `levels` − 1: the rack itself first.
    /// Groups of all levels are numbered together, without the whole data centre.
    path: Vec<u32>,
    /// How many levels there are below the whole data centre.
    levels: usize,
    /// What a byte per second is worth that stays within a group of the level: c_{l+1}.
    weights: Vec<f64>,
    capacity: Vec<Size>,
    /// The racks of each group.
    groups: Vec<Racks>,
}

/// Some of the racks in a row: a group, or the whole.
pub(in crate::reference) type Racks = std::ops::Range<u32>;

impl Tree {
    /// The tree of racks that are in the groups of `paths`, from their own level upwards, in order of their paths
    /// read from the end.
    fn new(paths: &[Vec<u32>], weights: Vec<f64>, capacity: Vec<Size>) -> Self {
        let levels = weights.len();
        let mut path = vec![0; paths.len() * levels];
        let mut groups: Vec<Racks> = Vec::new();
        for level in 0..levels {
            for (number, rack) in (0..).zip(0..paths.len()) {
                match groups.last_mut() {
                    Some(group) if rack > 0 && paths[rack][level..] == paths[rack - 1][level..] => {
                        group.end = number + 1;
                    }
                    _ => groups.push(number..number + 1),
                }
                path[rack * levels + level] = groups.len() as u32 - 1;
            }
        }
        Self {
            path,
            levels,
            weights,
            capacity,
            groups,
        }
    }

    /// Racks side by side with nothing above them.
    pub(in crate::reference) fn flat(capacity: Vec<Size>) -> Self {
        let paths: Vec<_> = (0..capacity.len() as u32).map(|rack| vec![rack]).collect();
        Self::new(&paths, vec![1.0], capacity)
    }

    /// The tree of a topology, and the rack of each server. `None` if the topology has no groups.
    pub(in crate::reference) fn of_topology<L: Levels>(
        topology: &L,
        weights: &LinkWeights,
        room: impl Fn(ServerIndex) -> Size,
    ) -> Option<(Self, Vec<u32>)> {
        let levels = Self::levels_of(topology);
        let mut located = Self::located(topology)?;
        located.sort_unstable();
        let mut paths: Vec<Vec<u32>> = Vec::new();
        let mut capacity: Vec<Size> = Vec::new();
        let mut rack_of = vec![0; located.len()];
        for (mut path, server) in located {
            path.reverse();
            if paths.last() != Some(&path) {
                paths.push(path);
                capacity.push(Size::default());
            }
            let rack = paths.len() - 1;
            rack_of[server as usize] = rack as u32;
            capacity[rack] += room(ServerIndex::new(server));
        }
        let weights = weights.iter().take(levels).collect();
        Some((Self::new(&paths, weights, capacity), rack_of))
    }

    /// The same with each server as a rack of its own, in a group of its rack to stay within which costs nothing.
    pub(in crate::reference) fn of_servers<L: Levels>(
        topology: &L,
        weights: &LinkWeights,
        room: impl Fn(ServerIndex) -> Size,
    ) -> Option<(Self, Vec<u32>)> {
        let levels = Self::levels_of(topology);
        let mut located = Self::located(topology)?;
        located.sort_unstable();
        let mut place_of = vec![0; located.len()];
        let mut capacity = Vec::with_capacity(located.len());
        let mut paths = Vec::with_capacity(located.len());
        for (place, (mut path, server)) in (0..).zip(located) {
            path.push(server);
            path.reverse();
            paths.push(path);
            place_of[server as usize] = place;
            capacity.push(room(ServerIndex::new(server)));
        }
        let weights = std::iter::once(0.0).chain(weights.iter().take(levels));
        Some((Self::new(&paths, weights.collect(), capacity), place_of))
    }

    fn levels_of<L: Levels>(topology: &L) -> usize {
        usize::from(topology.max_level().get()).max(1)
    }

    /// Each server with the groups that it is in, from the highest level down to the rack.
    fn located<L: Levels>(topology: &L) -> Option<Vec<(Vec<u32>, u32)>> {
        let levels = Self::levels_of(topology) as u8;
        let path = |server| {
            (0..levels)
                .rev()
                .map(|level| topology.group(ServerIndex::new(server), Level::new(level)))
                .collect::<Option<Vec<u32>>>()
        };
        (0..topology.server_count() as u32)
            .map(|server| Some((path(server)?, server)))
            .collect()
    }

    pub(in crate::reference) fn rack_count(&self) -> usize {
        self.capacity.len()
    }

    pub(in crate::reference) fn racks(&self) -> Racks {
        0..self.rack_count() as u32
    }

    /// How many groups of all levels there are, racks included and the whole not.
    pub(in crate::reference) fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// The racks of a group.
    pub(in crate::reference) fn racks_of(&self, group: u32) -> Racks {
        self.groups[group as usize].clone()
    }

    /// The groups that a rack is in, from itself upwards.
    pub(in crate::reference) fn path(&self, rack: u32) -> &[u32] {
        &self.path[rack as usize * self.levels..][..self.levels]
    }

    /// c_1, c_2, …: what a byte per second is worth that stays within a group of level 0, 1, ….
    pub(in crate::reference) fn weights(&self) -> &[f64] {
        &self.weights
    }

    pub(in crate::reference) fn capacity(&self, rack: u32) -> Size {
        self.capacity[rack as usize]
    }

    pub(in crate::reference) fn capacities(&self) -> &[Size] {
        &self.capacity
    }

    /// The groups right below the highest group that holds all of `racks`, or the racks themselves.
    pub(in crate::reference) fn children(&self, racks: &Racks) -> Vec<Racks> {
        let (first, last) = (self.path(racks.start), self.path(racks.end - 1));
        // The highest level at which they differ.
        let level = (0..self.levels)
            .rev()
            .find(|level| first[*level] != last[*level]);
        let Some(level) = level else {
            return vec![racks.clone()];
        };
        let group = |rack: u32| self.path(rack)[level];
        let mut children: Vec<Racks> = Vec::new();
        for rack in racks.clone() {
            match children.last_mut() {
                Some(child) if group(child.start) == group(rack) => child.end = rack + 1,
                _ => children.push(rack..rack + 1),
            }
        }
        children
    }

    /// The groups of a level, 0 for racks.
    pub(in crate::reference) fn groups_at(&self, level: usize) -> impl Iterator<Item = u32> + '_ {
        let first = self.path(0)[level];
        let last = self.path(self.rack_count() as u32 - 1)[level];
        first..=last
    }

    /// The level of two racks: how many links up their paths meet.
    pub(in crate::reference) fn level(&self, a: u32, b: u32) -> usize {
        let paths = self.path(a).iter().zip(self.path(b));
        paths.take_while(|(a, b)| a != b).count()
    }

    /// What a byte per second between these racks costs: Σ c_i up to their level.
    pub(in crate::reference) fn path_cost(&self, a: u32, b: u32) -> f64 {
        self.weights[..self.level(a, b)].iter().sum()
    }
}
