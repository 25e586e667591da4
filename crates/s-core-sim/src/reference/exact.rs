//! The optimum of tiny data centres, by branch and bound.

use std::collections::BTreeMap;

use s_core_model::{Levels, ServerIndex, VmIndex};

use crate::cpu_time;
use crate::strategy::{Instance, Proposal, Strategy, StrategyError, Watch};

use super::size::Size;
use super::tree::Tree;
use crate::rack_tree::{RackTree, server_capacities};

const NAME: &str = "exact";

/// The best of all placements, of at most [`MAX_VMS`](Self::MAX_VMS) VMs on [`MAX_SERVERS`](Self::MAX_SERVERS) servers.
///
/// VMs are placed one after the other, each on every server that has room, the cheapest first. Of servers in a rack
/// that have the same room left only one is tried, and of equal groups side by side that are still empty. A branch is
/// left when what it costs already, and what every VM to come costs at least to those already placed, is not below the
/// best so far.
///
/// ```
/// use s_core_sim::{DataCentre, InitialPlacement, Instance, Strategy, reference::Exact};
///
/// let snapshot = DataCentre {
///     topology: "tree:2,2x2".parse()?,
///     vm_slots: 2,
///     vms: 10,
///     ..DataCentre::thesis(InitialPlacement::Random, 1)
/// }
/// .generate()?;
/// let model = snapshot.cost_model();
/// let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation())?;
/// let optimum = Exact.run(&instance, &())?;
/// assert!(optimum.complete && optimum.cost < instance.cost());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Exact;

impl Exact {
    /// The most VMs.
    pub const MAX_VMS: usize = 12;

    /// The most servers.
    pub const MAX_SERVERS: usize = 64;
}

impl<L: Levels> Strategy<L> for Exact {
    fn name(&self) -> &str {
        NAME
    }

    fn run(
        &self,
        instance: &Instance<'_, L>,
        watch: &dyn Watch,
    ) -> Result<Proposal, StrategyError> {
        let allocation = instance.allocation();
        check("the number of VMs", allocation.vm_count(), Self::MAX_VMS)?;
        let servers = allocation.server_count();
        check("the number of servers", servers, Self::MAX_SERVERS)?;
        let (found, cpu_time) = cpu_time::measure(|| {
            let mut branching = Branching::new(instance, watch)?;
            branching.place_from(0, 0.0);
            Some((branching.best, branching.is_stopped))
        });
        let (hosts, is_stopped) = found.ok_or(StrategyError::NoGroups { strategy: NAME })?;
        let hosts: Vec<_> = hosts.into_iter().map(ServerIndex::new).collect();
        let mut proposal = Proposal::new(instance, &hosts, cpu_time)
            .expect("VMs were placed where there was room");
        proposal.complete = !is_stopped;
        Ok(proposal)
    }
}

fn check(what: &'static str, count: usize, limit: usize) -> Result<(), StrategyError> {
    if count <= limit {
        return Ok(());
    }
    Err(StrategyError::TooLarge {
        strategy: NAME,
        what,
        count,
        limit,
        advice: "take the multilevel reference",
    })
}

struct Branching<'a> {
    watch: &'a dyn Watch,
    tree: Tree,
    groups: Groups,
    /// The VMs in the order in which they are placed.
    vms: Vec<Vm>,
    /// What each server has left.
    left: Vec<Size>,
    /// The server of each VM that is placed, by its place in the order.
    host: Vec<u32>,
    /// Half of Eq. 3.1 of the best so far, and its servers.
    best_cost: f64,
    best: Vec<u32>,
    is_stopped: bool,
}

struct Vm {
    index: u32,
    size: Size,
    /// Those that are placed before it, by their places in the order.
    earlier: Vec<(usize, f64)>,
}

