//! L4: one epoch is left after a partition heals, and after any other fault.

use std::time::Duration;

use super::{Invariant, Seen};
use crate::fault_world::bound::Obstacles;
use crate::fault_world::world::World;

#[derive(Debug)]
pub(super) struct OneEpoch;

/// A token may be made again, its beacon is heard by all, and a migration that began under a lower one may end.
fn limit(world: &World) -> Duration {
    let obstacles = Obstacles {
        servers: world.hosts.len() as u32,
        unreachable_vms: (world.knobs.vms + world.knobs.births) as u32,
        dead_servers: 0,
    };
    let bound = world.bound(obstacles);
    let timing = world.knobs.timing;
    bound.first_line + bound.second_line + (timing.beacon + timing.migration) * 4
}

impl Invariant for OneEpoch {
    fn name(&self) -> &'static str {
        "L4"
    }

    fn check(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        let late = world.is_calm() && world.now.saturating_sub(world.faults_end) > limit(world);
        let held = match seen {
            Seen::Event if late => world.epochs_held(),
            Seen::Settled => world.epochs_held(),
            _ => return Ok(()),
        };
        if held > 1 {
            return Err(format!("{held} tokens are alive"));
        }
        if matches!(seen, Seen::Event) {
            return Ok(());
        }
        let mut epochs: Vec<_> = world
            .hosts
            .iter()
            .filter_map(|host| Some(host.node()?.mark().epoch))
            .collect();
        epochs.sort_unstable();
        epochs.dedup();
        if epochs.len() > 1 {
            return Err(format!("the servers know of {} epochs", epochs.len()));
        }
        Ok(())
    }
}
