//! Who talks to whom, as a graph that can be coarsened.

use crate::reference::size::Size;

/// An undirected graph: vertices are VMs or clusters of them, edges the traffic between them.
#[derive(Clone, Debug, Default)]
pub(super) struct Graph {
    /// `peers` and `rates` of vertex v are those from `starts[v]` to `starts[v + 1]`.
    starts: Vec<u32>,
    peers: Vec<u32>,
    rates: Vec<f64>,
    sizes: Vec<Size>,
}

impl Graph {
    pub(super) fn with_capacity(vertices: usize, ends: usize) -> Self {
        let mut graph = Self {
            starts: Vec::with_capacity(vertices + 1),
            peers: Vec::with_capacity(ends),
            rates: Vec::with_capacity(ends),
            sizes: Vec::with_capacity(vertices),
        };
        graph.starts.push(0);
        graph
    }

    /// Adds the next vertex. Each edge has to be given from both its ends, and none from a vertex to itself.
    pub(super) fn push(&mut self, size: Size, edges: impl IntoIterator<Item = (u32, f64)>) {
        for (peer, rate) in edges {
            self.peers.push(peer);
            self.rates.push(rate);
        }
        // A traffic matrix has no more ends than 32-bit numbers can count, and coarser graphs have fewer.
        self.starts.push(self.peers.len() as u32);
        self.sizes.push(size);
    }

    pub(super) fn len(&self) -> usize {
        self.sizes.len()
    }

    pub(super) fn vertices(&self) -> std::ops::Range<u32> {
        0..self.len() as u32
    }

    pub(super) fn size(&self, vertex: u32) -> Size {
        self.sizes[vertex as usize]
    }

    pub(super) fn total_size(&self) -> Size {
        self.sizes.iter().copied().sum()
    }

    pub(super) fn edges(
        &self,
        vertex: u32,
    ) -> impl ExactSizeIterator<Item = (u32, f64)> + Clone + '_ {
        let row = self.starts[vertex as usize] as usize..self.starts[vertex as usize + 1] as usize;
        self.peers[row.clone()]
            .iter()
            .copied()
            .zip(self.rates[row].iter().copied())
    }

    pub(super) fn end_count(&self) -> usize {
        self.peers.len()
    }

    /// The graph whose vertices are `clusters`: of vertex v, `cluster_of[v]`. Edges within a cluster vanish, others
    /// between the same two clusters become one.
    pub(super) fn contract(&self, cluster_of: &[u32], clusters: usize) -> Self {
        let members = Buckets::new(cluster_of, clusters);
        let mut coarse = Self::with_capacity(clusters, self.end_count() / 2);
        let mut place = vec![u32::MAX; clusters];
        let mut row: Vec<(u32, f64)> = Vec::new();
        for cluster in 0..clusters as u32 {
            row.clear();
            for member in members.of(cluster) {
                for (peer, rate) in self.edges(*member) {
                    let other = cluster_of[peer as usize];
                    if other == cluster {
                        continue;
                    }
                    match row.get_mut(place[other as usize] as usize) {
                        Some((_, sum)) => *sum += rate,
                        None => {
                            place[other as usize] = row.len() as u32;
                            row.push((other, rate));
                        }
                    }
                }
            }
            for (other, _) in &row {
                place[*other as usize] = u32::MAX;
            }
            let size = members.of(cluster).iter().map(|v| self.size(*v)).sum();
            coarse.push(size, row.iter().copied());
        }
        coarse
    }

    /// The graph of some of the vertices, in their order, and of the edges among them. `number` is scratch, of one
    /// entry per vertex of this graph, all `u32::MAX`, and is left as it was.
    pub(super) fn induced(&self, vertices: &[u32], number: &mut [u32]) -> Self {
        for (new, vertex) in (0..).zip(vertices) {
            number[*vertex as usize] = new;
        }
        let mut graph = Self::with_capacity(vertices.len(), 0);
        for vertex in vertices {
            let edges = self
                .edges(*vertex)
                .map(|(peer, rate)| (number[peer as usize], rate))
                .filter(|(peer, _)| *peer != u32::MAX);
            graph.push(self.size(*vertex), edges);
        }
        for vertex in vertices {
            number[*vertex as usize] = u32::MAX;
        }
        graph
    }
}

/// Things sorted by their numbers.
#[derive(Debug)]
pub(super) struct Buckets {
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Buckets {
    /// Items 0, 1, … sorted by their bucket, which is below `buckets`.
    pub(super) fn new(bucket_of: &[u32], buckets: usize) -> Self {
        let mut starts = vec![0u32; buckets + 1];
        for bucket in bucket_of {
            starts[*bucket as usize + 1] += 1;
        }
        for bucket in 0..buckets {
            starts[bucket + 1] += starts[bucket];
        }
        let mut next = starts.clone();
        let mut items = vec![0; bucket_of.len()];
        for (item, bucket) in (0..).zip(bucket_of) {
            items[next[*bucket as usize] as usize] = item;
            next[*bucket as usize] += 1;
        }
        Self { starts, items }
    }

    pub(super) fn of(&self, bucket: u32) -> &[u32] {
        let bucket = bucket as usize;
        &self.items[self.starts[bucket] as usize..self.starts[bucket + 1] as usize]
    }
}
