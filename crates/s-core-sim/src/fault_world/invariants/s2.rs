//! S2: a VM has at most one migration in flight, and one home.

use super::{Invariant, Seen};
use crate::fault_world::world::World;

#[derive(Debug)]
pub(super) struct OneHome;

impl Invariant for OneHome {
    fn name(&self) -> &'static str {
        "S2"
    }

    fn check(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::MigrationBegins { host, migration } => {
                let vm = migration.vm;
                let other = world.truth.under_way().find(|(_, other)| other.vm == vm);
                if let Some((_, other)) = other {
                    let target = world.hosts[other.target].id;
                    return Err(format!("{vm} is to migrate and is on its way to {target}"));
                }
                match world.truth.vms.get(&vm) {
                    // It may have died since it was listed.
                    None => Ok(()),
                    Some(home) if home.home == *host => Ok(()),
                    Some(home) => {
                        let (here, there) = (world.hosts[*host].id, world.hosts[home.home].id);
                        Err(format!("{here} migrates {vm}, which runs at {there}"))
                    }
                }
            }
            Seen::Moved { migration, .. } => {
                let running = world.truth.vms.get(&migration.vm);
                let here = running.is_some_and(|vm| vm.home == migration.target);
                let vm = migration.vm;
                here.then_some(())
                    .ok_or_else(|| format!("{vm} has moved and does not run there"))
            }
            _ => Ok(()),
        }
    }
}
