//! Graphs of the regular topologies against their closed forms, and graphs like no tree.

use crate::common::{check_promises, check_same, servers};
use petgraph::graph::{NodeIndex, UnGraph};
use proptest::prelude::*;
use s_core_model::{Level, Levels, ServerId};
use s_core_topology::{CanonicalTree, FatTree, GraphError, LeafSpine, Tier, TieredGraph};

type Graph = UnGraph<Tier, ()>;

fn switches(graph: &mut Graph, tier: u8, count: u32) -> Vec<NodeIndex> {
    (0..count)
        .map(|_| graph.add_node(Tier::Switch(tier)))
        .collect()
}

/// Attaches the servers of `levels`, `per_rack` under each of `racks` in turn.
fn attach(graph: &mut Graph, levels: &impl Levels, racks: &[NodeIndex], per_rack: u32) {
    for server in servers(levels) {
        let node = graph.add_node(Tier::Server(levels.server_at(server)));
        graph.add_edge(node, racks[(server.get() / per_rack) as usize], ());
    }
}

/// Fig. 3.1 with `cores` parallel switches at the top.
fn tree_graph(fan_outs: &[u32], per_rack: u32, cores: u32) -> Graph {
    let mut graph = Graph::default();
    let top = u8::try_from(fan_outs.len()).unwrap() + 1;
    let mut above: Vec<Vec<NodeIndex>> = vec![switches(&mut graph, top, cores)];
    for (tier, &fan_out) in (1..top).rev().zip(fan_outs) {
        let mut level = Vec::new();
        for parents in &above {
            for node in switches(&mut graph, tier, fan_out) {
                for &parent in parents {
                    graph.add_edge(node, parent, ());
                }
                level.push(vec![node]);
            }
        }
        above = level;
    }
    let racks: Vec<_> = above.concat();
    let tree = CanonicalTree::new(fan_outs, per_rack).unwrap();
    attach(&mut graph, &tree, &racks, per_rack);
    graph
}

/// k pods with k/2 edge and k/2 aggregation switches each; aggregation switch i of every pod is
/// linked to cores i·k/2 to (i+1)·k/2.
fn fat_tree_graph(k: u32) -> Graph {
    let mut graph = Graph::default();
    let half = k / 2;
    let cores = switches(&mut graph, 3, half * half);
    let mut edges = Vec::new();
    for _ in 0..k {
        let aggregation = switches(&mut graph, 2, half);
        for (switch, cores) in aggregation.iter().zip(cores.chunks(half as usize)) {
            for core in cores {
                graph.add_edge(*core, *switch, ());
            }
        }
        for edge in switches(&mut graph, 1, half) {
            for switch in &aggregation {
                graph.add_edge(edge, *switch, ());
            }
            edges.push(edge);
        }
    }
    attach(&mut graph, &FatTree::new(k).unwrap(), &edges, half);
    graph
}

