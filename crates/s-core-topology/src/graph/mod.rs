//! Levels in any graph of servers and switches that have tiers.

mod attachment;
mod search;

use alloc::boxed::Box;
use alloc::vec::Vec;

use petgraph::Undirected;
use petgraph::visit::{
    EdgeRef, GraphProp, IntoEdgeReferences, IntoNodeReferences, NodeIndexable, NodeRef,
};
use s_core_model::{Level, Levels, ServerId, ServerIndex};

use crate::MAX_LEVELS;
use attachment::Attachments;

/// What a node of a data-centre graph is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// A server, with the address of its control domain. It forwards no traffic of others.
    Server(ServerId),
    /// A switch or router and its tier: 1 at the top of a rack, rising towards the core.
    Switch(u8),
}

/// The levels between servers of any data-centre network, given as a graph.
///
/// The path between two servers is a shortest one by the number of links and, among these, one
/// whose highest tier is lowest. The level is that tier less 1: two servers under one top-of-rack
/// switch (tier 1) are at level 0, over a switch of tier 2 they are at level 1, and so on. A server
/// may be attached to several switches, and to switches of any tier.
///
/// All paths are found at construction, between sets of switches with servers attached to exactly these
/// (in most networks, racks); a look-up reads one entry of a matrix. With r such sets, n switches and m
/// links between switches, construction takes O(r · (n + m) + r² · levels) and the matrix r² bytes.
///
/// ```
/// use petgraph::graph::UnGraph;
/// use s_core_model::{Level, Levels, ServerId};
/// use s_core_topology::{Tier, TieredGraph};
///
/// // Two racks under one aggregate switch.
/// let mut graph = UnGraph::<Tier, ()>::default();
/// let aggregate = graph.add_node(Tier::Switch(2));
/// for rack in 0..2 {
///     let top_of_rack = graph.add_node(Tier::Switch(1));
///     graph.add_edge(top_of_rack, aggregate, ());
///     for server in 0..3 {
///         let server = graph.add_node(Tier::Server(ServerId::new(10 * rack + server)));
///         graph.add_edge(server, top_of_rack, ());
///     }
/// }
/// let levels = TieredGraph::new(&graph)?;
/// let [x, y, z] = [0, 2, 10].map(|id| levels.index_of(ServerId::new(id)).unwrap());
/// assert_eq!(levels.level(x, y), Level::ZERO);
/// assert_eq!(levels.level(x, z), Level::new(1));
/// assert!(levels.is_hierarchy());
/// # Ok::<(), s_core_topology::GraphError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TieredGraph {
    /// Ascending.
    servers: Vec<ServerId>,
    /// The set of switches that each server is attached to, as a row number of `levels`.
    attachment: Vec<u16>,
    /// Row by row, the level between servers of two attachments; on the diagonal, between two
    /// different servers of one.
    levels: Box<[u8]>,
    /// The number of attachments, which is the side of the square `levels`.
    attachments: usize,
    max_level: u8,
    /// If the graph is a hierarchy, attachment by attachment the number of its group at levels 0 to `max_level` − 1.
    groups: Option<Box<[u32]>>,
}

impl TieredGraph {
    /// The most different sets of switches that servers may be attached to; the matrix then takes 64 MiB.
    pub const MAX_ATTACHMENTS: usize = 8192;

    /// Finds the levels in an undirected graph whose node weights are [`Tier`]s.
    ///
    /// Give a reference to a `petgraph` graph of any kind and edge weight. Parallel edges count as
    /// one. A graph with richer nodes becomes one of tiers by `petgraph`'s `map`.
    ///
    /// # Errors
    ///
    /// [`GraphError`] if there is no server, a server comes twice, is attached to no switch or
    /// to another server, or cannot reach the others over switches; if a switch's tier is 0 or
    /// above [`MAX_LEVELS`] + 1; or if there are more than
    /// [`MAX_ATTACHMENTS`](Self::MAX_ATTACHMENTS) different sets of switches with servers.
    pub fn new<G>(graph: G) -> Result<Self, GraphError>
    where
        G: IntoNodeReferences<NodeWeight = Tier>
            + IntoEdgeReferences
            + NodeIndexable
            + GraphProp<EdgeType = Undirected>,
    {
        let mut tiers = alloc::vec![None; graph.node_bound()];
        for node in graph.node_references() {
            tiers[graph.to_index(node.id())] = Some(*node.weight());
        }
        let links: Vec<_> = graph
            .edge_references()
            .map(|edge| (graph.to_index(edge.source()), graph.to_index(edge.target())))
            .collect();
        let network = Attachments::new(&tiers, &links)?;
        let levels = search::levels(&network)?;
        let max_level = levels.iter().copied().max().unwrap_or(0);
        let attachments = network.sets.len();
        Ok(Self {
            groups: groups(&levels, attachments, max_level),
            servers: network.servers,
            attachment: network.attachment,
            levels,
            attachments,
            max_level,
        })
    }

