//! Edge assembly crossover, carried over from tours to placements.
//!
//! For the travelling salesman, EAX overlays the edges of two tours and splits them into cycles that take edges
//! of A and B in turn; an E-set is one or more such cycles, and exchanging its A-edges for its B-edges
//! keeps every city's degree at two. Here a placement is a bipartite graph: an edge joins a VM to its rack. Every
//! VM has degree one and a rack has as many edges as VMs. Where A and B differ, a VM has one edge of each, so a
//! cycle that takes edges of A and B in turn is a closed walk from rack to rack, each step a VM that leads from its
//! rack in A to its rack in B. Exchanging the edges of one cycle moves these VMs around it, and every rack
//! keeps its number of VMs. Where B fills racks otherwise than A, walks are left that end where B has more VMs
//! than A; any choice of them leaves a rack with a number of VMs between that of A and that of B.
//!
//! So any set of cycles and walks is an E-set, and its child has room for all VMs' slots; memory is
//! looked at where VMs differ in it.

use rand::RngExt;
use rand_pcg::Pcg64Mcg;

use super::problem::{Draft, Rack};
use crate::traffic::shuffle;

/// Makes the child of A, which the draft holds, and B: A with every cycle and walk exchanged that lowers the
/// cost in its turn; they come in random order.
pub(super) fn cross(draft: &mut Draft<'_>, b: &[Rack], random: &mut Pcg64Mcg) {
    let sets = ExchangeSets::new(&draft.racks, b, draft.problem.rack_count(), random);
    let mut order: Vec<u32> = (0..sets.len() as u32).collect();
    shuffle(&mut order, random);
    for set in order {
        let moves = sets.vms(set as usize).iter();
        let least = draft.problem.rounding;
        draft.relocate_all(moves.map(|vm| (*vm, b[*vm as usize])), |gain| gain > least);
    }
}

/// The VMs whose rack differs in A and B, split into cycles and walks.
pub(super) struct ExchangeSets {
    vms: Vec<u32>,
    starts: Vec<u32>,
}

impl ExchangeSets {
    pub(super) fn new(a: &[Rack], b: &[Rack], racks: usize, random: &mut Pcg64Mcg) -> Self {
        let mut walker = Walker::new(a, b, racks, random);
        // Beginning where A has more VMs than B, a walk ends where B has more; what is left then is cycles.
        for rack in 0..racks {
            for _ in 0..walker.surplus[rack] {
                walker.walk(rack);
            }
        }
        for rack in 0..racks {
            walker.walk(rack);
        }
        walker.sets
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub(super) fn vms(&self, set: usize) -> &[u32] {
        &self.vms[self.starts[set] as usize..self.starts[set + 1] as usize]
    }

    fn push(&mut self, vms: &[u32]) {
        self.vms.extend_from_slice(vms);
        self.starts.push(self.vms.len() as u32);
    }
}

/// Walks from rack to rack along VMs that differ, each taken once.
struct Walker<'a> {
    b: &'a [Rack],
    /// The VMs that differ, by their rack in A, in random order; those still there are `left[rack]`.
    arcs: Vec<u32>,
    left: Vec<std::ops::Range<usize>>,
    /// By how many VMs A has more than B.
    surplus: Vec<usize>,
    /// Where a rack stands on the walk, or `OFF`.
    position: Vec<u32>,
    sets: ExchangeSets,
}

const OFF: u32 = u32::MAX;

impl<'a> Walker<'a> {
    fn new(a: &[Rack], b: &'a [Rack], racks: usize, random: &mut Pcg64Mcg) -> Self {
        let (mut out, mut into) = (vec![0usize; racks], vec![0usize; racks]);
        let differ = || (0..a.len()).filter(|vm| a[*vm] != b[*vm]);
        for vm in differ() {
            out[usize::from(a[vm])] += 1;
            into[usize::from(b[vm])] += 1;
        }
        let mut end = 0;
        let mut left: Vec<_> = (out.iter())
            .map(|count| {
                let start = end;
                end += count;
                start..start
            })
            .collect();
        let mut arcs = vec![0; end];
        for vm in differ() {
            let left = &mut left[usize::from(a[vm])];
            arcs[left.end] = vm as u32;
            left.end += 1;
        }
        for range in &left {
            shuffle(&mut arcs[range.clone()], random);
        }
        Self {
            b,
            arcs,
            left,
            surplus: (out.iter().zip(&into))
                .map(|(out, into)| out.saturating_sub(*into))
                .collect(),
            position: vec![OFF; racks],
            sets: ExchangeSets {
                vms: Vec::with_capacity(end),
                starts: vec![0],
            },
        }
    }

