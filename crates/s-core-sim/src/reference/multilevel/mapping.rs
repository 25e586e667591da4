//! A graph mapped onto the racks of a tree: what moves are worth, and moving.

use super::graph::Graph;
use super::room::Room;
use crate::rack_tree::Racks;
use crate::reference::size::Size;
use crate::reference::tree::Tree;

/// Which rack each vertex is in, and what follows from it.
#[derive(Debug)]
pub(super) struct Mapping<'a> {
    pub(super) graph: &'a Graph,
    pub(super) tree: &'a Tree,
    rack_of: Vec<u32>,
    load: Vec<Size>,
    room: Room,
    near: Near,
    looked_at: u64,
}

/// How much the vertex that is looked at talks to whom.
#[derive(Debug)]
struct Near {
    /// To each group of the tree.
    rate: Vec<f64>,
    /// The racks among them to which it talks at all.
    racks: Vec<u32>,
}

/// Somewhere to move a vertex.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Target {
    /// How much the cost falls; each pair counts once.
    pub(super) gain: f64,
    pub(super) rack: u32,
}

impl<'a> Mapping<'a> {
    pub(super) fn new(graph: &'a Graph, tree: &'a Tree, rack_of: Vec<u32>) -> Self {
        let mut load = vec![Size::default(); tree.groups.rack_count()];
        for (vertex, rack) in (0..).zip(&rack_of) {
            load[*rack as usize] += graph.size(vertex);
        }
        let free = load.iter().zip(tree.capacities());
        let room = Room::new(free.map(|(load, capacity)| capacity.less(*load).slots));
        Self {
            graph,
            tree,
            rack_of,
            load,
            room,
            near: Near {
                rate: vec![0.0; tree.groups.group_count()],
                racks: Vec::new(),
            },
            looked_at: 0,
        }
    }

    /// How many edges have been looked at for the worth of moves.
    pub(super) fn looked_at(&self) -> u64 {
        self.looked_at
    }

    pub(super) fn rack(&self, vertex: u32) -> u32 {
        self.rack_of[vertex as usize]
    }

    pub(super) fn into_racks(self) -> Vec<u32> {
        self.rack_of
    }

    pub(super) fn has_room(&self, rack: u32, size: Size) -> bool {
        self.load[rack as usize].leaves_room(size, self.tree.capacity(rack))
    }

    pub(super) fn is_overloaded(&self, rack: u32) -> bool {
        self.load[rack as usize].exceeds(self.tree.capacity(rack))
    }

    /// How many slots are taken beyond what racks have.
    pub(super) fn overload(&self) -> u64 {
        (self.load.iter().zip(self.tree.capacities()))
            .map(|(load, capacity)| load.less(*capacity).slots)
            .sum()
    }

    /// Half of Eq. 3.1. O(edges × levels).
    pub(super) fn cost(&self) -> f64 {
        let edges = self.graph.vertices().flat_map(|vertex| {
            let later = self
                .graph
                .edges(vertex)
                .filter(move |(peer, _)| *peer > vertex);
            later.map(move |(peer, rate)| (vertex, peer, rate))
        });
        edges
            .map(|(a, b, rate)| rate * self.tree.path_cost(self.rack(a), self.rack(b)))
            .sum()
    }

    pub(super) fn relocate(&mut self, vertex: u32, rack: u32) {
        let size = self.graph.size(vertex);
        let source = std::mem::replace(&mut self.rack_of[vertex as usize], rack);
        self.load[source as usize] -= size;
        self.load[rack as usize] += size;
        for rack in [source, rack] {
            let free = self.tree.capacity(rack).less(self.load[rack as usize]);
            self.room.set(rack, free.slots);
        }
    }

    /// The best rack with room for a vertex, its own aside, among those of its peers or as near to the best of them as
    /// there is room. O(peers × levels + log racks).
    pub(super) fn target(&mut self, vertex: u32) -> Option<Target> {
        self.look(vertex);
        let own = self.rack(vertex);
        let size = self.graph.size(vertex);
        let stay = self.worth(own);
        let mut free: Option<Target> = None;
        let mut full: Option<Target> = None;
        for rack in self.near.racks.iter().copied().filter(|rack| *rack != own) {
            let target = Target {
                gain: self.worth(rack) - stay,
                rack,
            };
            let best = match self.has_room(rack, size) {
                true => &mut free,
                false => &mut full,
            };
            if best.is_none_or(|best| target.gain > best.gain) {
                *best = Some(target);
            }
        }
        if let Some(full) = full
            && free.is_none_or(|free| full.gain > free.gain)
            && let Some(rack) = self.room_near(full.rack, own, size)
        {
            let gain = self.worth(rack) - stay;
            if free.is_none_or(|free| gain > free.gain) {
                free = Some(Target { gain, rack });
            }
        }
        self.forget();
        free
    }

