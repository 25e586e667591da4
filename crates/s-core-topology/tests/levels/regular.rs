//! Canonical tree, fat tree and leaf-spine against the thesis, their definitions and each other.

use crate::common::{check_promises, check_same, is_ultrametric, servers};
use proptest::prelude::*;
use s_core_model::{Level, Levels, ServerId, ServerIndex};
use s_core_topology::{CanonicalTree, FatTree, LeafSpine, LocationTable, MAX_SERVERS, ShapeError};

fn level(levels: &impl Levels, a: u32, b: u32) -> u8 {
    levels.level(ServerIndex::new(a), ServerIndex::new(b)).get()
}

/// Fan-outs and servers per rack of trees with up to some hundred servers.
fn shapes() -> impl Strategy<Value = (Vec<u32>, u32)> {
    (prop::collection::vec(1..4u32, 1..5), 1..4u32)
}

#[test]
fn the_thesis_tree_has_2560_servers_in_128_racks() {
    let tree = CanonicalTree::thesis();
    assert_eq!(tree.server_count(), 2560);
    assert_eq!(tree.rack_count(), 128);
    assert_eq!(tree.servers_per_rack(), 20);
    assert_eq!(tree.max_level(), Level::new(4));
    // (first server, another, their level): the last of a group, then the first outside.
    let check = |other, wanted| assert_eq!(level(&tree, 0, other), wanted, "server {other}");
    check(19, 0);
    check(20, 1);
    check(39, 1);
    check(40, 2);
    check(159, 2);
    check(160, 3);
    check(639, 3);
    check(640, 4);
    check(2559, 4);
}

#[test]
fn locations_read_from_the_core_down() {
    let check = |tree: &CanonicalTree, server, wanted| {
        let location = tree.location(ServerIndex::new(server)).to_string();
        assert_eq!(location, wanted, "server {server}");
    };
    let tree = CanonicalTree::thesis();
    check(&tree, 0, "a1/g1/s1/r1");
    check(&tree, 20, "a1/g1/s1/r2");
    check(&tree, 40, "a1/g1/s2/r1");
    check(&tree, 160, "a1/g2/s1/r1");
    check(&tree, 2559, "a4/g4/s4/r2");
    check(&CanonicalTree::new(&[3], 1).unwrap(), 2, "r3");
    let deep = CanonicalTree::new(&[2; 6], 1).unwrap();
    check(&deep, 63, "c2/c2/a2/g2/s2/r2");
    let fat = FatTree::new(4).unwrap();
    assert_eq!(fat.location(ServerIndex::new(15)).to_string(), "p4/e2");
    let leaves = LeafSpine::new(3, 2).unwrap();
    assert_eq!(leaves.location(ServerIndex::new(3)).to_string(), "l2");
}

#[test]
fn addresses_count_up_from_the_base() {
    let base: ServerId = "192.168.7.250".parse().unwrap();
    let tree = CanonicalTree::new(&[2, 2], 3).unwrap();
    assert_eq!(tree.server_at(ServerIndex::new(0)).to_string(), "10.0.0.1");
    let tree = tree.with_base(base).unwrap();
    assert_eq!(
        tree.server_at(ServerIndex::new(11)).to_string(),
        "192.168.8.5"
    );
    let check = |id: &str, index: Option<u32>| {
        let found = tree.index_of(id.parse().unwrap());
        assert_eq!(found, index.map(ServerIndex::new), "{id}");
    };
    check("192.168.7.249", None);
    check("192.168.7.250", Some(0));
    check("192.168.8.5", Some(11));
    check("192.168.8.6", None);
    check("0.0.0.0", None);
    check("255.255.255.255", None);
}

