//! What the genetic algorithm sees of an instance: VMs in racks, since servers of one rack cost the same.

use s_core_model::{Capacity, Level, Levels, Rate, TrafficMatrix, VmIndex};

use crate::rack_tree::{RackTree, give_back, take};
use crate::strategy::{Instance, StrategyError};

/// The number of a rack. Two bytes, so that a thousand placements of 32,768 VMs take 64 MiB.
pub(super) type Rack = u16;

pub(super) const NAME: &str = "genetic";
/// The levels of all pairs of racks take 64 MiB then.
const MAX_RACKS: usize = 1 << 13;

/// A generation and its children take 1 GiB then.
const MAX_GENES: usize = 1 << 28;

/// An instance, reduced to VMs in racks.
pub(super) struct Problem<'a> {
    pub(super) traffic: &'a TrafficMatrix,
    pub(super) tree: RackTree,
    /// What each rack has room for when it is empty.
    pub(super) room: Vec<Capacity>,
    /// Memory of each VM in MiB.
    pub(super) memory_mib: Vec<u32>,
    /// How many VM slots all racks have together.
    pub(super) slots: u64,
    /// The racks of the placement to begin with.
    pub(super) initial: Vec<Rack>,
    /// ℓ of racks a and b at a × racks + b: small enough to stay in the processor's cache.
    levels: Vec<u8>,
    /// Σ c_i up to each level.
    path_costs: Vec<f64>,
    /// Differences of costs below this are rounding: 10⁻¹³ of what it would cost if all traffic crossed the core.
    pub(super) rounding: f64,
}

impl<'a> Problem<'a> {
    pub(super) fn new<L: Levels>(instance: &Instance<'a, L>) -> Result<Self, StrategyError> {
        let model = instance.model();
        let tree =
            RackTree::new(model.levels()).ok_or(StrategyError::NoGroups { strategy: NAME })?;
        if tree.rack_count() > MAX_RACKS {
            return Err(StrategyError::TooLarge {
                strategy: NAME,
                what: "the number of racks",
                count: tree.rack_count(),
                limit: MAX_RACKS,
                advice: "take the multilevel reference",
            });
        }
        let allocation = instance.allocation();
        let rates = instance
            .traffic()
            .pairs()
            .map(|(_, _, rate)| rate.bytes_per_second());
        let highest = model.weights().path_cost(model.levels().max_level());
        let racks = tree.racks();
        let pairs = racks
            .clone()
            .flat_map(|a| racks.clone().map(move |b| (a, b)));
        let room = tree.rack_capacities(allocation);
        Ok(Self {
            traffic: instance.traffic(),
            slots: room.iter().map(|room| u64::from(room.vm_slots)).sum(),
            room,
            memory_mib: allocation
                .vms()
                .map(|vm| allocation.memory_mib(vm))
                .collect(),
            initial: (tree.racks_of_vms(allocation))
                .map(|rack| rack as Rack)
                .collect(),
            levels: pairs.map(|(a, b)| tree.level(a, b) as u8).collect(),
            path_costs: (0..=model.levels().max_level().get())
                .map(|level| model.weights().path_cost(Level::new(level)))
                .collect(),
            rounding: 2e-13 * highest * rates.sum::<f64>(),
            tree,
        })
    }

    pub(super) fn check_population(&self, population: usize) -> Result<(), StrategyError> {
        let genes = population.saturating_mul(self.vm_count());
        if genes > MAX_GENES {
            return Err(StrategyError::TooLarge {
                strategy: NAME,
                what: "the number of VMs times the population",
                count: genes,
                limit: MAX_GENES,
                advice: "take a smaller population or the multilevel reference",
            });
        }
        Ok(())
    }

    pub(super) fn vm_count(&self) -> usize {
        self.memory_mib.len()
    }

    pub(super) fn rack_count(&self) -> usize {
        self.room.len()
    }

    fn path_cost(&self, a: Rack, b: Rack) -> f64 {
        let level = self.levels[usize::from(a) * self.rack_count() + usize::from(b)];
        self.path_costs[usize::from(level)]
    }

