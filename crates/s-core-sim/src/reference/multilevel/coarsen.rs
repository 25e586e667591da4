//! Coarsening: vertices that talk to each other become one.

use rand_pcg::Pcg64Mcg;

use super::graph::Graph;
use super::size::Size;
use crate::traffic::shuffle;

/// Graphs from fine to coarse, each with the cluster of every vertex of the one before.
#[derive(Debug, Default)]
pub(super) struct Hierarchy {
    pub(super) layers: Vec<Layer>,
}

/// A coarser graph.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) graph: Graph,
    /// Of each vertex of the next finer graph, the vertex of this one that it is part of.
    pub(super) cluster_of: Vec<u32>,
}

impl Hierarchy {
    /// Coarsens until no more than `enough` vertices are left, or hardly any can be joined.
    ///
    /// No cluster becomes larger than `limit`. With `racks`, only vertices of the same rack are joined.
    pub(super) fn new(
        graph: &Graph,
        enough: usize,
        limit: Size,
        racks: Option<&[u32]>,
        random: &mut Pcg64Mcg,
    ) -> Self {
        let mut layers: Vec<Layer> = Vec::new();
        let mut racks = racks.map(<[u32]>::to_vec);
        loop {
            let finest = layers.last().map_or(graph, |layer| &layer.graph);
            if finest.len() <= enough {
                break;
            }
            let (cluster_of, clusters) = cluster(finest, limit, racks.as_deref(), random);
            if clusters as f64 > 0.95 * finest.len() as f64 {
                break;
            }
            if let Some(racks) = &mut racks {
                *racks = coarse_racks(&cluster_of, clusters, racks);
            }
            let graph = finest.contract(&cluster_of, clusters);
            layers.push(Layer { graph, cluster_of });
        }
        Self { layers }
    }
}

/// The rack of each cluster, from those of its members, which have all the same.
pub(super) fn coarse_racks(cluster_of: &[u32], clusters: usize, racks: &[u32]) -> Vec<u32> {
    let mut coarse = vec![0; clusters];
    for (cluster, rack) in cluster_of.iter().zip(racks) {
        coarse[*cluster as usize] = *rack;
    }
    coarse
}

/// The cluster of each vertex, and how many there are: each vertex in random order, if it is still alone, joins the
/// neighbouring cluster that it talks to most for their sizes.
fn cluster(
    graph: &Graph,
    limit: Size,
    racks: Option<&[u32]>,
    random: &mut Pcg64Mcg,
) -> (Vec<u32>, usize) {
    let count = graph.len();
    // Clusters grow evenly: a few vertices of average size in each coarsening.
    let average = graph.total_size().slots.div_ceil(count as u64);
    let limit = Size::new(limit.slots.min(4 * average), limit.memory);
    let mut cluster_of: Vec<u32> = graph.vertices().collect();
    let mut size: Vec<Size> = graph.vertices().map(|v| graph.size(v)).collect();
    let mut is_joined = vec![false; count];
    let mut rate_to = vec![0.0; count];
    let mut near: Vec<u32> = Vec::new();
    let mut order: Vec<u32> = graph.vertices().collect();
    shuffle(&mut order, random);
    let mut lonely: Option<u32> = None;
    for vertex in order {
        if is_joined[vertex as usize] {
            continue;
        }
        for (peer, rate) in graph.edges(vertex) {
            let cluster = cluster_of[peer as usize];
            if rate_to[cluster as usize] == 0.0 {
                near.push(cluster);
            }
            rate_to[cluster as usize] += rate;
        }
        let own = graph.size(vertex);
        let mut best = None;
        let mut best_score = 0.0;
        for cluster in near.drain(..) {
            let rate = std::mem::take(&mut rate_to[cluster as usize]);
            let score = rate / (size[cluster as usize].slots as f64);
            let together = racks.is_none_or(|r| r[cluster as usize] == r[vertex as usize]);
            if score > best_score && together && size[cluster as usize].leaves_room(own, limit) {
                best = Some(cluster);
                best_score = score;
            }
        }
        if best.is_none() && racks.is_none() && graph.edges(vertex).len() == 0 {
            // Those who talk to nobody may as well be together.
            best = lonely.filter(|cluster| size[*cluster as usize].leaves_room(own, limit));
            lonely = best.or(Some(vertex));
        }
        if let Some(cluster) = best {
            cluster_of[vertex as usize] = cluster;
            size[cluster as usize] += own;
            is_joined[vertex as usize] = true;
            is_joined[cluster as usize] = true;
        }
    }
    number(cluster_of)
}

/// Numbers clusters without gaps, in the order of their first vertices.
fn number(mut cluster_of: Vec<u32>) -> (Vec<u32>, usize) {
    let mut numbers = vec![u32::MAX; cluster_of.len()];
    let mut next = 0;
    for cluster in &mut cluster_of {
        let number = &mut numbers[*cluster as usize];
        if *number == u32::MAX {
            *number = next;
            next += 1;
        }
        *cluster = *number;
    }
    (cluster_of, next as usize)
}
