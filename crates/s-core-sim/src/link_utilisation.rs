//! How loaded each link is.

use s_core_model::{Allocation, Levels, Rate, TrafficMatrix};

use crate::rack_tree::RackTree;

/// How much the links of a data centre carry at most.
///
/// Each group of servers has one link up, or several that share its traffic evenly and count as one here. That of
/// *n* servers carries *n* × [`server_link`](Self::server_link) ÷
/// [`over_subscription`](Self::over_subscription)^*l* at level *l*.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkCapacities {
    /// What the link of a server carries.
    pub server_link: Rate,
    /// How many times more the links below a switch carry than those above it, at every level; above 0.
    pub over_subscription: f64,
}

/// Servers at 1 Gbit/s and 4 : 1 at every level; with the thesis's four levels 1 : 256 at the top, about the
/// 1 : 240 that is reported of the highest layer (thesis \[4\]).
impl Default for LinkCapacities {
    fn default() -> Self {
        Self {
            server_link: Rate::from_bytes_over(125_000_000, 1_000_000_000),
            over_subscription: 4.0,
        }
    }
}

impl LinkCapacities {
    /// What the link up of a group of so many servers carries, in bytes per second.
    pub(crate) fn of(self, level: usize, servers: usize) -> f64 {
        let ratio = self.over_subscription.powi(level as i32);
        self.server_link.bytes_per_second() * servers as f64 / ratio
    }
}

/// How loaded the link up of every group is: what leaves the group or comes into it, as a share of what it carries.
///
/// [`link_utilisation`] measures it.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkUtilisation {
    /// Of level l at l − 1: load and utilisation of each group's link.
    levels: Vec<Vec<(Rate, f64)>>,
}

/// The load of every link of a topology that is a tree, or `None` if it is not. O(pairs × levels).
///
/// ```
/// use s_core_sim::{DataCentre, InitialPlacement, LinkCapacities, link_utilisation};
///
/// let snapshot = DataCentre {
///     vms: 2000,
///     ..DataCentre::thesis(InitialPlacement::Random, 1)
/// }
/// .generate()?;
/// let capacities = LinkCapacities::default();
/// let links = link_utilisation(snapshot.locations(), snapshot.allocation(), snapshot.traffic(), capacities)
///     .ok_or("locations are a tree")?;
/// assert_eq!(links.link_count(1), 128); // a link from every rack
/// assert!(links.maximum(4) >= links.quantile(4, 0.5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
///
/// If the traffic has more VMs than the allocation, or the allocation other servers than `levels`.
pub fn link_utilisation<L: Levels>(
    levels: &L,
    allocation: &Allocation,
    traffic: &TrafficMatrix,
    capacities: LinkCapacities,
) -> Option<LinkUtilisation> {
    let tree = RackTree::new(levels)?;
    let links = Links::new(&tree, allocation, traffic, capacities);
    let link = |link: Link| {
        let rate = Rate::new(links.loads[link as usize].min(Rate::MAX.bytes_per_second()));
        (rate.unwrap_or(Rate::ZERO), links.utilisation(link))
    };
    let level = |below| tree.groups_at(below).map(link).collect();
    Some(LinkUtilisation {
        levels: (0..tree.top()).map(level).collect(),
    })
}

impl LinkUtilisation {
    /// How many levels of links there are.
    pub fn level_count(&self) -> u8 {
        self.levels.len() as u8
    }

    /// How many links a level has: as many as there are groups below it.
    ///
    /// # Panics
    ///
    /// If the level is 0 or above [`level_count`](Self::level_count), here and in every method that takes one.
    pub fn link_count(&self, level: u8) -> usize {
        self.of(level).len()
    }

    /// The loads of a level's links, in the order of the tree.
    pub fn loads(&self, level: u8) -> impl ExactSizeIterator<Item = Rate> + '_ {
        self.of(level).iter().map(|(load, _)| *load)
    }

    /// The utilisations of a level's links, in the order of the tree: 1 is all that a link carries, more is
    /// what does not pass.
    pub fn utilisations(&self, level: u8) -> impl ExactSizeIterator<Item = f64> + '_ {
        self.of(level).iter().map(|(_, utilisation)| *utilisation)
    }

    /// The highest utilisation of a level's links.
    pub fn maximum(&self, level: u8) -> f64 {
        self.utilisations(level).fold(0.0, f64::max)
    }

    /// The least utilisation that a share `q` of a level's links, from 0 to 1, does not exceed.
    pub fn quantile(&self, level: u8, q: f64) -> f64 {
        let mut sorted: Vec<f64> = self.utilisations(level).collect();
        sorted.sort_by(f64::total_cmp);
        let rank = (q.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
        sorted[rank.saturating_sub(1)]
    }

    fn of(&self, level: u8) -> &[(Rate, f64)] {
        &self.levels[usize::from(level) - 1]
    }
}

/// Loads that can be changed.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    /// Of each link, in bytes per second.
    pub(crate) loads: Vec<f64>,
    pub(crate) capacities: Vec<f64>,
}

impl Links {
    pub(crate) fn new(
        tree: &RackTree,
        allocation: &Allocation,
        traffic: &TrafficMatrix,
        capacities: LinkCapacities,
    ) -> Self {
        let capacity = |level, link| capacities.of(level, tree.servers_of(link).len());
        let of_level = |below| (tree.groups_at(below)).map(move |link| capacity(below + 1, link));
        let mut links = Self {
            loads: vec![0.0; tree.whole() as usize],
            capacities: (0..tree.top()).flat_map(of_level).collect(),
        };
        let racks: Vec<u32> = tree.racks_of_vms(allocation).collect();
        for (a, b, rate) in traffic.pairs() {
            for link in path(tree, racks[a.usize()], racks[b.usize()]) {
                links.loads[link as usize] += rate.bytes_per_second();
            }
        }
        links
    }

    pub(crate) fn utilisation(&self, link: Link) -> f64 {
        self.loads[link as usize] / self.capacities[link as usize]
    }
}

/// A link, by the group that it leads up from.
pub(crate) type Link = u32;

/// The links between two racks: up from either until both are in one group.
pub(crate) fn path(tree: &RackTree, a: u32, b: u32) -> impl Iterator<Item = Link> {
    let groups = tree.path(a).iter().zip(tree.path(b));
    let apart = groups.take_while(|(a, b)| a != b);
    apart.flat_map(|(a, b)| [*a, *b])
}