    fn next_vm(&mut self, rack: usize) -> Option<u32> {
        Some(self.arcs[self.left[rack].next()?])
    }

    /// Follows VMs from `start` until none leads on. A rack that is reached again closes a cycle, which leaves the walk.
    fn walk(&mut self, start: usize) {
        let mut path: Vec<u32> = Vec::new();
        let mut on_path = vec![start];
        self.position[start] = 0;
        let mut at = start;
        while let Some(vm) = self.next_vm(at) {
            path.push(vm);
            at = usize::from(self.b[vm as usize]);
            if self.position[at] == OFF {
                self.position[at] = path.len() as u32;
                on_path.push(at);
                continue;
            }
            let from = self.position[at] as usize;
            self.sets.push(&path[from..]);
            path.truncate(from);
            for rack in on_path.drain(from + 1..) {
                self.position[rack] = OFF;
            }
        }
        if !path.is_empty() {
            self.sets.push(&path);
        }
        for rack in on_path {
            self.position[rack] = OFF;
        }
    }
}

/// How many children without a mutation there are to one with it, plus one.
const CHILDREN_PER_MUTATION: u32 = 10;

/// The most VMs that a mutation swaps.
const MAX_SWAPS: u32 = 16;

/// Some children have a random number of VMs swap racks, each with what is in a random VM slot: another VM, or nothing.
/// Whether that is any good is left to selection: in later crossovers it is a cycle or a walk like others.
pub(super) fn mutate(draft: &mut Draft<'_>, random: &mut Pcg64Mcg) {
    let problem = draft.problem;
    let vms = draft.racks.len() as u32;
    if vms == 0 || random.random_range(0..CHILDREN_PER_MUTATION) > 0 {
        return;
    }
    for _ in 0..random.random_range(1..=MAX_SWAPS.min(1 + vms / 8)) {
        let vm = random.random_range(0..vms);
        let here = draft.racks[vm as usize];
        let slot = random.random_range(0..problem.slots);
        // The first slots stand for those that are taken.
        let other = u32::try_from(slot).ok().filter(|other| *other < vms);
        let there = match other {
            Some(other) => draft.racks[other as usize],
            None => random.random_range(0..problem.rack_count() as u32) as Rack,
        };
        if here != there {
            let swap = std::iter::once((vm, there)).chain(other.map(|other| (other, here)));
            draft.relocate_all(swap, |_| true);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn loads(racks: &[Rack]) -> Vec<i32> {
        let mut loads = vec![0; 7];
        racks.iter().for_each(|rack| loads[usize::from(*rack)] += 1);
        loads
    }

    /// All sets together make B of A; a cycle keeps every rack's load, a walk moves one VM's load from its start to
    /// its end, and what some of the sets make of A has loads between those of A and B.
    #[test]
    fn exchange_sets_keep_loads() {
        for seed in 0..200 {
            let random = &mut Pcg64Mcg::seed_from_u64(seed);
            let [a, b] = [(); 2].map(|()| -> Vec<Rack> {
                (0..60)
                    .map(|_| random.random_range(0..7_u32) as Rack)
                    .collect()
            });
            let sets = ExchangeSets::new(&a, &b, 7, random);
            let (mut some, mut all) = (a.clone(), a.clone());
            for set in 0..sets.len() {
                let mut alone = a.clone();
                let chosen = random.random_bool(0.5);
                for vm in sets.vms(set) {
                    let vm = *vm as usize;
                    assert_eq!(all[vm], a[vm], "VM {vm} is in two sets");
                    alone[vm] = b[vm];
                    all[vm] = b[vm];
                    some[vm] = if chosen { b[vm] } else { a[vm] };
                }
                let changes = loads(&alone).into_iter().zip(loads(&a)).map(|(x, y)| x - y);
                let mut changes: Vec<i32> = changes.filter(|change| *change != 0).collect();
                changes.sort_unstable();
                assert!(changes.is_empty() || changes == [-1, 1], "{changes:?}");
            }
            assert_eq!(all, b);
            for ((some, a), b) in loads(&some).into_iter().zip(loads(&a)).zip(loads(&b)) {
                assert!((a.min(b)..=a.max(b)).contains(&some), "{some} {a} {b}");
            }
        }
    }
}
