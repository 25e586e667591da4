//! An instance as a graph and a tree, and the way back.

use rand_pcg::Pcg64Mcg;
use s_core_model::{Levels, ServerIndex, VmIndex};

use super::graph::Graph;
use super::mapping::Mapping;
use super::pack::{Packed, pack};
use super::relabel::{relabel, trade};
use super::{exchange, refine};
use crate::rack_tree::{RackTree, server_capacities};
use crate::reference::size::Size;
use crate::reference::tree::Tree;
use crate::strategy::Instance;

/// How often servers are refined.
const PASSES: u32 = 4;

/// An instance, with those VMs that talk to somebody as a graph.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) graph: Graph,
    pub(super) tree: Tree,
    /// The VM of each vertex.
    vms: Vec<u32>,
    sizes: Vec<Size>,
    hosts: Vec<ServerIndex>,
    rooms: Vec<Size>,
}

impl Problem {
    /// `None` if the topology has no groups.
    pub(super) fn new<L: Levels>(instance: &Instance<'_, L>) -> Option<Self> {
        let allocation = instance.allocation();
        let memory = |vm| u64::from(allocation.memory_mib(vm));
        let sizes: Vec<Size> = allocation
            .vms()
            .map(|vm| Size::new(1, memory(vm)))
            .collect();
        let rooms: Vec<Size> =
            (server_capacities(allocation).into_iter().map(Size::from)).collect();
        let usable = usable(&rooms, &sizes);
        let model = instance.model();
        let room = |server: ServerIndex| usable[server.usize()];
        let tree = Tree::new(RackTree::new(model.levels())?, model.weights().iter(), room);
        let (graph, vms) = graph(instance, &sizes);
        Some(Self {
            graph,
            tree,
            vms,
            sizes,
            hosts: allocation.vms().map(|vm| allocation.host(vm)).collect(),
            rooms,
        })
    }

    /// A server for each VM, given a rack for each vertex.
    pub(super) fn hosts<L: Levels>(
        &self,
        instance: &Instance<'_, L>,
        mut racks: Vec<u32>,
        random: &mut Pcg64Mcg,
    ) -> Vec<ServerIndex> {
        let home = |vm: &u32| self.tree.groups.rack_of(self.hosts[*vm as usize]);
        let homes: Vec<u32> = self.vms.iter().map(home).collect();
        relabel(&self.tree, &mut racks, &homes);
        trade(&self.graph, &self.tree, &mut racks, &homes);
        let racks = self.homewards(racks, &homes);
        let mut rack_of_vm = vec![None; self.sizes.len()];
        for (vm, rack) in self.vms.iter().zip(racks) {
            rack_of_vm[*vm as usize] = Some(rack);
        }
        match pack(instance.allocation(), &self.tree.groups, &rack_of_vm) {
            Some(Packed {
                hosts,
                is_as_wanted: true,
            }) => hosts,
            Some(Packed { hosts, .. }) => self.refined(instance, hosts, random),
            None => self.refined(instance, self.hosts.clone(), random),
        }
    }

    /// The servers of VMs made better, server by server and not rack by rack. VMs that talk to nobody stay.
    fn refined<L: Levels>(
        &self,
        instance: &Instance<'_, L>,
        mut hosts: Vec<ServerIndex>,
        random: &mut Pcg64Mcg,
    ) -> Vec<ServerIndex> {
        let mut rooms = self.rooms.clone();
        let mut talks = vec![false; hosts.len()];
        for vm in &self.vms {
            talks[*vm as usize] = true;
        }
        for (vm, host) in hosts.iter().enumerate().filter(|(vm, _)| !talks[*vm]) {
            rooms[host.usize()] -= self.sizes[vm];
        }
        let model = instance.model();
        let room = |server: ServerIndex| rooms[server.usize()];
        let Some(servers) = RackTree::of_servers(model.levels()) else {
            return hosts;
        };
        // To stay within a rack costs nothing, whichever the server.
        let weights = std::iter::once(0.0).chain(model.weights().iter());
        let tree = Tree::new(servers, weights, room);
        let place = |vm: &u32| tree.groups.rack_of(hosts[*vm as usize]);
        let places = self.vms.iter().map(place);
        let mut mapping = Mapping::new(&self.graph, &tree, places.collect());
        for _ in 0..PASSES {
            refine::refine(&mut mapping, PASSES, random);
            exchange::exchange(&mut mapping, random);
        }
        for (vm, place) in self.vms.iter().zip(mapping.into_racks()) {
            hosts[*vm as usize] = tree.groups.servers_of(place)[0];
        }
        hosts
    }

    /// Lets those stay in their rack who may as well.
    fn homewards(&self, racks: Vec<u32>, homes: &[u32]) -> Vec<u32> {
        let mut mapping = Mapping::new(&self.graph, &self.tree, racks);
        for (vertex, home) in (0..).zip(homes) {
            if mapping.rack(vertex) != *home
                && mapping.has_room(*home, self.graph.size(vertex))
                && mapping.gain(vertex, *home) >= 0.0
            {
                mapping.relocate(vertex, *home);
            }
        }
        mapping.into_racks()
    }
}

/// What of a server's room can be used at all: no more slots than memory for the smallest VMs, and no more than all
/// VMs together need.
fn usable(rooms: &[Size], sizes: &[Size]) -> Vec<Size> {
    let all: Size = sizes.iter().copied().sum();
    let smallest = sizes.iter().map(|size| size.memory).min().unwrap_or(0);
    let usable = |room: &Size| {
        let by_memory = room.memory.checked_div(smallest).unwrap_or(u64::MAX);
        Size::new(
            room.slots.min(by_memory).min(all.slots),
            room.memory.min(all.memory),
        )
    };
    rooms.iter().map(usable).collect()
}

/// The VMs that talk to somebody, as a graph and by their indices.
fn graph<L: Levels>(instance: &Instance<'_, L>, sizes: &[Size]) -> (Graph, Vec<u32>) {
    let traffic = instance.traffic();
    let talks = |vm: &u32| traffic.peers(VmIndex::new(*vm)).len() > 0;
    let vms: Vec<u32> = (0..sizes.len() as u32).filter(talks).collect();
    let mut number = vec![u32::MAX; sizes.len()];
    for (vertex, vm) in (0..).zip(&vms) {
        number[*vm as usize] = vertex;
    }
    let mut graph = Graph::with_capacity(vms.len(), 2 * traffic.pair_count());
    for vm in &vms {
        let peers = traffic.peers(VmIndex::new(*vm));
        let edges = peers.map(|(peer, rate)| (number[peer.usize()], rate.bytes_per_second()));
        graph.push(sizes[*vm as usize], edges);
    }
    (graph, vms)
}
