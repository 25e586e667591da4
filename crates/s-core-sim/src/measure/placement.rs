//! A placement in numbers (5.1.3).

use s_core_model::{Allocation, Levels};
use serde::{Deserialize, Serialize};

use super::RackTraffic;
use super::racks::Racks;
use crate::{Instance, link_loads};

/// Measures placements of one data centre, all by the yardstick of the placement to begin with.
#[derive(Debug)]
pub struct Gauge<'a, L> {
    instance: &'a Instance<'a, L>,
    racks: Option<Racks>,
    hot_above: f64,
}

impl<'a, L: Levels> Gauge<'a, L> {
    /// A gauge for placements of this instance.
    pub fn new(instance: &'a Instance<'a, L>) -> Self {
        let racks = Racks::new(instance.model().levels());
        let loads = (racks.as_ref()).map_or_else(Vec::new, |racks| {
            racks.loads(instance.allocation(), instance.traffic())
        });
        Self {
            instance,
            racks,
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
        let mut busy = vec![false; allocation.server_count()];
        for vm in allocation.vms() {
            busy[allocation.host(vm).usize()] = true;
        }
        PlacementMeasures {
            cost: model.total_cost(allocation, traffic),
            link_loads: link_loads(model.levels(), allocation, traffic)
                .into_iter()
                .map(|load| load.bytes_per_second())
                .collect(),
            servers: busy.len(),
            idle_servers: busy.iter().filter(|busy| !**busy).count(),
            racks: self.racks.as_ref().map(|racks| RackMeasures {
                count: racks.count(),
                idle: racks.idle(allocation),
                hot: (racks.loads(allocation, traffic).iter())
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
        let racks = self.racks.as_ref()?;
        let traffic = self.instance.traffic();
        Some(RackTraffic::new(racks, allocation, traffic, max_bins))
    }
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
