//! What is so, whoever knows it: VMs, their homes and traffic, and the migrations under way.

use std::collections::BTreeMap;
use std::time::Duration;

use s_core_model::{Capacity, CostModel, Levels, Rate, ServerIndex, VmId};

use super::clock::Time;

#[derive(Clone, Copy, Debug)]
pub(super) struct Vm {
    /// Where it runs: the index of a server.
    pub(super) home: usize,
    pub(super) memory_mib: u32,
}

/// How far a migration has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The target has not let it in yet.
    Begun,
    /// It takes up room on the target.
    Arriving,
    Over,
}

/// A migration from the moment when a hypervisor was told to make it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Migration {
    pub(super) vm: VmId,
    pub(super) memory_mib: u32,
    pub(super) source: usize,
    pub(super) target: usize,
    /// The process of the source's agent that waits for its end.
    pub(super) process: u64,
    pub(super) stage: Stage,
    /// How long it takes from the arrival on.
    pub(super) takes: Duration,
    /// Whether it ends on the target.
    pub(super) moves: bool,
    /// Whether the source's agent hears how it ended.
    pub(super) answered: bool,
    /// Whether that agent has been told something.
    pub(super) told: bool,
}

/// The hypervisors and the network between the VMs.
#[derive(Clone, Debug)]
pub(super) struct Truth {
    pub(super) vms: BTreeMap<VmId, Vm>,
    /// λ in bytes per second, lower id first.
    pub(super) pairs: BTreeMap<(VmId, VmId), f64>,
    pub(super) migrations: Vec<Migration>,
    capacities: Vec<Capacity>,
    /// Rises with each birth, death, move and change of traffic.
    pub(super) version: u64,
    /// When a migration last ended.
    pub(super) changed_at: Time,
}

impl Truth {
    pub(super) fn new(capacities: Vec<Capacity>) -> Self {
        Self {
            vms: BTreeMap::new(),
            pairs: BTreeMap::new(),
            migrations: Vec::new(),
            capacities,
            version: 0,
            changed_at: Time::ZERO,
        }
    }

    pub(super) fn capacity(&self, server: usize) -> Capacity {
        self.capacities[server]
    }

    pub(super) fn hosted(&self, server: usize) -> impl Iterator<Item = (VmId, u32)> + '_ {
        let here = self.vms.iter().filter(move |(_, vm)| vm.home == server);
        here.map(|(id, vm)| (*id, vm.memory_mib))
    }

    pub(super) fn arriving(&self, server: usize) -> impl Iterator<Item = (VmId, u32)> + '_ {
        let arriving = self.under_way().map(|(_, migration)| migration);
        arriving
            .filter(move |m| m.stage == Stage::Arriving && m.target == server)
            .map(|m| (m.vm, m.memory_mib))
    }

    /// Migrations that have not ended, with their numbers.
    pub(super) fn under_way(&self) -> impl Iterator<Item = (usize, &Migration)> + '_ {
        let all = self.migrations.iter().enumerate();
        all.filter(|(_, migration)| migration.stage != Stage::Over)
    }

    /// What is left beside the VMs that run here and those that arrive; nothing if they are too many.
    pub(super) fn free(&self, server: usize) -> Capacity {
        let taken = self.hosted(server).chain(self.arriving(server));
        taken.fold(self.capacities[server], |left, (_, memory)| Capacity {
            vm_slots: left.vm_slots.saturating_sub(1),
            memory_mib: left.memory_mib.saturating_sub(u64::from(memory)),
        })
    }

    /// λ from the VM to each of its peers.
    pub(super) fn peers(&self, vm: VmId) -> Vec<(VmId, Rate)> {
        let of = |(pair, rate): (&(VmId, VmId), &f64)| {
            let peer = match *pair {
                (a, b) if a == vm => b,
                (a, b) if b == vm => a,
                _ => return None,
            };
            Some((
                peer,
                Rate::new(*rate).expect("drawn below the highest rate"),
            ))
        };
        self.pairs.iter().filter_map(of).collect()
    }

    /// Eq. 3.1 of the whole data centre: each unordered pair counts twice.
    pub(super) fn cost<L: Levels>(&self, model: &CostModel<L>) -> f64 {
        let at = |vm: &VmId| Some(ServerIndex::new(self.vms.get(vm)?.home as u32));
        let cost = |((a, b), rate): (&(VmId, VmId), &f64)| {
            Some(2.0 * rate * model.path_cost(at(a)?, at(b)?))
        };
        self.pairs.iter().filter_map(cost).sum()
    }
}
