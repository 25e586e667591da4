//! The promises of `Levels`, checked on all pairs and triples of servers.

use s_core_model::{CostModel, Level, Levels, LinkWeights, ServerIndex};

/// All servers of a data centre.
pub(crate) fn servers<L: Levels>(levels: &L) -> Vec<ServerIndex> {
    let count = u32::try_from(levels.server_count()).unwrap();
    (0..count).map(ServerIndex::new).collect()
}

/// Checks what `Levels` promises, groups included; returns whether there are groups.
pub(crate) fn check_promises<L: Levels>(levels: &L) -> bool {
    let all = servers(levels);
    let max = levels.max_level();
    let hierarchical = levels.group(all[0], Level::ZERO).is_some();
    for pair in all.windows(2) {
        assert!(levels.server_at(pair[0]) < levels.server_at(pair[1]));
    }
    for &a in &all {
        assert_eq!(levels.index_of(levels.server_at(a)), Some(a));
        assert_eq!(levels.level(a, a), Level::ZERO);
        for &b in &all {
            let level = levels.level(a, b);
            assert_eq!(level, levels.level(b, a), "{a:?} {b:?}");
            assert!(level <= max, "{a:?} {b:?} {level}");
            for at in (0..=max.get() + 1).map(Level::new) {
                let (x, y) = (levels.group(a, at), levels.group(b, at));
                assert_eq!(x.is_some(), hierarchical);
                if hierarchical {
                    assert_eq!(x == y, level <= at, "{a:?} {b:?} at level {at}");
                }
            }
        }
    }
    check_cost_model(levels);
    hierarchical
}

/// Checks that a cost model, which keeps levels in a form of its own, says the same.
fn check_cost_model<L: Levels>(levels: &L) {
    let weights: Vec<f64> = (1..=levels.max_level().get().max(1))
        .map(f64::from)
        .collect();
    let weights = LinkWeights::new(weights).unwrap();
    let model = CostModel::new(weights.clone(), levels).unwrap();
    for &a in &servers(levels) {
        for &b in &servers(levels) {
            let level = levels.level(a, b);
            assert_eq!(model.level(a, b), level, "{a:?} {b:?}");
            assert_eq!(model.path_cost(a, b), weights.path_cost(level));
        }
    }
}

/// Whether no two servers are further apart than the further of both is from any third.
pub(crate) fn is_ultrametric<L: Levels>(levels: &L) -> bool {
    let all = servers(levels);
    let level = |a: &ServerIndex, b: &ServerIndex| levels.level(*a, *b);
    all.iter().all(|a| {
        all.iter().all(|b| {
            all.iter()
                .all(|c| level(a, b) <= level(a, c).max(level(c, b)))
        })
    })
}

/// Checks that two describe the same data centre.
pub(crate) fn check_same<A: Levels, B: Levels>(one: &A, other: &B) {
    assert_eq!(one.server_count(), other.server_count());
    for &a in &servers(one) {
        assert_eq!(one.server_at(a), other.server_at(a));
        for &b in &servers(one) {
            assert_eq!(one.level(a, b), other.level(a, b), "{a:?} {b:?}");
        }
    }
}
