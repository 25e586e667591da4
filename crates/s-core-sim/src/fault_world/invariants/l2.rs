//! L2: no VM starves: none waits for more than two rounds once the faults are over.
//!
//! Rounds of a policy that wraps do not end, so visits are counted: in one round, a VM is visited once at each level at
//! most.

use s_core_proto::{Action, Report};

use super::{Invariant, Seen};
use crate::fault_world::world::World;

#[derive(Debug)]
pub(super) struct NobodyStarves;

impl Invariant for NobodyStarves {
    fn name(&self) -> &'static str {
        "L2"
    }

    fn check(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Action {
            action: Action::Report(Report::Holding { .. }),
            ..
        } = seen
        else {
            return Ok(());
        };
        if !world.is_calm() {
            return Ok(());
        }
        let now = world.settling.hops;
        let levels = u64::from(world.knobs.weights.max_level().get());
        let patience = 3 * (levels + 1) * (world.knobs.vms + world.knobs.births) as u64;
        for vm in world.truth.vms.keys() {
            let last = world.settling.visited.get(vm).copied().unwrap_or(0);
            // A VM whose slot was lost has to ask for one first: L3 waits for it.
            let joining = last == 0 && now < 8 * patience;
            if now - last > patience && !joining {
                return Err(format!("{vm} was not visited in {} visits", now - last));
            }
        }
        Ok(())
    }
}