    /// The best rack for a vertex among those of its peers that have no room for it, if it gains.
    pub(super) fn full_target(&mut self, vertex: u32) -> Option<Target> {
        self.look(vertex);
        let own = self.rack(vertex);
        let size = self.graph.size(vertex);
        let stay = self.worth(own);
        let mut best: Option<Target> = None;
        for rack in self.near.racks.iter().copied().filter(|rack| *rack != own) {
            let gain = self.worth(rack) - stay;
            if gain > best.map_or(0.0, |best| best.gain) && !self.has_room(rack, size) {
                best = Some(Target { gain, rack });
            }
        }
        self.forget();
        best
    }

    /// Whether there is room for two vertices in each other's racks once they have left their own.
    pub(super) fn can_exchange(&self, a: u32, b: u32) -> bool {
        let fits = |vertex: u32, other: u32| {
            let rack = self.rack(other);
            let without = self.load[rack as usize].less(self.graph.size(other));
            without.leaves_room(self.graph.size(vertex), self.tree.capacity(rack))
        };
        fits(a, b) && fits(b, a)
    }

    /// How much the cost falls if a vertex and one that is in its target rack change places.
    pub(super) fn exchange_gain(&mut self, vertex: u32, wanted: Target, partner: u32) -> f64 {
        let own = self.rack(vertex);
        let between = self
            .graph
            .edges(vertex)
            .filter(|(peer, _)| *peer == partner);
        let rate: f64 = between.map(|(_, rate)| rate).sum();
        // Each seems to come to where the other is, but they stay apart.
        let apart = self.tree.path_cost(own, wanted.rack);
        wanted.gain + self.gain(partner, own) - 2.0 * rate * apart
    }

    pub(super) fn exchange(&mut self, a: u32, b: u32) {
        let (rack_a, rack_b) = (self.rack(a), self.rack(b));
        self.relocate(a, rack_b);
        self.relocate(b, rack_a);
    }

    /// A rack with room in the lowest group of `rack` that has one, other than `own`.
    fn room_near(&self, rack: u32, own: u32, size: Size) -> Option<u32> {
        let groups = self.tree.groups.path(rack)[1..].iter();
        groups
            .filter_map(|group| self.room.roomiest(&self.tree.groups.racks_of(*group)))
            .find(|near| *near != own && self.has_room(*near, size))
    }

    /// How much the cost falls if a vertex moves to a rack.
    pub(super) fn gain(&mut self, vertex: u32, rack: u32) -> f64 {
        self.look(vertex);
        let gain = self.worth(rack) - self.worth(self.rack(vertex));
        self.forget();
        gain
    }

    /// The rack with the most free slots among `racks`.
    pub(super) fn roomiest(&self, racks: &Racks) -> Option<u32> {
        self.room.roomiest(racks)
    }

    fn look(&mut self, vertex: u32) {
        let Near { rate, racks } = &mut self.near;
        self.looked_at += self.graph.edges(vertex).len() as u64;
        for (peer, flow) in self.graph.edges(vertex) {
            let rack = self.rack_of[peer as usize];
            let path = self.tree.groups.path(rack);
            if rate[path[0] as usize] == 0.0 {
                racks.push(rack);
            }
            for group in path {
                rate[*group as usize] += flow;
            }
        }
    }

    fn forget(&mut self) {
        for rack in self.near.racks.drain(..) {
            for group in self.tree.groups.path(rack) {
                self.near.rate[*group as usize] = 0.0;
            }
        }
    }

    /// What the vertex that is looked at saves in a rack, compared with being apart from all peers.
    fn worth(&self, rack: u32) -> f64 {
        let weights = self.tree.weights().iter();
        (weights.zip(self.tree.groups.path(rack)))
            .map(|(weight, group)| weight * self.near.rate[*group as usize])
            .sum()
    }
}
