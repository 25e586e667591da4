//! The first mapping: down the tree, each group's vertices are divided among the groups below it.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use rand::RngExt;
use rand_pcg::Pcg64Mcg;

use super::coarsen::{Hierarchy, Layer};
use super::graph::Graph;
use super::mapping::Mapping;
use super::overload;
use super::refine::Refinement;
use super::size::Size;
use super::tree::{Racks, Tree};

/// Below so many vertices a graph is divided as it is.
const SMALL: usize = 160;

/// So many first divisions are tried.
const TRIES: usize = 6;

/// A rack for each vertex. Racks may be overloaded where clusters are large.
pub(super) fn divide(graph: &Graph, tree: &Tree, random: &mut Pcg64Mcg) -> Vec<u32> {
    let mut division = Division {
        graph,
        tree,
        random,
        number: vec![u32::MAX; graph.len()],
        rack_of: vec![0; graph.len()],
    };
    division.among(graph.vertices().collect(), tree.racks());
    division.rack_of
}

struct Division<'a> {
    graph: &'a Graph,
    tree: &'a Tree,
    random: &'a mut Pcg64Mcg,
    /// Scratch of [`Graph::induced`].
    number: Vec<u32>,
    rack_of: Vec<u32>,
}

impl Division<'_> {
    /// Divides the vertices among the groups right below the one that `racks` are.
    fn among(&mut self, vertices: Vec<u32>, racks: Racks) {
        if racks.len() == 1 {
            for vertex in vertices {
                self.rack_of[vertex as usize] = racks.start;
            }
            return;
        }
        let children = self.tree.children(&racks);
        self.bisect(vertices, &children);
    }

    fn bisect(&mut self, vertices: Vec<u32>, children: &[Racks]) {
        if let [child] = children {
            return self.among(vertices, child.clone());
        }
        let (left, right) = children.split_at(children.len() / 2);
        let capacity = [left, right].map(|side| self.capacity(side));
        let racks = right[right.len() - 1].end - left[0].start;
        let graph = self.graph.induced(&vertices, &mut self.number);
        let sides = bisection(&graph, &limits(&graph, capacity, racks), self.random);
        drop(graph);
        let mut divided = [Vec::new(), Vec::new()];
        for (vertex, side) in vertices.into_iter().zip(sides) {
            divided[side as usize].push(vertex);
        }
        let [on_left, on_right] = divided;
        self.bisect(on_left, left);
        self.bisect(on_right, right);
    }

    fn capacity(&self, side: &[Racks]) -> Size {
        let racks = side[0].start as usize..side[side.len() - 1].end as usize;
        self.tree.capacities()[racks].iter().copied().sum()
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
        _ => (taken as f64 / room as f64).powf(1.0 - 1.0 / depth).min(1.0),
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

/// The side, 0 or 1, of each vertex: a small cut with no more on each side than its limit.
fn bisection(graph: &Graph, limits: &[Size; 2], random: &mut Pcg64Mcg) -> Vec<u32> {
    let tree = Tree::flat(limits.to_vec());
    let smaller = limits[0].slots.min(limits[1].slots);
    let largest = Size::new((smaller / 16).max(1), u64::MAX / 4);
    let hierarchy = Hierarchy::new(graph, SMALL, largest, None, random);
    let coarsest = hierarchy.layers.last().map_or(graph, |layer| &layer.graph);
    let sides = (0..TRIES)
        .map(|_| {
            let sides = grow(coarsest, limits, random);
            improve(coarsest, &tree, sides, 3, random)
        })
        .min_by(|a, b| (a.0.cmp(&b.0)).then(a.1.total_cmp(&b.1)))
        .map(|(_, _, sides)| sides);
    let sides = sides.expect("there is at least one try");
    project(graph, &hierarchy.layers, sides, |graph, sides| {
        improve(graph, &tree, sides, 2, random).2
    })
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
        mapped = improve(graph, fine.map(|cluster| mapped[*cluster as usize]).collect());
    }
    mapped
}

/// The mapping made better, with its overload and cost.
fn improve(
    graph: &Graph,
    tree: &Tree,
    sides: Vec<u32>,
    rounds: u32,
    random: &mut Pcg64Mcg,
) -> (u64, f64, Vec<u32>) {
    let mut mapping = Mapping::new(graph, tree, sides);
    overload::relieve(&mut mapping);
    Refinement::new(&mut mapping).run(rounds, random);
    (mapping.overload(), mapping.cost(), mapping.into_racks())
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
    let start = if graph.len() == 0 { 0 } else { random.random_range(0..graph.len() as u32) };
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
