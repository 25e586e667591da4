//! Coarsening: vertices that talk to each other become one.

use rand_pcg::Pcg64Mcg;

use super::graph::Graph;
use crate::reference::size::Size;
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

    /// The coarsest graph; `finest` if it could not be coarsened.
    pub(super) fn coarsest<'a>(&'a self, finest: &'a Graph) -> &'a Graph {
        self.layers.last().map_or(finest, |layer| &layer.graph)
    }

    /// The racks of the coarsest graph's vertices, given those of the finest.
    pub(super) fn coarse_racks(&self, racks: Vec<u32>) -> Vec<u32> {
        self.layers.iter().fold(racks, |racks, layer| {
            coarse_racks(&layer.cluster_of, layer.graph.len(), &racks)
        })
    }
}

/// The rack of each cluster, from those of its members, which have all the same.
fn coarse_racks(cluster_of: &[u32], clusters: usize, racks: &[u32]) -> Vec<u32> {
    let mut coarse = vec![0; clusters];
    for (cluster, rack) in cluster_of.iter().zip(racks) {
        coarse[*cluster as usize] = *rack;
    }
    coarse
}

/// The cluster of each vertex, and how many there are: each vertex in random order, if it is still alone, joins the
/// neighbouring cluster that it talks to most for its size.
fn cluster(
    graph: &Graph,
    limit: Size,
    racks: Option<&[u32]>,
    random: &mut Pcg64Mcg,
) -> (Vec<u32>, usize) {
    // Clusters grow evenly: to a few vertices of average size in each coarsening.
    let average = (graph.total_size().slots).div_ceil(graph.len() as u64);
    let mut clustering = Clustering {
        graph,
        limit: Size::new(limit.slots.min(4 * average), limit.memory),
        racks,
        cluster_of: graph.vertices().collect(),
        size: graph.vertices().map(|vertex| graph.size(vertex)).collect(),
        is_joined: vec![false; graph.len()],
        rate_to: vec![0.0; graph.len()],
        near: Vec::new(),
    };
    let mut order: Vec<u32> = graph.vertices().collect();
    shuffle(&mut order, random);
    let mut lonely = None;
    for vertex in order {
        if clustering.is_joined[vertex as usize] {
            continue;
        }
        if graph.edges(vertex).len() > 0 {
            if let Some(cluster) = clustering.best(vertex) {
                clustering.join(vertex, cluster);
            }
        } else if racks.is_none() {
            // Those that talk to no other may as well be together.
            match lonely.filter(|cluster| clustering.has_room(vertex, *cluster)) {
                Some(cluster) => clustering.join(vertex, cluster),
                None => lonely = Some(vertex),
            }
        }
    }
    number(clustering.cluster_of)
}

struct Clustering<'a> {
    graph: &'a Graph,
    limit: Size,
    racks: Option<&'a [u32]>,
    /// A cluster has the number of its first vertex.
    cluster_of: Vec<u32>,
    size: Vec<Size>,
    /// Whether a vertex is in a cluster with others.
    is_joined: Vec<bool>,
    /// Scratch: the rate from the vertex that is looked at to each cluster, and the clusters where it is not zero.
    rate_to: Vec<f64>,
    near: Vec<u32>,
}

impl Clustering<'_> {
    fn has_room(&self, vertex: u32, cluster: u32) -> bool {
        self.size[cluster as usize].leaves_room(self.graph.size(vertex), self.limit)
    }

    fn join(&mut self, vertex: u32, cluster: u32) {
        self.cluster_of[vertex as usize] = cluster;
        self.size[cluster as usize] += self.graph.size(vertex);
        self.is_joined[vertex as usize] = true;
        self.is_joined[cluster as usize] = true;
    }

    fn best(&mut self, vertex: u32) -> Option<u32> {
        for (peer, rate) in self.graph.edges(vertex) {
            let cluster = self.cluster_of[peer as usize];
            if self.rate_to[cluster as usize] == 0.0 {
                self.near.push(cluster);
            }
            self.rate_to[cluster as usize] += rate;
        }
        let mut best = None;
        let mut best_score = 0.0;
        for cluster in std::mem::take(&mut self.near) {
            let rate = std::mem::take(&mut self.rate_to[cluster as usize]);
            let score = rate / self.size[cluster as usize].slots as f64;
            let is_near = |racks: &[u32]| racks[cluster as usize] == racks[vertex as usize];
            if score > best_score
                && self.racks.is_none_or(is_near)
                && self.has_room(vertex, cluster)
            {
                best = Some(cluster);
                best_score = score;
            }
        }
        best
    }
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
