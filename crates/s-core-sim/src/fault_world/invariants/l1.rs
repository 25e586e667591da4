//! L1: a lost token is acted on again within the bound of [`recovery_bound`](super::super::recovery_bound).
//!
//! After the faults, a token that is nowhere has both lines of recovery before it; after the one loss at the end, the
//! line that the loss calls for.

use crate::fault_world::bound::Obstacles;
use crate::fault_world::clock::Time;
use crate::fault_world::phases::Phase;
use crate::fault_world::world::World;

use super::{Invariant, Seen};

#[derive(Debug, Default)]
pub(super) struct Recovers {
    held_at: Time,
}

impl Invariant for Recovers {
    fn name(&self) -> &'static str {
        "L1"
    }

    fn check(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        if !matches!(seen, Seen::Event) || world.phase == Phase::Safety {
            return Ok(());
        }
        if let Some((at, bound)) = world.settling.lost {
            let since = world.now.saturating_sub(at);
            if world.phase == Phase::Lost && since > bound {
                return Err(format!(
                    "{since:?} since the loss, and {bound:?} is the bound"
                ));
            }
            return Ok(());
        }
        self.held_at = self.held_at.max(world.faults_end);
        if world.hosts.iter().any(|host| host.holds()) {
            self.held_at = self.held_at.max(world.now);
        }
        let since = world.now.saturating_sub(self.held_at);
        let gone = world.knobs.births + world.knobs.vms;
        let obstacles = Obstacles {
            servers: world.hosts.len() as u32,
            unreachable_vms: gone as u32,
            dead_servers: 0,
        };
        let bound = world.bound(obstacles);
        let bound = bound.first_line + bound.second_line;
        if since > bound {
            return Err(format!(
                "nobody has held a token for {since:?}, {bound:?} is the bound"
            ));
        }
        Ok(())
    }
}
