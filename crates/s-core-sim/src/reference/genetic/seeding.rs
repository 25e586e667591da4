//! The first individuals: densely packed placements.

use std::collections::BinaryHeap;

use rand_pcg::Pcg64Mcg;
use s_core_model::{Rate, VmIndex};

use super::problem::{Problem, Rack};
use crate::rack_tree::take;
use crate::traffic::shuffle;

/// How many VMs in succession that do not fit close a rack.
const TRIES: usize = 64;

/// Fills rack after rack, in the order of the tree, up to the last slot: each rack begins with a VM that
/// exchanges much with those already placed, or with a random one, and grows by the VM that exchanges most
/// with the VMs already in it. `None` if VMs of unequal memory fit no more.
pub(super) fn densely_packed(problem: &Problem<'_>, random: &mut Pcg64Mcg) -> Option<Vec<Rack>> {
    let mut order: Vec<u32> = (0..problem.vm_count() as u32).collect();
    shuffle(&mut order, random);
    let mut packing = Packing {
        problem,
        racks: vec![None; order.len()],
        bonds: vec![(0, Rate::ZERO); order.len()],
        heap: BinaryHeap::new(),
        waiting: order,
    };
    for rack in 0..problem.rack_count() as Rack {
        packing.fill(rack);
    }
    packing.racks.into_iter().collect()
}

struct Packing<'a> {
    problem: &'a Problem<'a>,
    racks: Vec<Option<Rack>>,
    /// Per VM, the rack being filled when it was last looked at and what it exchanges with the VMs there.
    bonds: Vec<(Rack, Rate)>,
    /// VMs with their bonds to the rack being filled; outdated entries are skipped.
    heap: BinaryHeap<(Rate, u32)>,
    /// VMs in random order, the next last; some of them may have been placed since.
    waiting: Vec<u32>,
}

impl Packing<'_> {
    fn fill(&mut self, rack: Rack) {
        let mut room = self.problem.room[usize::from(rack)];
        let mut unfit = Vec::new();
        let mut first = self.next_bonded();
        self.heap.clear();
        while room.vm_slots > 0 && unfit.len() < TRIES {
            let next = first.take().or_else(|| self.next_bonded());
            let Some(vm) = next.or_else(|| self.next_waiting()) else {
                break;
            };
            let memory_mib = self.problem.memory_mib[vm as usize];
            if room.admits(memory_mib) {
                take(&mut room, memory_mib);
                self.place(vm, rack);
            } else {
                unfit.push(vm);
            }
        }
        self.waiting.extend(unfit.into_iter().rev());
    }

    fn next_bonded(&mut self) -> Option<u32> {
        loop {
            let (bond, vm) = self.heap.pop()?;
            if self.racks[vm as usize].is_none() && self.bonds[vm as usize].1 == bond {
                return Some(vm);
            }
        }
    }

    fn next_waiting(&mut self) -> Option<u32> {
        loop {
            let vm = self.waiting.pop()?;
            if self.racks[vm as usize].is_none() {
                return Some(vm);
            }
        }
    }

    fn place(&mut self, vm: u32, rack: Rack) {
        self.racks[vm as usize] = Some(rack);
        for (peer, rate) in self.problem.traffic.peers(VmIndex::new(vm)) {
            if self.racks[peer.usize()].is_none() {
                let (of, bond) = &mut self.bonds[peer.usize()];
                if *of != rack {
                    (*of, *bond) = (rack, Rate::ZERO);
                }
                *bond = *bond + rate;
                self.heap.push((*bond, peer.get()));
            }
        }
    }
}
