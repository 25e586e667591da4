//! Traffic-aware placement: cluster and cut.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use s_core_model::{Capacity, Levels, Rate, TrafficMatrix, VmIndex};

use crate::cpu_time;
use crate::packing::pack;
use crate::rack_tree::{RackTree, take};
use crate::strategy::{Instance, Proposal, Strategy, StrategyError, Watch};

const NAME: &str = "traffic-aware";

/// Traffic-aware VM placement (Meng, Pappas and Zhang, INFOCOM 2010; thesis 2.6 and \[39\]): slots are clustered by
/// the cost between them, VMs by their traffic into clusters of the same sizes with little traffic cut, clusters are
/// matched, and each is divided in the same way.
///
/// It places all VMs at once and asks nothing about where they are, which is what the thesis holds against its use again and again
/// ([`iterate`](super::iterate)): nearly all VMs move each time.
///
/// Taken from the paper's abstract and from the thesis: the objective, which is Eq. 3.1; two tiers, clusters first and then
/// what is in them; clusters of VMs by minimum cuts.
///
/// Assumed:
/// - Slots of a tree cluster by cost into its groups, so the division follows the tree from the top: data centre, groups
///   of each level, racks. Groups with one parent are equally far from each other, so which cluster gets which of
///   them is a question of size only.
/// - A Gomory-Hu tree of all VMs takes as many maximum flows as there are VMs. Here a maximum spanning forest of the traffic
///   stands in for it; where the heavy pairs form a forest the two cut alike. Pairs are joined from the heaviest down as
///   long as a cluster fits into the largest group, which is the same as cutting the light ones.
/// - Groups are filled one after the other: each begins with the largest cluster that fits and takes those that exchange most
///   with what it has. A cluster that fits nowhere whole is divided into its VMs.
/// - On which server of its rack a VM is costs nothing; it stays where it is if it is in that rack.
/// - The placement is proposed only if it costs less than the one to begin with.
///
/// What it comes to beside the others is in `docs/evaluation.md`.
///
/// [`StrategyError::NoGroups`] if the topology is not a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct TrafficAware;

impl<L: Levels> Strategy<L> for TrafficAware {
    fn name(&self) -> &str {
        NAME
    }

    fn run(
        &self,
        instance: &Instance<'_, L>,
        watch: &dyn Watch,
    ) -> Result<Proposal, StrategyError> {
        let levels = instance.model().levels();
        let (tree, before) = cpu_time::measure(|| RackTree::new(levels));
        let tree = tree.ok_or(StrategyError::NoGroups { strategy: NAME })?;
        let (hosts, after) = cpu_time::measure(|| {
            let racks = Division::new(instance, &tree).run(watch);
            racks.map(|racks| pack(instance, &tree, racks.into_iter()))
        });
        let cpu_time = before + after;
        let complete = hosts.is_some();
        let proposal = Proposal::if_cheaper(instance, hosts.flatten(), cpu_time);
        watch.progress(1.0, proposal.cost);
        Ok(Proposal {
            complete,
            ..proposal
        })
    }
}

/// Every VM in a group, from the whole data centre down to the racks.
struct Division<'a> {
    tree: &'a RackTree,
    traffic: &'a TrafficMatrix,
    memory_mib: Vec<u32>,
    /// What each group has room for.
    room: Vec<Capacity>,
    /// All pairs, the heaviest first.
    pairs: Vec<(VmIndex, VmIndex, Rate)>,
    /// The cost to begin with, for whoever looks on.
    cost: f64,
}

impl<'a> Division<'a> {
    fn new<L: Levels>(instance: &Instance<'a, L>, tree: &'a RackTree) -> Self {
        let allocation = instance.allocation();
        let racks = tree.rack_capacities(allocation);
        let room = |group| {
            let racks = tree.racks_of(group).map(|rack| racks[rack as usize]);
            racks.fold(Capacity::default(), sum)
        };
        let mut pairs: Vec<_> = instance.traffic().pairs().collect();
        pairs.sort_by_key(|(_, _, rate)| Reverse(*rate));
        Self {
            tree,
            traffic: instance.traffic(),
            memory_mib: allocation
                .vms()
                .map(|vm| allocation.memory_mib(vm))
                .collect(),
            room: (0..=tree.whole()).map(room).collect(),
            pairs,
            cost: instance.cost(),
        }
    }