#[test]
fn a_fat_trees_graph_is_the_fat_tree() {
    for k in [2, 4, 6] {
        let levels = TieredGraph::new(&fat_tree_graph(k)).unwrap();
        check_same(&FatTree::new(k).unwrap(), &levels);
        assert!(check_promises(&levels));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_trees_graph_is_the_tree(
        fan_outs in prop::collection::vec(1..4u32, 1..4), per_rack in 1..4u32, cores in 1..3u32,
    ) {
        let levels = TieredGraph::new(&tree_graph(&fan_outs, per_rack, cores)).unwrap();
        check_same(&CanonicalTree::new(&fan_outs, per_rack).unwrap(), &levels);
        prop_assert!(check_promises(&levels));
    }

    #[test]
    fn a_leaf_spine_graph_is_leaf_spine(leaves in 1..6u32, per_leaf in 1..5u32, spines in 1..4u32) {
        let levels = TieredGraph::new(&tree_graph(&[leaves], per_leaf, spines)).unwrap();
        check_same(&LeafSpine::new(leaves, per_leaf).unwrap(), &levels);
    }

    /// Any connected graph: levels are those of all shortest paths, listed one by one.
    #[test]
    fn levels_are_those_of_the_lowest_shortest_path(
        tiers in prop::collection::vec(1..5u8, 1..7),
        links in prop::collection::vec((0..7usize, 0..7usize), 0..12),
        homes in prop::collection::vec(prop::collection::btree_set(0..7usize, 1..3), 1..6),
    ) {
        let mut graph = Graph::default();
        let nodes: Vec<_> = tiers.iter().map(|tier| graph.add_node(Tier::Switch(*tier))).collect();
        let node = |at: usize| nodes[at % nodes.len()];
        for at in 1..nodes.len() {
            graph.add_edge(node(at), node(at - 1), ());
        }
        for (a, b) in links {
            graph.add_edge(node(a), node(b), ());
        }
        for (id, home) in (0..).zip(&homes) {
            let server = graph.add_node(Tier::Server(ServerId::new(id)));
            for &at in home {
                graph.add_edge(server, node(at), ());
            }
        }
        let levels = TieredGraph::new(&graph).unwrap();
        prop_assert_eq!(check_promises(&levels), levels.is_hierarchy());
        prop_assert_eq!(levels.is_hierarchy(), crate::common::is_ultrametric(&levels));
        for a in servers(&levels) {
            for b in servers(&levels) {
                let wanted = naive_level(&graph, levels.server_at(a), levels.server_at(b));
                prop_assert_eq!(levels.level(a, b).get(), wanted, "{:?} {:?}", a, b);
            }
        }
    }
}

/// The level between two servers, from every simple path over switches.
fn naive_level(graph: &Graph, a: ServerId, b: ServerId) -> u8 {
    let find = |server| {
        graph
            .node_indices()
            .find(|n| graph[*n] == Tier::Server(server))
            .unwrap()
    };
    let (a, b) = (find(a), find(b));
    if a == b {
        return 0;
    }
    let mut best = (usize::MAX, 0);
    let mut paths = vec![vec![a]];
    while let Some(path) = paths.pop() {
        for next in graph.neighbors(path[path.len() - 1]) {
            if next == b {
                let highest = path[1..].iter().map(|n| match graph[*n] {
                    Tier::Switch(tier) => tier,
                    Tier::Server(_) => unreachable!("only switches are passed"),
                });
                best = best.min((path.len(), highest.max().unwrap()));
            } else if matches!(graph[next], Tier::Switch(_)) && !path.contains(&next) {
                paths.push([path.as_slice(), &[next]].concat());
            }
        }
    }
    best.1 - 1
}

fn server(graph: &mut Graph, id: u32, switches: &[NodeIndex]) -> NodeIndex {
    let node = graph.add_node(Tier::Server(ServerId::new(id)));
    for switch in switches {
        graph.add_edge(node, *switch, ());
    }
    node
}

fn level(levels: &TieredGraph, a: u32, b: u32) -> u8 {
    let index = |id| levels.index_of(ServerId::new(id)).unwrap();
    levels.level(index(a), index(b)).get()
}

#[test]
fn a_server_between_two_racks_breaks_the_hierarchy() {
    let mut graph = Graph::default();
    let core = graph.add_node(Tier::Switch(2));
    let racks = switches(&mut graph, 1, 2);
    for rack in &racks {
        graph.add_edge(core, *rack, ());
    }
    server(&mut graph, 1, &racks[..1]);
    server(&mut graph, 2, &racks[1..]);
    let without = TieredGraph::new(&graph).unwrap();
    assert!(without.is_hierarchy());
    server(&mut graph, 3, &racks);
    let levels = TieredGraph::new(&graph).unwrap();
    assert_eq!(
        [
            level(&levels, 1, 3),
            level(&levels, 2, 3),
            level(&levels, 1, 2)
        ],
        [0, 0, 1]
    );
    assert!(!levels.is_hierarchy());
    assert!(!check_promises(&levels));
}

#[test]
fn servers_under_a_high_switch_are_apart_from_each_other() {
    let mut graph = Graph::default();
    let core = graph.add_node(Tier::Switch(3));
    let rack = graph.add_node(Tier::Switch(1));
    graph.add_edge(core, rack, ());
    for (id, home) in [(1, core), (2, core), (3, rack), (4, rack)] {
        server(&mut graph, id, &[home]);
    }
    let levels = TieredGraph::new(&graph).unwrap();
    assert_eq!(
        [
            level(&levels, 1, 2),
            level(&levels, 1, 3),
            level(&levels, 3, 4)
        ],
        [2, 2, 0]
    );
    assert_eq!(level(&levels, 1, 1), 0);
    assert!(check_promises(&levels));
}

#[test]
fn a_shorter_path_wins_over_a_lower_one() {
    let mut graph = Graph::default();
    let racks = switches(&mut graph, 1, 4);
    let core = graph.add_node(Tier::Switch(4));
    for pair in racks.windows(2) {
        graph.add_edge(pair[0], pair[1], ());
    }
    graph.add_edge(racks[0], core, ());
    graph.add_edge(racks[3], core, ());
    for (id, rack) in (0..).zip(&racks) {
        server(&mut graph, id, &[*rack]);
    }
    let levels = TieredGraph::new(&graph).unwrap();
    assert_eq!(
        level(&levels, 0, 3),
        3,
        "two links over the core against three over the racks"
    );
    assert_eq!(
        level(&levels, 0, 2),
        0,
        "two links over a rack against three over the core"
    );
}

#[test]
fn parallel_links_and_a_lone_server_are_fine() {
    let mut graph = Graph::default();
    let rack = graph.add_node(Tier::Switch(17));
    graph.add_edge(rack, rack, ());
    server(&mut graph, 7, &[rack, rack]);
    let levels = TieredGraph::new(&graph).unwrap();
    assert!(check_promises(&levels));
    assert_eq!(levels.server_count(), 1);
    assert_eq!(levels.max_level(), Level::new(16));
}

#[test]
fn bad_graphs_are_named() {
    let id = ServerId::new;
    let check = |build: &dyn Fn(&mut Graph, NodeIndex), wanted: GraphError| {
        let mut graph = Graph::default();
        let rack = graph.add_node(Tier::Switch(1));
        build(&mut graph, rack);
        assert_eq!(TieredGraph::new(&graph), Err(wanted));
    };
    check(&|_, _| {}, GraphError::NoServers);
    check(
        &|g, _| {
            server(g, 1, &[]);
        },
        GraphError::Unattached(id(1)),
    );
    let twice = |g: &mut Graph, rack| {
        server(g, 1, &[rack]);
        server(g, 1, &[rack]);
    };
    check(&twice, GraphError::DuplicateServer(id(1)));
    let chain = |g: &mut Graph, rack| {
        let first = server(g, 1, &[rack]);
        server(g, 2, &[first]);
    };
    check(&chain, GraphError::ServerLink(id(2), id(1)));
    let apart = |g: &mut Graph, rack| {
        server(g, 1, &[rack]);
        let other = g.add_node(Tier::Switch(1));
        server(g, 2, &[other]);
    };
    check(&apart, GraphError::Disconnected(id(1), id(2)));
    for tier in [0, 18, 255] {
        let odd = move |g: &mut Graph, rack| {
            server(g, 1, &[rack]);
            g.add_node(Tier::Switch(tier));
        };
        check(&odd, GraphError::Tier { node: 2, tier });
    }
    let many = |g: &mut Graph, rack: NodeIndex| {
        for switch in 0..=TieredGraph::MAX_ATTACHMENTS as u32 {
            let leaf = g.add_node(Tier::Switch(1));
            g.add_edge(rack, leaf, ());
            server(g, switch, &[leaf]);
        }
    };
    check(&many, GraphError::TooManyAttachments);
}
