//! A placement in numbers (5.1.3).

use s_core_model::{Allocation, Levels, TrafficMatrix};
use serde::{Deserialize, Serialize};

use super::rack_traffic::{RackTraffic, traffic_between};
use crate::rack_tree::RackTree;
use crate::{Instance, link_loads};

/// Measures placements of one data centre, all by the yardstick of the placement to begin with.
#[derive(Debug)]
pub struct Gauge<'a, L> {
    instance: &'a Instance<'a, L>,
    tree: Option<RackTree>,
    hot_above: f64,
}

impl<'a, L: Levels> Gauge<'a, L> {
    /// A gauge for placements of this instance.
    pub fn new(instance: &'a Instance<'a, L>) -> Self {
        let tree = RackTree::new(instance.model().levels());
        let loads = (tree.as_ref()).map_or_else(Vec::new, |tree| {
            rack_loads(tree, instance.allocation(), instance.traffic())
        });
        Self {
            instance,
            tree,
            hot_above: 0.5 * loads.iter().sum::<f64>() / loads.len().max(1) as f64,
        }
    }

    /// Measures a placement of the instance's VMs on its servers. O(VMs + pairs).
    ///
    /// # Panics
    ///
    /// If the placement is of other VMs or servers.
    pub fn placement(&self, allocation: &Allocation) -> PlacementMeasures {
        let (model, traffic) = (self.instance.model(), self.instance.traffic());
        let hosts = allocation.vms().map(|vm| allocation.host(vm).usize());
        PlacementMeasures {
            cost: model.total_cost(allocation, traffic),
            link_loads: link_loads(model.levels(), allocation, traffic)
                .into_iter()
                .map(|load| load.bytes_per_second())
                .collect(),
            servers: allocation.server_count(),
            idle_servers: idle(allocation.server_count(), hosts),
            racks: self.tree.as_ref().map(|tree| RackMeasures {
                count: tree.rack_count(),
                idle: idle(
                    tree.rack_count(),
                    tree.racks_of_vms(allocation).map(|rack| rack as usize),
                ),
                hot: (rack_loads(tree, allocation, traffic).iter())
                    .filter(|load| **load > self.hot_above)
                    .count(),
            }),
        }
    }

    /// Figs. 5.1 and 5.4 of a placement: the traffic between racks, in at most `max_bins` bins; at least
    /// one and at most [`RackTraffic::MAX_BINS`]. `None` if the topology does not group its servers. O(VMs + pairs).
    ///
    /// # Panics
    ///
    /// If the placement is of other VMs or servers.
    pub fn rack_traffic(&self, allocation: &Allocation, max_bins: usize) -> Option<RackTraffic> {
        let tree = self.tree.as_ref()?;
        let traffic = self.instance.traffic();
        Some(RackTraffic::new(tree, allocation, traffic, max_bins))
    }
}

/// For each rack, the traffic that its switch exchanges with other racks, in bytes per second.
fn rack_loads(tree: &RackTree, allocation: &Allocation, traffic: &TrafficMatrix) -> Vec<f64> {
    let mut loads = vec![0.0; tree.rack_count()];
    for (a, b, rate) in traffic_between(tree, allocation, traffic) {
        loads[a] += rate;
        loads[b] += rate;
    }
    loads
}

/// How many of so many servers or racks host no VM.
fn idle(count: usize, hosts: impl Iterator<Item = usize>) -> usize {
    let mut is_idle = vec![true; count];
    hosts.for_each(|host| is_idle[host] = false);
    is_idle.into_iter().filter(|is_idle| *is_idle).count()
}

/// A placement in numbers.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct PlacementMeasures {
    /// Eq. 3.1, in bytes per second times link weight.
    pub cost: f64,
    /// [`link_loads`]: the traffic over links of level 1, 2, …, in bytes per second.
    pub link_loads: Vec<f64>,
    /// How many servers there are.
    pub servers: usize,
    /// How many of them host no VM, and so could be powered down.
    pub idle_servers: usize,
    /// What there is to say of racks; nothing if the topology does not group its servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub racks: Option<RackMeasures>,
}

/// The racks of a placement in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RackMeasures {
    /// How many racks there are.
    pub count: usize,
    /// How many of them host no VM.
    pub idle: usize,
    /// How many are hot: they exchange more than half as much with other racks as a rack did on average in
    /// the placement to begin with.
    ///
    /// So all racks are hot under VMs that are placed at random, and the generator's hot racks
    /// under those in their home racks.
    pub hot: usize,
}