    /// The rack of each VM, or `None` if stopped.
    fn run(&self, watch: &dyn Watch) -> Option<Vec<u32>> {
        let mut groups = vec![self.tree.whole(); self.memory_mib.len()];
        for level in (1..=self.tree.top()).rev() {
            if watch.is_stopped() {
                return None;
            }
            let above = self.tree.top() - level;
            watch.progress(above as f64 / self.tree.top() as f64, self.cost);
            groups = self.divide(&groups);
        }
        Some(groups)
    }

    /// From the group of each VM at a level to that at the level below.
    fn divide(&self, groups: &[u32]) -> Vec<u32> {
        let clusters = self.clusters(groups);
        let mut of_group: Vec<Vec<u32>> = vec![Vec::new(); self.tree.group_count()];
        let mut cluster_of = vec![0; groups.len()];
        for (number, cluster) in (0..).zip(&clusters) {
            of_group[groups[cluster[0].usize()] as usize].push(number);
            for vm in cluster {
                cluster_of[vm.usize()] = number;
            }
        }
        let mut filling = Filling {
            division: self,
            groups,
            room: self.room.clone(),
            part_of: vec![None; groups.len()],
            bonds: vec![Rate::ZERO; clusters.len()],
            clusters,
            cluster_of,
        };
        for (group, clusters) in (0..).zip(of_group) {
            filling.fill(self.tree.parts(group), clusters);
        }
        let parts = filling.part_of.into_iter().zip(groups);
        // Too much memory for any part: the packing of servers finds it a place.
        parts
            .map(|(part, group)| part.unwrap_or(self.tree.parts(*group).start))
            .collect()
    }

    /// VMs of one group that are joined by heavy pairs, at most as many as fit into the largest part.
    fn clusters(&self, groups: &[u32]) -> Vec<Vec<VmIndex>> {
        let limit = |group: u32| {
            let parts = self.tree.parts(group);
            let room = parts.map(|part| self.room[part as usize]);
            room.fold(Capacity::default(), |most, room| Capacity {
                vm_slots: most.vm_slots.max(room.vm_slots),
                memory_mib: most.memory_mib.max(room.memory_mib),
            })
        };
        let limits: Vec<Capacity> = (0..=self.tree.whole()).map(limit).collect();
        let mut forest = Forest::new(&self.memory_mib);
        for (a, b, _) in &self.pairs {
            let group = groups[a.usize()];
            if group == groups[b.usize()] {
                forest.join(a.get(), b.get(), limits[group as usize]);
            }
        }
        forest.into_clusters()
    }
}

/// Trees of joined VMs (union-find), with the room that each takes.
struct Forest {
    parents: Vec<u32>,
    demands: Vec<Capacity>,
}

impl Forest {
    fn new(memory_mib: &[u32]) -> Self {
        let demand = |memory_mib: &u32| Capacity {
            vm_slots: 1,
            memory_mib: u64::from(*memory_mib),
        };
        Self {
            parents: (0..memory_mib.len() as u32).collect(),
            demands: memory_mib.iter().map(demand).collect(),
        }
    }

    fn root(&mut self, mut vm: u32) -> u32 {
        while self.parents[vm as usize] != vm {
            let above = self.parents[self.parents[vm as usize] as usize];
            self.parents[vm as usize] = above;
            vm = above;
        }
        vm
    }

    fn join(&mut self, a: u32, b: u32, limit: Capacity) {
        let (a, b) = (self.root(a), self.root(b));
        let [one, other] = [a, b].map(|root| self.demands[root as usize]);
        let both = sum(one, other);
        if a != b && covers(limit, both) {
            let (below, above) = if one.vm_slots < other.vm_slots {
                (a, b)
            } else {
                (b, a)
            };
            self.parents[below as usize] = above;
            self.demands[above as usize] = both;
        }
    }

    /// The VMs of each tree, ascending; the trees by their first VM.
    fn into_clusters(mut self) -> Vec<Vec<VmIndex>> {
        let mut number_of = vec![None; self.parents.len()];
        let mut clusters: Vec<Vec<VmIndex>> = Vec::new();
        for vm in 0..self.parents.len() as u32 {
            let root = self.root(vm) as usize;
            let number = *number_of[root].get_or_insert(clusters.len());
            if number == clusters.len() {
                clusters.push(Vec::new());
            }
            clusters[number].push(VmIndex::new(vm));
        }
        clusters
    }
}

fn sum(a: Capacity, b: Capacity) -> Capacity {
    Capacity {
        vm_slots: a.vm_slots.saturating_add(b.vm_slots),
        memory_mib: a.memory_mib.saturating_add(b.memory_mib),
    }
}