#[test]
fn bad_shapes_are_refused() {
    let tree = |fan_outs: &[u32], per_rack| CanonicalTree::new(fan_outs, per_rack).map(drop);
    assert_eq!(tree(&[], 1), Err(ShapeError::Levels(0)));
    assert_eq!(tree(&[1; 17], 1), Err(ShapeError::Levels(17)));
    assert_eq!(tree(&[1; 16], 1), Ok(()));
    assert_eq!(tree(&[2, 0], 1), Err(ShapeError::Empty));
    assert_eq!(tree(&[0, 2], 1), Err(ShapeError::Empty));
    assert_eq!(tree(&[2], 0), Err(ShapeError::Empty));
    assert_eq!(tree(&[1 << 12, 1 << 12], 1), Ok(()));
    assert_eq!(tree(&[1], MAX_SERVERS + 1), Err(ShapeError::TooManyServers));
    assert_eq!(
        tree(&[u32::MAX; 16], u32::MAX),
        Err(ShapeError::TooManyServers)
    );
    let fat = |k| FatTree::new(k).map(drop);
    assert_eq!(fat(0), Err(ShapeError::OddPorts(0)));
    assert_eq!(fat(5), Err(ShapeError::OddPorts(5)));
    assert_eq!(fat(406), Ok(()));
    assert_eq!(fat(408), Err(ShapeError::TooManyServers));
    assert_eq!(fat(u32::MAX - 1), Err(ShapeError::TooManyServers));
    assert_eq!(LeafSpine::new(0, 1).map(drop), Err(ShapeError::Empty));
    assert_eq!(LeafSpine::new(1, 0).map(drop), Err(ShapeError::Empty));
    let (base, servers) = (ServerId::new(u32::MAX - 2), 4);
    let four = LeafSpine::new(2, 2).unwrap();
    assert_eq!(
        four.clone().with_base(base),
        Err(ShapeError::AddressesEnd { base, servers })
    );
    assert!(four.with_base(ServerId::new(u32::MAX - 3)).is_ok());
}

#[test]
fn a_fat_tree_is_pods_of_edge_switches() {
    for k in [2, 4, 6, 8] {
        let tree = FatTree::new(k).unwrap();
        assert_eq!(tree.server_count() as u32, k * k * k / 4);
        assert!(check_promises(&tree));
        for a in servers(&tree) {
            for b in servers(&tree) {
                let (edge, pod) = (k / 2, k * k / 4);
                let same = |size| a.get() / size == b.get() / size;
                let wanted = if same(edge) {
                    0
                } else {
                    2 - u8::from(same(pod))
                };
                assert_eq!(tree.level(a, b).get(), wanted);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The level counts the components that two paths do not share.
    #[test]
    fn a_tree_keeps_the_promises((fan_outs, per_rack) in shapes()) {
        let tree = CanonicalTree::new(&fan_outs, per_rack).unwrap();
        prop_assert!(check_promises(&tree));
        for a in servers(&tree) {
            for b in servers(&tree) {
                // From the racks upwards, until both are under one node.
                let (mut x, mut y) = (a.get() / per_rack, b.get() / per_rack);
                let mut wanted = 0;
                for fan_out in fan_outs.iter().rev() {
                    wanted += u8::from(x != y);
                    (x, y) = (x / fan_out, y / fan_out);
                }
                prop_assert_eq!(tree.level(a, b).get(), wanted);
            }
        }
    }

    #[test]
    fn a_tree_is_ultrametric(fan_outs in prop::collection::vec(1..3u32, 1..4), per_rack in 1..3u32) {
        prop_assert!(is_ultrametric(&CanonicalTree::new(&fan_outs, per_rack).unwrap()));
    }

    #[test]
    fn leaf_spine_keeps_the_promises(leaves in 1..8u32, per_leaf in 1..8u32) {
        let network = LeafSpine::new(leaves, per_leaf).unwrap();
        prop_assert!(check_promises(&network));
        check_same(&network, &CanonicalTree::new(&[leaves], per_leaf).unwrap());
    }

    /// A tree's paths, read back as a table, are the tree, levels and groups alike.
    #[test]
    fn a_table_of_a_trees_paths_is_the_tree((fan_outs, per_rack) in shapes()) {
        let tree = CanonicalTree::new(&fan_outs, per_rack).unwrap();
        let paths = servers(&tree).into_iter().map(|s| (tree.server_at(s), tree.location(s).to_string()));
        let table = LocationTable::new(paths).unwrap();
        check_same(&tree, &table);
        prop_assert!(check_promises(&table));
        prop_assert_eq!(table.max_level(), tree.max_level());
        prop_assert_eq!(table.rack_count() as u32, tree.rack_count());
        for server in servers(&tree) {
            for at in (0..6).map(Level::new) {
                prop_assert_eq!(tree.group(server, at), table.group(server, at));
            }
        }
    }
}
