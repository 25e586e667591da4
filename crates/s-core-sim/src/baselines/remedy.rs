//! Remedy: no overloaded link.

use s_core_model::{Levels, ServerIndex, VmIndex};

use super::Moving;
use crate::cpu_time;
use crate::link_utilisation::{Link, LinkCapacities, Links, path};
use crate::rack_tree::RackTree;
use crate::strategy::{Instance, Proposal, Strategy, StrategyError, Watch};

const NAME: &str = "remedy";

/// How many VMs are considered to be moved from under a hot link.
const CANDIDATES: usize = 4;

const MIB: f64 = (1 << 20) as f64;

/// Remedy (Mann and others, NETWORKING 2012; thesis 2.6 and \[7\]): an OpenFlow controller that looks for overloaded links
/// and moves VMs so that traffic goes elsewhere.
///
/// Taken from the thesis and the paper's abstract: a controller sees the utilisation of all links; it detects the most congested ones
/// and moves VMs whose traffic crosses them; it ranks target hosts by the cost of migration, the bandwidth that is left, and
/// the balance of the network that a migration achieves; the cost of migration is the traffic that it makes; neither that nor
/// the traffic rerouted may congest another link. It balances load and is not after Eq. 3.1, which may rise.
///
/// Assumed:
/// - Link capacities are those of [`LinkCapacities`]; a link is hot above the utilisation [`hot`](Self::hot). The controller goes
///   round by round over the hot links, the hottest first, and moves one VM for each; it ends with
///   a round without a migration, or after [`rounds`](Self::rounds).
/// - A VM below a hot link is worth moving if the link is relieved of more bytes within [`horizon`](Self::horizon) seconds than
///   its migration copies; the four VMs with the most to spare are considered. Copying a VM whose pages are dirtied while
///   they are copied takes memory ÷ (1 − [`dirtied`](Self::dirtied)) bytes, the sum over all rounds of pre-copying.
/// - A target is a rack outside with room, there the server with most room. Links that carry more afterwards must not become hot,
///   or not as hot as the one that is relieved where the data centre is overloaded anyway. Of these targets the one is taken that
///   balances best: with the least sum of the squares of all utilisations, which has to fall.
///
/// So the highest utilisation of all links never rises above what it was or what is hot. What it comes to beside the others is in
/// `docs/evaluation.md`.
///
/// [`StrategyError::NoGroups`] if the topology is not a tree, [`StrategyError::Parameter`] if a number is out of its range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Remedy {
    /// What links carry.
    pub capacities: LinkCapacities,
    /// Above which utilisation a link is hot, from 0.
    pub hot: f64,
    /// Within how many seconds a migration has to pay, above 0.
    pub horizon: f64,
    /// Which share of the memory that is being copied is written to again meanwhile, from 0 and below 1.
    pub dirtied: f64,
    /// How many times the controller goes over the hot links at most: it keeps a data centre in balance and does not
    /// rearrange one that is overloaded everywhere.
    pub rounds: u32,
}

/// Hot above 70 %, five minutes, one page in ten, 20 rounds.
impl Default for Remedy {
    fn default() -> Self {
        Self {
            capacities: LinkCapacities::default(),
            hot: 0.7,
            horizon: 300.0,
            dirtied: 0.1,
            rounds: 20,
        }
    }
}

impl<L: Levels> Strategy<L> for Remedy {
    fn name(&self) -> &str {
        NAME
    }

    fn run(
        &self,
        instance: &Instance<'_, L>,
        watch: &dyn Watch,
    ) -> Result<Proposal, StrategyError> {
        self.check()?;
        let levels = instance.model().levels();
        let (tree, before) = cpu_time::measure(|| RackTree::new(levels));
        let tree = tree.ok_or(StrategyError::NoGroups { strategy: NAME })?;
        let (control, after) = cpu_time::measure(|| {
            let mut controller = Controller::new(*self, instance, &tree);
            let complete = controller.run(watch);
            (controller, complete)
        });
        let (controller, complete) = control;
        Ok(controller.moving.propose(before + after, complete))
    }
}