impl<'a> Branching<'a> {
    fn new<L: Levels>(instance: &Instance<'_, L>, watch: &'a dyn Watch) -> Option<Self> {
        let allocation = instance.allocation();
        let model = instance.model();
        let memory = |vm| u64::from(allocation.memory_mib(vm));
        let rooms: Vec<Size> =
            (server_capacities(allocation).into_iter().map(Size::from)).collect();
        let room = |server: ServerIndex| rooms[server.usize()];
        let tree = Tree::new(RackTree::new(model.levels())?, model.weights().iter(), room);
        let order = order(instance);
        let place_of = |vm: VmIndex| order.iter().position(|other| *other == vm);
        let vm = |(place, index): (usize, &VmIndex)| Vm {
            index: index.get(),
            size: Size::new(1, memory(*index)),
            earlier: (instance.traffic().peers(*index))
                .filter_map(|(peer, rate)| Some((place_of(peer)?, rate.bytes_per_second())))
                .filter(|(peer, _)| *peer < place)
                .collect(),
        };
        Some(Self {
            watch,
            groups: Groups::new(&tree.groups, &rooms),
            tree,
            vms: order.iter().enumerate().map(vm).collect(),
            left: rooms,
            host: vec![0; order.len()],
            best_cost: instance.cost() / 2.0,
            best: (allocation.vms().map(|vm| allocation.host(vm).get())).collect(),
            is_stopped: false,
        })
    }

    /// Tries all places for the VM at `place` in the order and those after it, given what those before it cost.
    fn place_from(&mut self, place: usize, cost: f64) {
        if place == self.vms.len() {
            self.best_cost = cost;
            for (vm, host) in self.vms.iter().zip(&self.host) {
                self.best[vm.index as usize] = *host;
            }
            return;
        }
        let mut servers = Vec::new();
        let size = self.vms[place].size;
        self.groups
            .offer(self.groups.top(), size, &self.left, &mut servers);
        let mut choices: Vec<(f64, u32)> = (servers.into_iter())
            .map(|server| (self.added(place, place, self.rack_of(server)), server))
            .collect();
        choices.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (tried, (added, server)) in choices.iter().enumerate() {
            if place == 0 {
                let done = tried as f64 / choices.len() as f64;
                self.watch.progress(done, 2.0 * self.best_cost);
            }
            self.is_stopped |= self.watch.is_stopped();
            if self.is_stopped {
                return;
            }
            self.host[place] = *server;
            self.left[*server as usize] -= size;
            self.groups.enter(*server);
            if self.bound(place + 1, cost + added) < self.best_cost * (1.0 - 1e-12) {
                self.place_from(place + 1, cost + added);
            }
            self.groups.leave(*server);
            self.left[*server as usize] += size;
        }
    }

    fn rack_of(&self, server: u32) -> u32 {
        self.tree.groups.rack_of(ServerIndex::new(server))
    }

    /// What the VM at `place` costs in a rack to those placed before `placed`.
    fn added(&self, place: usize, placed: usize, rack: u32) -> f64 {
        let earlier = self.vms[place].earlier.iter();
        earlier
            .filter(|(peer, _)| *peer < placed)
            .map(|(peer, rate)| {
                let other = self.rack_of(self.host[*peer]);
                rate * self.tree.path_cost(rack, other)
            })
            .sum()
    }

    /// A cost that no placement is below which begins with the first `placed` as they are, which cost `cost`.
    fn bound(&self, placed: usize, cost: f64) -> f64 {
        let least = |place: usize| {
            let racks = self
                .groups
                .racks_with_room(self.vms[place].size, &self.left);
            let costs = racks.map(|rack| self.added(place, placed, rack));
            costs.fold(f64::INFINITY, f64::min)
        };
        cost + (placed..self.vms.len()).map(least).sum::<f64>()
    }
}

/// The VM with the most traffic first, then always the one with the most traffic to those before it.
fn order<L: Levels>(instance: &Instance<'_, L>) -> Vec<VmIndex> {
    let traffic = instance.traffic();
    let mut waiting: Vec<VmIndex> = instance.allocation().vms().collect();
    let mut order: Vec<VmIndex> = Vec::new();
    while !waiting.is_empty() {
        let weight = |vm: VmIndex| {
            let near = order.iter().map(|other| traffic.rate(vm, *other));
            let near: f64 = near.map(|rate| rate.bytes_per_second()).sum();
            (near, traffic.load(vm).bytes_per_second())
        };
        let next = (0..waiting.len()).reduce(|best, other| {
            match weight(waiting[other]) > weight(waiting[best]) {
                true => other,
                false => best,
            }
        });
        order.push(waiting.remove(next.expect("somebody is waiting")));
    }
    order
}

