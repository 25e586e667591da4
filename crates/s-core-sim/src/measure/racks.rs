//! Which server is in which rack.

use std::collections::BTreeMap;

use s_core_model::{Allocation, Level, Levels, ServerIndex, TrafficMatrix};

/// The racks of a topology, numbered from 0 in the order of their first servers.
#[derive(Clone, Debug)]
pub(super) struct Racks {
    of_server: Vec<u32>,
    count: usize,
}

impl Racks {
    /// The groups of level 0, or `None` if the topology does not group its servers.
    pub(super) fn new(levels: &impl Levels) -> Option<Self> {
        let mut number_of = BTreeMap::new();
        let servers = 0..u32::try_from(levels.server_count()).ok()?;
        let of_server = servers
            .map(|server| {
                let group = levels.group(ServerIndex::new(server), Level::ZERO)?;
                let next = number_of.len() as u32;
                Some(*number_of.entry(group).or_insert(next))
            })
            .collect::<Option<_>>()?;
        Some(Self {
            of_server,
            count: number_of.len(),
        })
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn rack_of(&self, server: ServerIndex) -> usize {
        self.of_server[server.usize()] as usize
    }

    /// The pairs whose VMs are in different racks: both racks and λ in bytes per second.
    pub(super) fn traffic_between(
        &self,
        allocation: &Allocation,
        traffic: &TrafficMatrix,
    ) -> impl Iterator<Item = (usize, usize, f64)> {
        traffic.pairs().filter_map(|(u, v, rate)| {
            let [a, b] = [u, v].map(|vm| self.rack_of(allocation.host(vm)));
            (a != b).then(|| (a, b, rate.bytes_per_second()))
        })
    }

    /// For each rack, the traffic that its switch exchanges with other racks, in bytes per second.
    pub(super) fn loads(&self, allocation: &Allocation, traffic: &TrafficMatrix) -> Vec<f64> {
        let mut loads = vec![0.0; self.count];
        for (a, b, rate) in self.traffic_between(allocation, traffic) {
            loads[a] += rate;
            loads[b] += rate;
        }
        loads
    }

    /// How many racks host no VM.
    pub(super) fn idle(&self, allocation: &Allocation) -> usize {
        let mut busy = vec![false; self.count];
        for vm in allocation.vms() {
            busy[self.rack_of(allocation.host(vm))] = true;
        }
        busy.iter().filter(|busy| !**busy).count()
    }
}