impl Remedy {
    fn check(&self) -> Result<(), StrategyError> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        for (parameter, value, good, wanted) in [
            (
                "the over-subscription",
                self.capacities.over_subscription,
                positive(self.capacities.over_subscription),
                "take a number above 0",
            ),
            (
                "the server link",
                self.capacities.server_link.bytes_per_second(),
                !self.capacities.server_link.is_zero(),
                "take a rate above 0",
            ),
            ("hot", self.hot, self.hot >= 0.0, "take a number from 0"),
            (
                "the horizon",
                self.horizon,
                positive(self.horizon),
                "take seconds above 0",
            ),
            (
                "the share dirtied",
                self.dirtied,
                (0.0..1.0).contains(&self.dirtied),
                "take a share from 0 and below 1",
            ),
        ] {
            if !good {
                return Err(StrategyError::Parameter {
                    strategy: NAME,
                    parameter,
                    value,
                    wanted,
                });
            }
        }
        Ok(())
    }
}

struct Controller<'a, L> {
    remedy: Remedy,
    tree: &'a RackTree,
    links: Links,
    moving: Moving<'a, L>,
    rack_of: Vec<u32>,
    vms_of: Vec<Vec<VmIndex>>,
    changes: Changes,
}

impl<'a, L: Levels> Controller<'a, L> {
    fn new(remedy: Remedy, instance: &'a Instance<'a, L>, tree: &'a RackTree) -> Self {
        let allocation = instance.allocation();
        let rack_of: Vec<u32> = tree.racks_of_vms(allocation).collect();
        let mut vms_of = vec![Vec::new(); tree.rack_count()];
        for (vm, rack) in allocation.vms().zip(&rack_of) {
            vms_of[*rack as usize].push(vm);
        }
        let links = Links::new(tree, allocation, instance.traffic(), remedy.capacities);
        Self {
            remedy,
            tree,
            changes: Changes::new(&links),
            links,
            moving: Moving::new(instance),
            rack_of,
            vms_of,
        }
    }

    /// Rounds until one passes without a migration or there were enough; whether it was not stopped.
    fn run(&mut self, watch: &dyn Watch) -> bool {
        for round in 1..=self.remedy.rounds {
            let before = self.moving.migrations.len();
            for link in self.hot_links() {
                if watch.is_stopped() {
                    return false;
                }
                // An earlier migration of this round may have cooled it.
                if self.links.utilisation(link) > self.remedy.hot {
                    self.relieve(link);
                }
            }
            if self.moving.migrations.len() == before {
                break;
            }
            let done = f64::from(round) / f64::from(self.remedy.rounds);
            watch.progress(done, self.moving.cost.get());
        }
        true
    }

    /// The hottest first.
    fn hot_links(&self) -> Vec<Link> {
        let mut hot: Vec<Link> = (0..self.tree.whole())
            .filter(|link| self.links.utilisation(*link) > self.remedy.hot)
            .collect();
        hot.sort_by(|a, b| {
            self.links
                .utilisation(*b)
                .total_cmp(&self.links.utilisation(*a))
        });
        hot
    }

    /// Moves one VM from under a link, if one is worth it.
    fn relieve(&mut self, link: Link) {
        for vm in self.candidates(link) {
            if let Some(target) = self.target(vm, link) {
                self.migrate(vm, target);
                return;
            }
        }
    }

    /// The VMs below a link that are most worth moving.
    fn candidates(&self, link: Link) -> Vec<VmIndex> {
        let mut vms: Vec<(f64, VmIndex)> = (self.tree.racks_of(link))
            .flat_map(|rack| &self.vms_of[rack as usize])
            .map(|vm| (self.worth(*vm, link), *vm))
            .filter(|(worth, _)| *worth > 0.0)
            .collect();
        vms.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        vms.truncate(CANDIDATES);
        vms.into_iter().map(|(_, vm)| vm).collect()
    }

    /// By how many bytes the link is relieved within the horizon if the VM leaves, less what its migration copies.
    fn worth(&self, vm: VmIndex, link: Link) -> f64 {
        let relief = |(peer, rate): (VmIndex, s_core_model::Rate)| {
            let below = self.is_below(self.rack_of[peer.usize()], link);
            rate.bytes_per_second() * if below { -1.0 } else { 1.0 }
        };
        let relief: f64 = self.moving.instance.traffic().peers(vm).map(relief).sum();
        let memory = f64::from(self.moving.allocation.memory_mib(vm)) * MIB;
        relief * self.remedy.horizon - memory / (1.0 - self.remedy.dirtied)
    }

