//! The location table against the rule of its paths, and what it refuses.

use crate::common::{check_promises, is_ultrametric, servers};
use proptest::prelude::*;
use s_core_model::{Level, Levels, ServerId};
use s_core_topology::{LocationError, LocationTable};

fn table(entries: &[(u32, &str)]) -> Result<LocationTable, LocationError> {
    LocationTable::new(entries.iter().map(|(id, path)| (ServerId::new(*id), path)))
}

/// Servers in any order with locations of one depth, some in one rack.
fn entries() -> impl Strategy<Value = Vec<(u32, String)>> {
    (1..5usize).prop_flat_map(|depth| {
        let path = prop::collection::vec(0..3u8, depth).prop_map(|numbers| {
            let components: Vec<_> = numbers.iter().map(|n| format!("n{n}")).collect();
            components.join("/")
        });
        let by_id = prop::collection::btree_map(any::<u32>(), path, 1..25);
        by_id
            .prop_map(|map| map.into_iter().collect::<Vec<_>>())
            .prop_shuffle()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn level_is_components_less_common_prefix(entries in entries()) {
        let table = LocationTable::new(entries.iter().map(|(id, path)| (ServerId::new(*id), path))).unwrap();
        prop_assert!(check_promises(&table));
        prop_assert!(is_ultrametric(&table));
        for (a, path) in &entries {
            let x = table.index_of(ServerId::new(*a)).unwrap();
            prop_assert_eq!(table.location(x), path);
            for (b, other) in &entries {
                let y = table.index_of(ServerId::new(*b)).unwrap();
                let shared = path.split('/').zip(other.split('/')).take_while(|(x, y)| x == y).count();
                let wanted = path.split('/').count() - shared;
                prop_assert_eq!(usize::from(table.level(x, y).get()), wanted, "{} {}", path, other);
            }
        }
    }

    #[test]
    fn the_order_of_entries_does_not_matter(entries in entries(), turn in 0..25usize) {
        let table = |entries: &[(u32, String)]| {
            LocationTable::new(entries.iter().map(|(id, path)| (ServerId::new(*id), path))).unwrap()
        };
        let mut turned = entries.clone();
        turned.rotate_left(turn % entries.len());
        prop_assert_eq!(table(&entries), table(&turned));
    }

    /// Whatever the text, it is a table or an error that names an entry.
    #[test]
    fn any_text_is_a_table_or_an_error(paths in prop::collection::vec("[ab/ \t]{0,8}|a/b", 0..5)) {
        let entries = (0..).map(ServerId::new).zip(&paths);
        match LocationTable::new(entries) {
            Ok(table) => {
                check_promises(&table);
            }
            Err(error) => prop_assert_eq!(error.entry().is_none(), paths.is_empty()),
        }
    }
}

#[test]
fn names_are_compared_under_their_parents_only() {
    let table = table(&[(1, "a1/r1"), (2, "a2/r1"), (3, "a2/r2")]).unwrap();
    let [x, y, z] = [0, 1, 2].map(|at| servers(&table)[at]);
    assert_eq!(table.level(x, y), Level::new(2));
    assert_eq!(table.level(y, z), Level::new(1));
    assert_eq!(table.rack_count(), 3);
}

#[test]
fn a_million_servers_are_no_matter() {
    let paths: Vec<_> = (0..25_000u32)
        .map(|rack| format!("a{}/g{}/r{rack}", rack % 10, rack / 10 % 50))
        .collect();
    let entries = (0..1_000_000u32).map(|id| (ServerId::new(id), &paths[id as usize % 25_000]));
    let table = LocationTable::new(entries).unwrap();
    assert_eq!(
        (table.server_count(), table.rack_count()),
        (1_000_000, 25_000)
    );
    assert_eq!(table.max_level(), Level::new(3));
}

#[test]
fn bad_entries_are_named() {
    let check = |entries: &[(u32, &str)], entry: Option<usize>, wanted: &str| {
        let error = table(entries).expect_err(wanted);
        assert_eq!(error.entry(), entry, "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
    };
    check(&[], None, "no server");
    check(
        &[(1, "r1"), (2, "r1"), (1, "r2")],
        Some(2),
        "0.0.0.1 is listed twice",
    );
    check(&[(1, "")], Some(0), "empty");
    check(&[(1, "a/r"), (2, "a//r")], Some(1), "\"a//r\"");
    check(&[(1, "/a")], Some(0), "empty");
    check(&[(1, "a/")], Some(0), "empty");
    check(&[(1, "a /r")], Some(0), "white space");
    check(&[(1, "a\n/r")], Some(0), "white space");
    check(
        &[(1, "a/r"), (2, "b/r"), (3, "r")],
        Some(2),
        "has 1 components and those before it 2",
    );
    check(&[(1, "a/r"), (2, "a/b/r")], Some(1), "has 3 components");
    let deep = ["n"; 17].join("/");
    check(&[(1, &deep)], Some(0), "more than 16 components");
    let error = table(&[(9, "r"), (9, "r")]).unwrap_err();
    let (entry, first, server) = (1, 0, ServerId::new(9));
    assert_eq!(
        error,
        LocationError::DuplicateServer {
            entry,
            first,
            server
        }
    );
}
