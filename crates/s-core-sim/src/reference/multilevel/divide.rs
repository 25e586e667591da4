//! The first mapping: down the tree, each group's vertices are divided among the groups below it.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::Range;

use rand::RngExt;
use rand_pcg::Pcg64Mcg;
use s_core_model::ServerIndex;

use super::coarsen::{Hierarchy, Layer};
use super::graph::Graph;
use super::search::Refined;
use crate::rack_tree::{RackTree, Racks};
use crate::reference::size::Size;
use crate::reference::tree::Tree;
use crate::strategy::Watch;

/// Below so many vertices a graph is divided as it is.
const SMALL: usize = 160;

/// The largest cluster takes this part of the smaller side.
const CLUSTERS_PER_SIDE: u64 = 16;

/// So many first divisions are tried.
const TRIES: usize = 6;

/// A rack for each vertex, and how many edges were looked at. Racks may be overloaded where clusters are large. `None`
/// if it is stopped.
pub(super) fn divide(
    graph: &Graph,
    tree: &Tree,
    watch: &dyn Watch,
    random: &mut Pcg64Mcg,
) -> Option<(Vec<u32>, u64)> {
    let mut division = Division {
        graph,
        tree,
        watch,
        random,
        looks: 0,
        number: vec![u32::MAX; graph.len()],
        rack_of: vec![0; graph.len()],
    };
    division.among(graph.vertices().collect(), tree.groups.whole())?;
    Some((division.rack_of, division.looks))
}

struct Division<'a> {
    graph: &'a Graph,
    tree: &'a Tree,
    watch: &'a dyn Watch,
    random: &'a mut Pcg64Mcg,
    looks: u64,
    /// Scratch of [`Graph::induced`].
    number: Vec<u32>,
    rack_of: Vec<u32>,
}

impl Division<'_> {
    /// Divides the vertices among the parts of a group.
    fn among(&mut self, vertices: Vec<u32>, group: u32) -> Option<()> {
        let racks = self.tree.groups.racks_of(group);
        if racks.len() == 1 {
            for vertex in vertices {
                self.rack_of[vertex as usize] = racks.start;
            }
            return Some(());
        }
        self.bisect(vertices, self.tree.groups.parts(group))
    }

    fn bisect(&mut self, vertices: Vec<u32>, parts: Range<u32>) -> Option<()> {
        if parts.len() == 1 {
            return self.among(vertices, parts.start);
        }
        if self.watch.is_stopped() {
            return None;
        }
        let middle = parts.start + parts.len() as u32 / 2;
        let sides = [parts.start..middle, middle..parts.end].map(|side| self.racks(side));
        let racks = sides[1].end - sides[0].start;
        let capacity = sides.map(|racks| racks.map(|rack| self.tree.capacity(rack)).sum());
        let graph = self.graph.induced(&vertices, &mut self.number);
        let limits = limits(&graph, capacity, racks);
        let (sides, looks) = bisection(&graph, &limits, self.random);
        self.looks += looks;
        drop(graph);
        let mut divided = [Vec::new(), Vec::new()];
        for (vertex, side) in vertices.into_iter().zip(sides) {
            divided[side as usize].push(vertex);
        }
        let [on_left, on_right] = divided;
        self.bisect(on_left, parts.start..middle)?;
        self.bisect(on_right, middle..parts.end)
    }

    /// The racks of groups in a row.
    fn racks(&self, groups: Range<u32>) -> Racks {
        let of = |group| self.tree.groups.racks_of(group);
        of(groups.start).start..of(groups.end - 1).end
    }
}

/// How much each of the two sides may take, so that there is room to spare for the divisions to come.
fn limits(graph: &Graph, capacity: [Size; 2], racks: u32) -> [Size; 2] {
    let total = graph.total_size();
    let whole: Size = capacity.into_iter().sum();
    let depth = f64::from(racks.next_power_of_two().ilog2());
    // Of the room to spare, a part of 1 in `depth`; the rest is for the divisions below.
    let share = |taken: u64, room: u64| match room {
        0 => 1.0,
        _ => (taken as f64 / room as f64)
            .powf(1.0 - 1.0 / depth)
            .min(1.0),
    };
    let slots = share(total.slots, whole.slots);
    let memory = share(total.memory, whole.memory);
    capacity.map(|side| {
        Size::new(
            (side.slots as f64 * slots).ceil() as u64,
            (side.memory as f64 * memory).ceil() as u64,
        )
    })
}

