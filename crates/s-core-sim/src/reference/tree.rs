//! The tree that a graph is mapped onto.

use s_core_model::ServerIndex;

use super::size::Size;
use crate::rack_tree::RackTree;

/// Racks, what each has room for, and what it costs to be apart.
#[derive(Clone, Debug)]
pub(in crate::reference) struct Tree {
    pub(in crate::reference) groups: RackTree,
    weights: Vec<f64>,
    capacity: Vec<Size>,
}

impl Tree {
    /// A tree whose links of level 1, 2, … have these weights, at least one per level, and whose servers have this room.
    pub(in crate::reference) fn new(
        groups: RackTree,
        weights: impl Iterator<Item = f64>,
        room: impl Fn(ServerIndex) -> Size,
    ) -> Self {
        let room = |rack| groups.servers_of(rack).iter().copied().map(&room).sum();
        Self {
            weights: weights.take(groups.top()).collect(),
            capacity: groups.racks().map(room).collect(),
            groups,
        }
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

    /// What a byte per second between these racks costs: Σ c_i up to their level.
    pub(in crate::reference) fn path_cost(&self, a: u32, b: u32) -> f64 {
        self.weights[..self.groups.level(a, b)].iter().sum()
    }
}
