//! S6: with one epoch and fixed traffic, Eq. 3.1 falls by more than c_m at every migration.
//!
//! It is judged where what the node was told was so: its rates were right, the servers' listings were, and nothing was
//! born, died, moved or changed its traffic from the measurement to the move. Otherwise no node could know better.

use std::collections::BTreeMap;

use s_core_model::VmId;
use s_core_proto::Input;

use super::{Invariant, Seen};
use crate::fault_world::truth::Migration;
use crate::fault_world::world::World;

/// The version of the truth when what a node was told was so.
#[derive(Debug, Default)]
pub(super) struct CostFalls {
    /// When each server last read rates.
    measured: BTreeMap<usize, Option<u64>>,
    /// When those were read on which the VM's migration was decided.
    decided: BTreeMap<VmId, Option<u64>>,
}

impl CostFalls {
    fn was_true(&self, world: &World, migration: &Migration) -> bool {
        // The move itself is one change.
        let now = Some(world.truth.version - 1);
        self.decided.get(&migration.vm) == Some(&now)
    }
}

/// Whether every agent knows what runs on its server, as far as the VM's peers are concerned.
fn listings_are_right(world: &World) -> bool {
    world.hosts.iter().enumerate().all(|(index, host)| {
        host.node()
            .is_none_or(|node| node.hosted_vms().eq(world.truth.hosted(index)))
    })
}

impl Invariant for CostFalls {
    fn name(&self) -> &'static str {
        "S6"
    }

    fn check(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Input {
                host,
                input: Input::Measured { vm, peers },
            } if world.is_measuring(*host, *vm) => {
                let told = peers.iter().take(peers.len().saturating_sub(1)).copied();
                let right = told.eq(world.truth.peers(*vm)) && listings_are_right(world);
                let version = right.then_some(world.truth.version);
                self.measured.insert(*host, version);
            }
            Seen::MigrationBegins { host, migration } => {
                let measured = self.measured.get(host).copied().flatten();
                self.decided.insert(migration.vm, measured);
            }
            Seen::Moved {
                migration,
                cost_before,
            } if self.was_true(world, migration) => {
                let after = world.truth.cost(&world.model);
                let vm = migration.vm;
                let own = own_cost_before(world, migration);
                let wanted = world.knobs.migration_cost.threshold(own);
                let fell = cost_before - after;
                if fell <= wanted - 1e-9 * cost_before {
                    return Err(format!(
                        "{vm} moves and Eq. 3.1 falls by {fell}, not by {wanted}"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// C(u) where the VM was.
fn own_cost_before(world: &World, migration: &Migration) -> f64 {
    let peers = world.truth.peers(migration.vm).into_iter();
    let cost = peers.filter_map(|(peer, rate)| {
        let at = world.truth.vms.get(&peer)?.home;
        let [a, b] = [migration.source, at].map(|i| s_core_model::ServerIndex::new(i as u32));
        Some(world.model.pair_cost(rate, a, b))
    });
    cost.sum()
}