    /// Whether the servers at most a level apart form groups at every level, so that
    /// [`group`](Levels::group) gives numbers. So it is in every tree, fat tree and leaf-spine network.
    pub fn is_hierarchy(&self) -> bool {
        self.groups.is_some()
    }

    fn level_between(&self, a: u16, b: u16) -> u8 {
        self.levels[usize::from(a) * self.attachments + usize::from(b)]
    }
}

/// The groups of attachments, if being at most a level apart is transitive at every level.
///
/// Attachments are in one group exactly if their rows agree on what is at most that level away.
/// One whose own servers are further apart has no group; its servers are alone.
fn groups(levels: &[u8], attachments: usize, max_level: u8) -> Option<Box<[u32]>> {
    let columns = usize::from(max_level);
    let row = |attachment: usize| &levels[attachment * attachments..][..attachments];
    let mut groups = alloc::vec![0; attachments * columns];
    for level in 0..max_level {
        // The first attachment of each group met so far, by the first attachment that its row reaches.
        let mut first = alloc::vec![None; attachments];
        for attachment in 0..attachments {
            let near = |other: &u8| *other <= level;
            let Some(reached) = row(attachment).iter().position(near) else {
                continue;
            };
            let representative = *first[reached].get_or_insert(attachment);
            let same = |(x, y)| near(x) == near(y);
            if !row(attachment).iter().zip(row(representative)).all(same) {
                return None;
            }
            groups[attachment * columns + usize::from(level)] =
                u32::try_from(representative).expect("at most MAX_ATTACHMENTS");
        }
    }
    Some(groups.into_boxed_slice())
}

impl Levels for TieredGraph {
    fn server_count(&self) -> usize {
        self.servers.len()
    }

    fn max_level(&self) -> Level {
        Level::new(self.max_level)
    }

    fn level(&self, a: ServerIndex, b: ServerIndex) -> Level {
        if a == b {
            return Level::ZERO;
        }
        let (a, b) = (self.attachment[a.usize()], self.attachment[b.usize()]);
        Level::new(self.level_between(a, b))
    }

    fn group(&self, server: ServerIndex, level: Level) -> Option<u32> {
        let groups = self.groups.as_ref()?;
        if level.get() >= self.max_level {
            return Some(0);
        }
        let attachment = self.attachment[server.usize()];
        if self.level_between(attachment, attachment) > level.get() {
            // Alone: a number that no attachment has.
            return Some(Self::MAX_ATTACHMENTS as u32 + server.get());
        }
        let row = usize::from(attachment) * usize::from(self.max_level);
        Some(groups[row + usize::from(level.get())])
    }

    fn index_of(&self, server: ServerId) -> Option<ServerIndex> {
        let index = self.servers.binary_search(&server).ok()?;
        u32::try_from(index).ok().map(ServerIndex::new)
    }

    fn server_at(&self, index: ServerIndex) -> ServerId {
        self.servers[index.usize()]
    }
}

/// A graph that does not say how the traffic of any two servers travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// The graph has no server.
    #[error("the graph has no server; a data centre has at least one")]
    NoServers,
    /// Two nodes are the same server.
    #[error("server {0} is two nodes of the graph; make it one with several links")]
    DuplicateServer(ServerId),
    /// The graph has more servers than [`MAX_SERVERS`](crate::MAX_SERVERS).
    #[error("the graph has more than {} servers", crate::MAX_SERVERS)]
    TooManyServers,
    /// A server has no link to a switch.
    #[error("server {0} is attached to no switch; link it to one")]
    Unattached(ServerId),
    /// Two servers are linked directly, or one with itself.
    #[error(
        "servers {0} and {1} are linked directly; servers forward nothing, link them to a switch"
    )]
    ServerLink(ServerId, ServerId),
    /// A switch has tier 0, or one beyond [`MAX_LEVELS`] + 1.
    #[error(
        "the switch at node {node} has tier {tier}; tiers are 1 (top of rack) to {}",
        MAX_LEVELS + 1
    )]
    Tier {
        /// The index of the node in its graph.
        node: usize,
        /// Its tier.
        tier: u8,
    },
    /// Servers are attached to more different sets of switches than
    /// [`TieredGraph::MAX_ATTACHMENTS`].
    #[error(
        "servers are attached to more than {} different sets of switches; use a LocationTable",
        TieredGraph::MAX_ATTACHMENTS
    )]
    TooManyAttachments,
    /// No path over switches connects two servers.
    #[error("no path connects servers {0} and {1}; link their switches or describe them apart")]
    Disconnected(ServerId, ServerId),
}
