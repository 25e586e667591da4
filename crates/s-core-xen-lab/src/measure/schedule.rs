//! Whose turn it is.

use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;

use super::{Row, Settings};

/// A migration to come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Turn {
    pub(super) load_percent: u32,
    pub(super) dirty_mb_per_second: f64,
}

/// The next migration after these: one of the loads with the fewest, in an order that each round draws anew. `None` if all are done.
pub(super) fn next(settings: &Settings, rows: &[Row]) -> Option<Turn> {
    let done = |load: u32| rows.iter().filter(|row| row.load_percent == load).count();
    let mut loads = settings.loads.clone();
    loads.sort_unstable();
    loads.dedup();
    let round = loads.iter().map(|load| done(*load)).min()?;
    if round >= settings.migrations {
        return None;
    }
    let mut order = Pcg64Mcg::seed_from_u64(settings.seed.wrapping_add(round as u64));
    loads.shuffle(&mut order);
    let load_percent = loads.into_iter().find(|load| done(*load) == round)?;
    // Of a sequence of its own.
    let seed = settings
        .seed
        .rotate_left(32)
        .wrapping_add(rows.len() as u64);
    let dirty: f64 = Pcg64Mcg::seed_from_u64(!seed).random_range(0.0..=1.0);
    Some(Turn {
        load_percent,
        // As it is written to the file.
        dirty_mb_per_second: (dirty * settings.most_dirty * 1000.0).round() / 1000.0,
    })
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::*;

    fn settings() -> Settings {
        Settings {
            loads: vec![0, 50, 100],
            migrations: 4,
            most_dirty: 2.0,
            ..super::super::attempt::tests::settings()
        }
    }

    /// All turns after these rows.
    fn turns(settings: &Settings, mut rows: Vec<Row>) -> Vec<Turn> {
        let mut all = Vec::new();
        while let Some(turn) = next(settings, &rows) {
            all.push(turn);
            rows.push(row(turn.load_percent));
        }
        all
    }

    #[test]
    fn points_take_turns() {
        let all = turns(&settings(), Vec::new());
        assert_eq!(all.len(), 12);
        for round in all.chunks(3) {
            let mut loads: Vec<_> = round.iter().map(|turn| turn.load_percent).collect();
            loads.sort_unstable();
            assert_eq!(loads, [0, 50, 100]);
        }
        let orders: Vec<Vec<_>> = (all.chunks(3))
            .map(|round| round.iter().map(|turn| turn.load_percent).collect())
            .collect();
        assert!(orders.iter().any(|order| *order != orders[0]), "{orders:?}");
        assert!(
            all.iter()
                .all(|turn| (0.0..=2.0).contains(&turn.dirty_mb_per_second))
        );
    }

    #[test]
    fn it_goes_on_where_it_was_stopped() {
        let all = turns(&settings(), Vec::new());
        for stopped in 0..=all.len() {
            let rows = all[..stopped].iter().map(|turn| row(turn.load_percent));
            assert_eq!(turns(&settings(), rows.collect()), all[stopped..]);
        }
        // A load that is new catches up first.
        let more = Settings {
            loads: vec![0, 25, 50, 100],
            ..settings()
        };
        let rows: Vec<_> = all.iter().map(|turn| row(turn.load_percent)).collect();
        let new: Vec<_> = turns(&more, rows)
            .iter()
            .map(|turn| turn.load_percent)
            .collect();
        assert_eq!(new, [25; 4]);
    }

    #[test]
    fn nothing_is_nothing() {
        let none = Settings {
            loads: Vec::new(),
            ..settings()
        };
        assert_eq!(next(&none, &[]), None);
    }
}