/// The tree of groups, with what is needed to tell which are alike.
struct Groups {
    /// The whole data centre comes last.
    groups: Vec<Group>,
    /// The groups that each server is in.
    of_server: Vec<Vec<usize>>,
}

struct Group {
    children: Vec<usize>,
    /// Its rack and the servers, if it is one.
    rack: Option<u32>,
    servers: Vec<u32>,
    /// Groups side by side with equal shapes can stand for each other when they are empty.
    shape: usize,
    /// How many VMs it has.
    vms: u32,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Shape {
    Rack(Vec<(u64, u64)>),
    Group(usize, Vec<usize>),
}

impl Groups {
    fn new(tree: &RackTree, rooms: &[Size]) -> Self {
        let mut groups = Self {
            groups: Vec::new(),
            of_server: vec![Vec::new(); rooms.len()],
        };
        let mut shapes = BTreeMap::new();
        if !rooms.is_empty() {
            groups.add(tree, tree.whole(), rooms, &mut shapes);
        }
        groups
    }

    fn add(
        &mut self,
        tree: &RackTree,
        mut group: u32,
        rooms: &[Size],
        shapes: &mut BTreeMap<Shape, usize>,
    ) -> usize {
        // A group of one group is as good as that one.
        while tree.parts(group).len() == 1 {
            group = tree.parts(group).start;
        }
        let racks = tree.racks_of(group);
        let servers: Vec<u32> = (tree.servers_of(group).iter())
            .map(|server| server.get())
            .collect();
        let children: Vec<usize> = (tree.parts(group))
            .map(|part| self.add(tree, part, rooms, shapes))
            .collect();
        let is_rack = children.is_empty();
        let shape = if is_rack {
            let room = |server: &u32| rooms[*server as usize];
            let rooms = servers
                .iter()
                .map(room)
                .map(|size| (size.slots, size.memory));
            let mut rooms: Vec<_> = rooms.collect();
            rooms.sort_unstable();
            Shape::Rack(rooms)
        } else {
            let mut below: Vec<_> = children
                .iter()
                .map(|child| self.groups[*child].shape)
                .collect();
            below.sort_unstable();
            Shape::Group(tree.level(racks.start, racks.end - 1), below)
        };
        let next = shapes.len();
        let number = self.groups.len();
        for server in &servers {
            self.of_server[*server as usize].push(number);
        }
        self.groups.push(Group {
            children,
            rack: is_rack.then_some(racks.start),
            servers: if is_rack { servers } else { Vec::new() },
            shape: *shapes.entry(shape).or_insert(next),
            vms: 0,
        });
        number
    }

    fn top(&self) -> usize {
        self.groups.len() - 1
    }

    fn enter(&mut self, server: u32) {
        for group in &self.of_server[server as usize] {
            self.groups[*group].vms += 1;
        }
    }

    fn leave(&mut self, server: u32) {
        for group in &self.of_server[server as usize] {
            self.groups[*group].vms -= 1;
        }
    }

    /// Adds the servers of a group that have room for `size`, of those that are alike only the first.
    fn offer(&self, group: usize, size: Size, left: &[Size], servers: &mut Vec<u32>) {
        let group = &self.groups[group];
        let left_on = |server: &u32| left[*server as usize];
        for (place, server) in group.servers.iter().enumerate() {
            let mut before = group.servers[..place].iter();
            let is_first = before.all(|other| left_on(other) != left_on(server));
            if is_first && size.leaves_room(Size::default(), left_on(server)) {
                servers.push(*server);
            }
        }
        for (place, child) in group.children.iter().enumerate() {
            let is_like = |other: &usize| {
                let [child, other] = [*child, *other].map(|number| &self.groups[number]);
                child.vms == 0 && other.vms == 0 && child.shape == other.shape
            };
            if !group.children[..place].iter().any(is_like) {
                self.offer(*child, size, left, servers);
            }
        }
    }

    fn racks_with_room<'s>(
        &'s self,
        size: Size,
        left: &'s [Size],
    ) -> impl Iterator<Item = u32> + 's {
        let fits = move |server: &u32| size.leaves_room(Size::default(), left[*server as usize]);
        let has_room = move |group: &&Group| group.servers.iter().any(fits);
        self.groups
            .iter()
            .filter(has_room)
            .filter_map(|group| group.rack)
    }
}