/// The side, 0 or 1, of each vertex: a small cut with no more on each side than its limit; and how many edges were
/// looked at.
fn bisection(graph: &Graph, limits: &[Size; 2], random: &mut Pcg64Mcg) -> (Vec<u32>, u64) {
    let room = |side: ServerIndex| limits[side.usize()];
    let tree = Tree::new(RackTree::flat(2), std::iter::once(1.0), room);
    let smaller = limits[0].slots.min(limits[1].slots);
    let largest = Size::new((smaller / CLUSTERS_PER_SIDE).max(1), u64::MAX);
    let hierarchy = Hierarchy::new(graph, SMALL, largest, None, random);
    let coarsest = hierarchy.coarsest(graph);
    let mut looks = 0;
    let mut best: Option<Refined> = None;
    for _ in 0..TRIES {
        let sides = grow(coarsest, limits, random);
        let refined = Refined::new(coarsest, &tree, sides, 3, random);
        looks += refined.looks;
        if best
            .as_ref()
            .is_none_or(|best| refined.is_better_than(best))
        {
            best = Some(refined);
        }
    }
    let best = best.expect("there is at least one try");
    let sides = project(graph, &hierarchy.layers, best.racks, |graph, sides| {
        let refined = Refined::new(graph, &tree, sides, 2, random);
        looks += refined.looks;
        refined.racks
    });
    (sides, looks)
}

/// Goes from the coarsest graph back to the finest and lets `improve` have a go at each.
pub(super) fn project(
    finest: &Graph,
    layers: &[Layer],
    mut mapped: Vec<u32>,
    mut improve: impl FnMut(&Graph, Vec<u32>) -> Vec<u32>,
) -> Vec<u32> {
    for (level, layer) in layers.iter().enumerate().rev() {
        let graph = match level {
            0 => finest,
            _ => &layers[level - 1].graph,
        };
        let fine = layer.cluster_of.iter();
        mapped = improve(
            graph,
            fine.map(|cluster| mapped[*cluster as usize]).collect(),
        );
    }
    mapped
}

#[derive(PartialEq)]
struct Near(f64, u32);

impl Eq for Near {}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0).then(other.1.cmp(&self.1))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Side 0 grows from a random vertex, by the vertex that talks to it most for what it talks to others, until it has
/// its share.
fn grow(graph: &Graph, limits: &[Size; 2], random: &mut Pcg64Mcg) -> Vec<u32> {
    let total = graph.total_size().slots as f64;
    let whole = (limits[0].slots + limits[1].slots) as f64;
    let wanted = total * limits[0].slots as f64 / whole.max(1.0);
    let mut sides = vec![1; graph.len()];
    let mut inside = vec![0.0; graph.len()];
    let mut queue = BinaryHeap::new();
    let mut taken = Size::default();
    let start = if graph.len() == 0 {
        0
    } else {
        random.random_range(0..graph.len() as u32)
    };
    let seeds = (start..graph.len() as u32).chain(0..start);
    for seed in seeds {
        queue.push(Near(0.0, seed));
        while let Some(Near(_, vertex)) = queue.pop() {
            let size = graph.size(vertex);
            let is_over = taken.slots as f64 + 0.5 * size.slots as f64 > wanted;
            if sides[vertex as usize] == 0 || is_over || !taken.leaves_room(size, limits[0]) {
                continue;
            }
            sides[vertex as usize] = 0;
            taken += size;
            for (peer, rate) in graph.edges(vertex) {
                if sides[peer as usize] == 1 {
                    inside[peer as usize] += rate;
                    let all: f64 = graph.edges(peer).map(|(_, rate)| rate).sum();
                    queue.push(Near(2.0 * inside[peer as usize] - all, peer));
                }
            }
        }
        if taken.slots as f64 >= wanted {
            break;
        }
    }
    sides
}