fn covers(room: Capacity, demand: Capacity) -> bool {
    room.vm_slots >= demand.vm_slots && room.memory_mib >= demand.memory_mib
}

/// Puts clusters into the parts of their group.
struct Filling<'a> {
    division: &'a Division<'a>,
    groups: &'a [u32],
    /// What is left of each part.
    room: Vec<Capacity>,
    part_of: Vec<Option<u32>>,
    clusters: Vec<Vec<VmIndex>>,
    cluster_of: Vec<u32>,
    /// What each cluster exchanges with the part being filled.
    bonds: Vec<Rate>,
}

impl Filling<'_> {
    fn fill(&mut self, parts: Range<u32>, mut clusters: Vec<u32>) {
        clusters.sort_by_key(|cluster| Reverse(self.clusters[*cluster as usize].len()));
        let mut by_room: Vec<u32> = parts.clone().collect();
        by_room.sort_by_key(|part| Reverse(self.room[*part as usize].vm_slots));
        for part in by_room {
            self.fill_part(part, &mut clusters);
        }
        for cluster in clusters {
            for vm in self.clusters[cluster as usize].clone() {
                self.place_alone(vm, parts.clone());
            }
        }
    }

    /// Fills a part with whole clusters; those that it takes are removed.
    fn fill_part(&mut self, part: u32, clusters: &mut Vec<u32>) {
        clusters
            .iter()
            .for_each(|cluster| self.bonds[*cluster as usize] = Rate::ZERO);
        let mut heap: BinaryHeap<(Rate, Reverse<u32>)> = BinaryHeap::new();
        loop {
            let fits = |cluster: &u32| covers(self.room[part as usize], self.demand(*cluster));
            let bonded = std::iter::from_fn(|| heap.pop()).find(|(bond, Reverse(cluster))| {
                *bond == self.bonds[*cluster as usize] && !self.is_placed(*cluster) && fits(cluster)
            });
            let largest = || {
                clusters
                    .iter()
                    .copied()
                    .find(|c| !self.is_placed(*c) && fits(c))
            };
            let Some(cluster) = bonded.map(|(_, Reverse(cluster))| cluster).or_else(largest) else {
                break;
            };
            for vm in self.clusters[cluster as usize].clone() {
                self.place(vm, part);
            }
            for vm in &self.clusters[cluster as usize] {
                for (peer, rate) in self.division.traffic.peers(*vm) {
                    if self.groups[peer.usize()] == self.groups[vm.usize()] {
                        let cluster = self.cluster_of[peer.usize()];
                        let bond = &mut self.bonds[cluster as usize];
                        *bond = *bond + rate;
                        heap.push((*bond, Reverse(cluster)));
                    }
                }
            }
        }
        clusters.retain(|cluster| !self.is_placed(*cluster));
    }

    /// Puts a VM of a cluster that fits nowhere as a whole into the part that it exchanges most with, of those with room.
    fn place_alone(&mut self, vm: VmIndex, parts: Range<u32>) {
        let mut bonds = vec![Rate::ZERO; parts.len()];
        for (peer, rate) in self.division.traffic.peers(vm) {
            if let Some(part) = self.part_of[peer.usize()].filter(|part| parts.contains(part)) {
                let bond = &mut bonds[(part - parts.start) as usize];
                *bond = *bond + rate;
            }
        }
        let memory_mib = self.division.memory_mib[vm.usize()];
        let open = parts.zip(bonds);
        let open = open.filter(|(part, _)| self.room[*part as usize].admits(memory_mib));
        if let Some((part, _)) = open.max_by_key(|(part, bond)| (*bond, Reverse(*part))) {
            self.place(vm, part);
        }
    }

    fn place(&mut self, vm: VmIndex, part: u32) {
        take(
            &mut self.room[part as usize],
            self.division.memory_mib[vm.usize()],
        );
        self.part_of[vm.usize()] = Some(part);
    }

    fn is_placed(&self, cluster: u32) -> bool {
        self.part_of[self.clusters[cluster as usize][0].usize()].is_some()
    }

    fn demand(&self, cluster: u32) -> Capacity {
        let vms = &self.clusters[cluster as usize];
        let memory = vms
            .iter()
            .map(|vm| u64::from(self.division.memory_mib[vm.usize()]));
        Capacity {
            vm_slots: vms.len() as u32,
            memory_mib: memory.sum(),
        }
    }
}
