//! L3: with the faults off, migrations stop, in a local optimum.

use s_core_model::ServerIndex;
use s_core_model::VmId;

use super::{Invariant, Seen};
use crate::fault_world::phases::Phase;
use crate::fault_world::world::World;

#[derive(Debug)]
pub(super) struct LocalOptimum;

impl Invariant for LocalOptimum {
    fn name(&self) -> &'static str {
        "L3"
    }

    fn check(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Event if world.phase == Phase::Calm => {
                let limit = world.settle_limit();
                let since = world.now.saturating_sub(world.faults_end);
                if since > limit && world.settling.hops > 0 {
                    let why = world.pending().unwrap_or_else(|| "VMs still move".into());
                    return Err(format!("not settled {limit:?} after the faults: {why}"));
                }
                Ok(())
            }
            Seen::Settled => world.truth.vms.keys().try_for_each(|vm| stays(world, *vm)),
            _ => Ok(()),
        }
    }
}

/// Whether no server of a peer, with room for the VM, is worth a migration.
fn stays(world: &World, vm: VmId) -> Result<(), String> {
    let peers = world.truth.peers(vm);
    let home = world.truth.vms[&vm].home;
    let homes: Vec<_> = peers
        .iter()
        .filter_map(|(peer, rate)| Some((world.truth.vms.get(peer)?.home, *rate)))
        .collect();
    let cost = |at: usize| -> f64 {
        let pair = |(peer, rate): &(usize, _)| {
            let [a, b] = [at, *peer].map(|index| ServerIndex::new(index as u32));
            world.model.pair_cost(*rate, a, b)
        };
        homes.iter().map(pair).sum()
    };
    let before = cost(home);
    for (target, _) in &homes {
        let fits = world
            .truth
            .free(*target)
            .admits(world.truth.vms[&vm].memory_mib);
        let gain = 2.0 * (before - cost(*target));
        let threshold = world.knobs.migration_cost.threshold(before);
        if *target != home && fits && gain > threshold + 1e-9 * before {
            let target = world.hosts[*target].id;
            return Err(format!(
                "{vm} would gain {gain} at {target}, more than {threshold}"
            ));
        }
    }
    Ok(())
}
