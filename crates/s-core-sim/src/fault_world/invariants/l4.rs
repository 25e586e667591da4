//! L4: one epoch is left after a partition heals, and after any other fault.

use super::{Invariant, Seen};
use crate::fault_world::world::World;

#[derive(Debug)]
pub(super) struct OneEpoch;

impl Invariant for OneEpoch {
    fn name(&self) -> &'static str {
        "L4"
    }

    fn check(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        if !matches!(seen, Seen::Settled) {
            return Ok(());
        }
        let held = world.epochs_held();
        if held > 1 {
            return Err(format!("{held} tokens are alive"));
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