    fn is_below(&self, rack: u32, link: Link) -> bool {
        self.tree.racks_of(link).contains(&rack)
    }

    /// The server outside from which the network is balanced best, if there is one that congests nothing else.
    fn target(&mut self, vm: VmIndex, link: Link) -> Option<ServerIndex> {
        let limit = self.links.utilisation(link);
        let mut best: Option<(f64, ServerIndex)> = None;
        for rack in self.tree.racks() {
            if self.is_below(rack, link) {
                continue;
            }
            let Some(server) = self.server_with_room(rack, vm) else {
                continue;
            };
            self.note_changes(vm, rack);
            let balance = self.balance(limit);
            self.changes.clear();
            if balance.is_some_and(|balance| balance < best.map_or(0.0, |(least, _)| least)) {
                best = balance.map(|balance| (balance, server));
            }
        }
        best.map(|(_, server)| server)
    }

    fn server_with_room(&self, rack: u32, vm: VmIndex) -> Option<ServerIndex> {
        let free = |server: &ServerIndex| self.moving.allocation.free(*server);
        let memory_mib = self.moving.allocation.memory_mib(vm);
        let servers = self.tree.servers_of(rack).iter().copied();
        servers
            .filter(|server| free(server).admits(memory_mib))
            .max_by_key(|server| (free(server).vm_slots, std::cmp::Reverse(*server)))
    }

    /// By how much the sum of the squares of all utilisations grows by the changes noted; `None` if a link that
    /// carries more then becomes hot and as hot as `limit`.
    fn balance(&self, limit: f64) -> Option<f64> {
        let mut growth = 0.0;
        for (link, change) in self.changes.iter() {
            let before = self.links.utilisation(link);
            let after = before + change / self.links.capacities[link as usize];
            if change > 0.0 && after > self.remedy.hot && after >= limit {
                return None;
            }
            growth += after * after - before * before;
        }
        Some(growth)
    }

    /// By how much the load of which links changes if a VM moves to a rack.
    fn note_changes(&mut self, vm: VmIndex, rack: u32) {
        let here = self.rack_of[vm.usize()];
        for (peer, rate) in self.moving.instance.traffic().peers(vm) {
            let at = self.rack_of[peer.usize()];
            for link in path(self.tree, here, at) {
                self.changes.add(link, -rate.bytes_per_second());
            }
            for link in path(self.tree, rack, at) {
                self.changes.add(link, rate.bytes_per_second());
            }
        }
    }

    fn migrate(&mut self, vm: VmIndex, target: ServerIndex) {
        let (from, to) = (self.rack_of[vm.usize()], self.tree.rack_of(target));
        self.note_changes(vm, to);
        for (link, change) in self.changes.iter() {
            let load = &mut self.links.loads[link as usize];
            *load = (*load + change).max(0.0);
        }
        self.changes.clear();
        self.vms_of[from as usize].retain(|other| *other != vm);
        self.vms_of[to as usize].push(vm);
        self.rack_of[vm.usize()] = to;
        self.moving.migrate(vm, target);
    }
}

/// Changes of links' loads, found without a search.
struct Changes {
    /// That of each link.
    of: Vec<Option<f64>>,
    changed: Vec<Link>,
}

impl Changes {
    fn new(links: &Links) -> Self {
        Self {
            of: vec![None; links.loads.len()],
            changed: Vec::new(),
        }
    }

    fn add(&mut self, link: Link, change: f64) {
        let of = &mut self.of[link as usize];
        if of.is_none() {
            self.changed.push(link);
        }
        *of = Some(of.unwrap_or(0.0) + change);
    }

    fn iter(&self) -> impl Iterator<Item = (Link, f64)> + '_ {
        let change = |link: &Link| Some((*link, self.of[*link as usize]?));
        self.changed.iter().filter_map(change)
    }

    fn clear(&mut self) {
        for link in self.changed.drain(..) {
            self.of[link as usize] = None;
        }
    }
}
