//! S3: hosted + reserved + arriving ≤ capacity, in slots and in memory (rule R3).

use std::collections::BTreeMap;

use s_core_model::VmId;

use super::{Invariant, Seen};
use crate::fault_world::world::World;

#[derive(Debug)]
pub(super) struct WithinCapacity;

impl Invariant for WithinCapacity {
    fn name(&self) -> &'static str {
        "S3"
    }

    fn check(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        let host = match seen {
            Seen::Handled { host } => *host,
            Seen::Moved { migration, .. } => migration.target,
            _ => return Ok(()),
        };
        let reserved = world.hosts[host].node().into_iter();
        let mut taken: BTreeMap<VmId, u32> =
            reserved.flat_map(|node| node.reservations()).collect();
        if taken.is_empty() && matches!(seen, Seen::Handled { .. }) {
            // Only a promise or an arrival fills a server.
            return Ok(());
        }
        taken.extend(world.truth.arriving(host));
        taken.extend(world.truth.hosted(host));
        let memory: u64 = taken.values().copied().map(u64::from).sum();
        let capacity = world.truth.capacity(host);
        if taken.len() > capacity.vm_slots as usize || memory > capacity.memory_mib {
            let (server, slots) = (world.hosts[host].id, taken.len());
            return Err(format!(
                "{server} has {slots} VMs and {memory} MiB taken or promised of {} and {} MiB",
                capacity.vm_slots, capacity.memory_mib
            ));
        }
        Ok(())
    }
}
