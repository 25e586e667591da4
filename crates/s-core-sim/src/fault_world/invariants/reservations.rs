//! R3: no reservation outlives its need. Whoever hears that a migration failed has the room released, and a target that
//! hears it keeps none; and none is left when nothing moves any more.

use std::collections::BTreeMap;

use s_core_model::VmId;
use s_core_proto::{Action, Input, Message, Outcome};

use super::{Invariant, Seen};
use crate::fault_world::world::World;

#[derive(Debug, Default)]
pub(super) struct Released {
    /// What each node is just being told: a migration from there, or an arrival, has failed.
    failed: BTreeMap<usize, (VmId, bool)>,
    released: bool,
}

impl Released {
    fn begins(&mut self, world: &World, host: usize, input: &Input) {
        self.failed.remove(&host);
        self.released = false;
        match input {
            Input::MigrationEnded {
                vm,
                outcome: Outcome::StayedHere,
            } => {
                // The first answer counts.
                if world.awaited(host) == Some(*vm) {
                    self.failed.insert(host, (*vm, true));
                }
            }
            Input::ArrivalFailed { vm } => {
                self.failed.insert(host, (*vm, false));
            }
            _ => {}
        }
    }
}

impl Invariant for Released {
    fn name(&self) -> &'static str {
        "R3"
    }

    fn check(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Input { host, input } => self.begins(world, *host, input),
            Seen::Action {
                host,
                action:
                    Action::Send {
                        message: Message::Release { vm, .. },
                        ..
                    },
            } => {
                let failed = self.failed.get(host);
                self.released |= failed.is_some_and(|(failed, _)| failed == vm);
            }
            Seen::Handled { host } => match self.failed.remove(host) {
                Some((vm, true)) if !self.released => {
                    return Err(format!("{vm} stays and its room is not released"));
                }
                Some((vm, false)) => {
                    let node = world.hosts[*host].node().into_iter();
                    let mut kept = node.flat_map(|node| node.reservations());
                    if kept.any(|(kept, _)| kept == vm) {
                        return Err(format!("{vm} does not come and room is kept for it"));
                    }
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }
}