    /// Eq. 3.1 of a placement. O(pairs).
    pub(super) fn cost(&self, racks: &[Rack]) -> f64 {
        let cost = |(a, b, rate): (VmIndex, VmIndex, Rate)| {
            rate.bytes_per_second() * self.path_cost(racks[a.usize()], racks[b.usize()])
        };
        2.0 * self.traffic.pairs().map(cost).sum::<f64>()
    }

    /// Moves a VM and returns by how much Eq. 3.1 falls. O(peers).
    pub(super) fn relocate(&self, racks: &mut [Rack], vm: u32, to: Rack) -> f64 {
        let from = std::mem::replace(&mut racks[vm as usize], to);
        let gain = |(peer, rate): (VmIndex, Rate)| {
            let at = racks[peer.usize()];
            rate.bytes_per_second() * (self.path_cost(from, at) - self.path_cost(to, at))
        };
        2.0 * self.traffic.peers(VmIndex::new(vm)).map(gain).sum::<f64>()
    }

    /// What each rack has room for beside the VMs that this placement puts there, or `None` if a rack is overfull.
    pub(super) fn room_left(&self, racks: &[Rack]) -> Option<Vec<Capacity>> {
        let mut room = self.room.clone();
        for (rack, memory_mib) in racks.iter().zip(&self.memory_mib) {
            let room = &mut room[usize::from(*rack)];
            if !room.admits(*memory_mib) {
                return None;
            }
            take(room, *memory_mib);
        }
        Some(room)
    }
}

/// A placement on its way from one individual to another, with its cost and the room that it leaves.
pub(super) struct Draft<'a> {
    pub(super) problem: &'a Problem<'a>,
    pub(super) racks: Vec<Rack>,
    pub(super) cost: f64,
    room: Vec<Capacity>,
    /// Where VMs were before they were moved.
    before: Vec<(u32, Rack)>,
}

impl<'a> Draft<'a> {
    /// A draft of a placement that no rack is overfull in.
    pub(super) fn new(problem: &'a Problem<'a>, racks: Vec<Rack>, cost: f64) -> Self {
        let room = problem.room_left(&racks);
        Self {
            room: room.expect("individuals are within the capacity of all racks"),
            problem,
            racks,
            cost,
            before: Vec::new(),
        }
    }

    /// Moves all these VMs, each to its rack, if they fit and `accept` likes by how much the cost falls;
    /// otherwise nothing changes. No VM may be named twice.
    pub(super) fn relocate_all(
        &mut self,
        moves: impl Iterator<Item = (u32, Rack)> + Clone,
        accept: impl Fn(f64) -> bool,
    ) -> bool {
        self.before.clear();
        let mut gain = 0.0;
        for (vm, to) in moves.clone() {
            let from = self.racks[vm as usize];
            self.before.push((vm, from));
            give_back(
                &mut self.room[usize::from(from)],
                self.problem.memory_mib[vm as usize],
            );
            gain += self.problem.relocate(&mut self.racks, vm, to);
        }
        let mut taken = 0;
        let fits = moves.clone().all(|(vm, to)| {
            let memory_mib = self.problem.memory_mib[vm as usize];
            let room = &mut self.room[usize::from(to)];
            let fits = room.admits(memory_mib);
            if fits {
                take(room, memory_mib);
                taken += 1;
            }
            fits
        });
        if fits && accept(gain) {
            // Rounding must not make it negative where nothing is left to pay for.
            self.cost = (self.cost - gain).max(0.0);
            return true;
        }
        for (vm, to) in moves.take(taken) {
            give_back(
                &mut self.room[usize::from(to)],
                self.problem.memory_mib[vm as usize],
            );
        }
        for (vm, from) in self.before.drain(..) {
            self.racks[vm as usize] = from;
            take(
                &mut self.room[usize::from(from)],
                self.problem.memory_mib[vm as usize],
            );
        }
        false
    }
}
