//! How often VMs move to and fro (thesis 5.1.4).

use std::collections::BTreeMap;

use s_core_model::{ServerIndex, VmIndex};

use super::Migration;

/// How stable the VMs' placement was (5.1.4): "VMs will periodically jump between two placements".
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Stability {
    /// Entry *n* is how many VMs migrated *n* times; the last entry is not 0, if there is a VM.
    pub vms_by_migrations: Vec<u64>,
    /// Migrations that took a VM back to a server where it had been before.
    pub returns: u64,
    /// Returns to the server that the VM had left with its last migration but this: from A to B, and from there
    /// to A again.
    pub oscillations: u64,
    /// Oscillations whose two migrations were at most so many hops apart as was asked for.
    pub short_oscillations: u64,
}

impl Stability {
    /// The stability of a run with these migrations, in their order, of `vms` VMs in all.
    ///
    /// An oscillation is short if there are at most `within` hops between its two migrations. The thesis
    /// expects that few are: a VM decides once per round, on averages over a window (5.1.4). As every VM of
    /// a round-robin holds the token once per round, `n * vms` hops are n rounds. O(m log m) for m migrations.
    ///
    /// ```
    /// use s_core_model::{ServerIndex, VmIndex};
    /// use s_core_sim::{Migration, Stability};
    ///
    /// let moved = |step, source, target| Migration {
    ///     step,
    ///     vm: VmIndex::new(0),
    ///     source: ServerIndex::new(source),
    ///     target: ServerIndex::new(target),
    ///     gain: 1.0,
    ///     total_cost: 0.0,
    /// };
    /// // One VM of three goes from 0 to 1, to 2, back to 1, and back to 0.
    /// let moves = [moved(1, 0, 1), moved(4, 1, 2), moved(7, 2, 1), moved(30, 1, 0)];
    /// let stability = Stability::new(&moves, 3, 6);
    /// assert_eq!(stability.vms_by_migrations, [2, 0, 0, 0, 1]);
    /// assert_eq!((stability.returns, stability.oscillations), (2, 1));
    /// assert_eq!(stability.short_oscillations, 1);
    /// ```
    pub fn new(migrations: &[Migration], vms: usize, within: u64) -> Self {
        let mut histories: BTreeMap<VmIndex, History> = BTreeMap::new();
        let mut stability = Self::default();
        for migration in migrations {
            let history = histories.entry(migration.vm).or_default();
            if history.has_been_at(migration) {
                stability.returns += 1;
            }
            if let Some((server, step)) = history.left.last()
                && *server == migration.target
            {
                stability.oscillations += 1;
                stability.short_oscillations += u64::from(migration.step - step <= within);
            }
            history.left.push((migration.source, migration.step));
        }
        stability.vms_by_migrations = vec![0; usize::from(vms > 0)];
        for history in histories.values() {
            let count = history.left.len();
            if stability.vms_by_migrations.len() <= count {
                stability.vms_by_migrations.resize(count + 1, 0);
            }
            stability.vms_by_migrations[count] += 1;
        }
        if let Some(unmoved) = stability.vms_by_migrations.first_mut() {
            *unmoved = vms.saturating_sub(histories.len()) as u64;
        }
        stability
    }

    /// How many migrations there were.
    pub fn migrations(&self) -> u64 {
        (0..)
            .zip(&self.vms_by_migrations)
            .map(|(n, vms)| n * vms)
            .sum()
    }

    /// How many VMs migrated at all.
    pub fn moved_vms(&self) -> u64 {
        self.vms_by_migrations.iter().skip(1).sum()
    }
}

/// The servers that a VM left, and with which hop.
#[derive(Default)]
struct History {
    left: Vec<(ServerIndex, u64)>,
}

impl History {
    fn has_been_at(&self, migration: &Migration) -> bool {
        let mut servers = self.left.iter().map(|(server, _)| *server);
        servers.any(|server| server == migration.target)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Migrations of one VM along these servers, ten hops apart.
    fn path(vm: u32, servers: &[u32]) -> Vec<Migration> {
        let migration = |(number, pair): (u64, &[u32])| Migration {
            step: 10 * number + u64::from(vm),
            vm: VmIndex::new(vm),
            source: ServerIndex::new(pair[0]),
            target: ServerIndex::new(pair[1]),
            gain: 1.0,
            total_cost: 0.0,
        };
        (1..).zip(servers.windows(2)).map(migration).collect()
    }

    #[test]
    fn hand_made_paths() {
        let check = |servers: &[u32], within, wanted: [u64; 3]| {
            let stability = Stability::new(&path(0, servers), 2, within);
            let found = [
                stability.returns,
                stability.oscillations,
                stability.short_oscillations,
            ];
            assert_eq!(found, wanted, "{servers:?}");
            assert_eq!(stability.migrations(), servers.len() as u64 - 1);
        };
        check(&[1], 10, [0, 0, 0]);
        check(&[1, 2], 10, [0, 0, 0]);
        check(&[1, 2, 1], 10, [1, 1, 1]);
        check(&[1, 2, 1], 9, [1, 1, 0]);
        check(&[1, 2, 1, 2], 10, [2, 2, 2]);
        check(&[1, 2, 3, 1], 10, [1, 0, 0]);
        check(&[1, 2, 3, 2, 1], 10, [2, 1, 1]);
        check(&[1, 2, 3, 4], 10, [0, 0, 0]);
    }

    #[test]
    fn migrations_are_counted_per_vm() {
        let check = |vms, moved: &[u32], wanted: &[u64]| {
            let migrations: Vec<Migration> =
                moved.iter().flat_map(|vm| path(*vm, &[1, 2])).collect();
            let stability = Stability::new(&migrations, vms, 1);
            assert_eq!(stability.vms_by_migrations, wanted, "{moved:?}");
        };
        check(0, &[], &[]);
        check(3, &[], &[3]);
        check(3, &[2, 0, 2, 2], &[1, 1, 0, 1]);
    }

    /// A server at which a walk is at each moment; consecutive ones differ.
    fn walk() -> impl Strategy<Value = Vec<u32>> {
        prop::collection::vec(1..4u32, 0..12).prop_map(|steps| {
            let place = |at: &mut u32, step: u32| {
                *at = (*at + step) % 4;
                Some(*at)
            };
            std::iter::once(0)
                .chain(steps.into_iter().scan(0, |at, step| place(at, step)))
                .collect()
        })
    }

    proptest! {
        /// Counted from each VM's path by itself.
        #[test]
        fn agrees_with_each_vm_s_path(walks in prop::collection::vec(walk(), 0..8), within in 0..25u64) {
            let mut all: Vec<Migration> =
                (0..).zip(&walks).flat_map(|(vm, walk)| path(vm, walk)).collect();
            all.sort_by_key(|migration| migration.step);
            let stability = Stability::new(&all, walks.len(), within);
            let (mut returns, mut oscillations) = (0, 0);
            for walk in &walks {
                for n in 1..walk.len() {
                    returns += u64::from(walk[..n].contains(&walk[n]));
                    oscillations += u64::from(n >= 2 && walk[n - 2] == walk[n]);
                }
            }
            let short = if within >= 10 { oscillations } else { 0 };
            prop_assert_eq!(stability.returns, returns);
            prop_assert_eq!((stability.oscillations, stability.short_oscillations), (oscillations, short));
            for (n, vms) in stability.vms_by_migrations.iter().enumerate() {
                let moved_so_often = walks.iter().filter(|walk| walk.len() == n + 1).count() as u64;
                prop_assert_eq!(*vms, moved_so_often);
            }
            prop_assert_eq!(stability.moved_vms(), walks.iter().filter(|walk| walk.len() > 1).count() as u64);
        }
    }
}
