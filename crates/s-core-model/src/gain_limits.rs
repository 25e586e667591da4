//! How much a VM can gain at most, found without looking at any server where it could go.

use crate::cost::GROUPING_PAYS_FROM;
use crate::path_keys::DISTANCES;
use crate::{CostModel, Levels, Rate, ServerIndex};

/// More than the rounding errors of costs that are sums of up to [`GainLimits::MAX_PEERS`] products,
/// relative to the cost. Well below what [`gain`](crate::gain) takes for rounding, 10⁻¹².
const ERROR: f64 = 1e-13;

/// Upper limits of the gain of a VM's migration (Eq. 3.2), by how far away the target is.
///
/// In a hierarchy, a server at level *l* from the VM's brings it closer to peers at level *l*, if at best they all
/// are in the target's rack; it changes nothing for those further away; and it takes the VM to level *l* from
/// those that were closer. That needs one look at each peer, not one per peer and target.
///
/// ```
/// use s_core_model::{CostModel, LinkWeights, Rate, ServerIndex};
/// # use s_core_model::{Level, Levels, ServerId};
/// # struct TwoRacks;
/// # impl Levels for TwoRacks {
/// #     fn server_count(&self) -> usize { 2 }
/// #     fn max_level(&self) -> Level { Level::new(1) }
/// #     fn level(&self, a: ServerIndex, b: ServerIndex) -> Level { Level::new((a != b).into()) }
/// #     fn group(&self, s: ServerIndex, l: Level) -> Option<u32> { Some(if l == Level::ZERO { s.get() } else { 0 }) }
/// #     fn index_of(&self, s: ServerId) -> Option<ServerIndex> { Some(ServerIndex::new(s.get())) }
/// #     fn server_at(&self, s: ServerIndex) -> ServerId { ServerId::new(s.get()) }
/// # }
/// let model = CostModel::new(LinkWeights::new([1.0])?, TwoRacks)?;
/// let [here, there] = [0, 1].map(ServerIndex::new);
/// let peers = [(here, Rate::new(30.0)?), (there, Rate::new(20.0)?)];
/// let limits = model.gain_limits(here, peers.into_iter()).expect("a hierarchy");
/// assert!(limits.above(0.0).is_empty()); // 2 × (20 − 30) is no gain
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct GainLimits {
    cost: f64,
    /// Half of the limit by distance, before rounding is taken into account; not of distances without a peer.
    halves: [f64; DISTANCES],
    /// Which distances have peers, a bit each.
    occurring: u64,
}

impl GainLimits {
    /// The most peers that limits are found for: with many more, rounding errors could exceed what is allowed for.
    pub const MAX_PEERS: usize = GROUPING_PAYS_FROM - 1;

    /// C(u) where the VM is, but for rounding errors below a part of 10⁻¹³.
    pub fn approximate_cost(&self) -> f64 {
        self.cost
    }

    /// The distances at which a migration may gain more than `threshold`, a number from 0 up. At all others
    /// [`gain`](crate::gain) is certain not to exceed it.
    pub fn above(&self, threshold: f64) -> Distances {
        let mut distances = Distances(0);
        let mut left = self.occurring;
        while left != 0 {
            let distance = left.trailing_zeros() as usize;
            left &= left - 1;
            let half = self.halves[distance];
            // `gain` takes for rounding what is ten times as much.
            let is_rounding = half <= ERROR * self.cost;
            if !is_rounding && 2.0 * half + 10.0 * ERROR * self.cost > threshold {
                distances.0 |= 1 << distance;
            }
        }
        distances
    }
}

/// A set of distances between servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distances(u64);

impl Distances {
    /// All distances.
    pub const ALL: Self = Self(u64::MAX);

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl<L: Levels> CostModel<L> {
    /// The limits of what a VM on server `source` can gain that exchanges data with `peers` at these servers.
    ///
    /// `None` if the topology is not a hierarchy, or its paths take more than 32 bits, or there are more than
    /// [`GainLimits::MAX_PEERS`] peers. O(peers).
    ///
    /// # Panics
    ///
    /// If a server is not part of the data centre.
    pub fn gain_limits(
        &self,
        source: ServerIndex,
        peers: impl ExactSizeIterator<Item = (ServerIndex, Rate)>,
    ) -> Option<GainLimits> {
        let keys = self.path_keys()?;
        if peers.len() > GainLimits::MAX_PEERS {
            return None;
        }
        let mut loads = [0.0; DISTANCES];
        let mut occurring = 0u64;
        for (server, rate) in peers {
            let distance = keys.distance(source, server);
            loads[distance] += rate.bytes_per_second();
            occurring |= 1 << distance;
        }
        let mut limits = GainLimits {
            cost: 0.0,
            halves: [0.0; DISTANCES],
            occurring,
        };
        let (mut closer_load, mut left) = (0.0, occurring);
        while left != 0 {
            let distance = left.trailing_zeros() as usize;
            left &= left - 1;
            let path_cost = keys.path_cost(distance);
            // What the peers up to there cost here, less what the closer ones would cost there.
            let closer_cost = closer_load * path_cost;
            limits.cost += loads[distance] * path_cost;
            limits.halves[distance] = limits.cost - closer_cost;
            closer_load += loads[distance];
        }
        Some(limits)
    }

    /// Whether the distance between two servers is among these.
    ///
    /// # Panics
    ///
    /// If a server is not part of the data centre.
    pub fn is_within(&self, distances: Distances, a: ServerIndex, b: ServerIndex) -> bool {
        match self.path_keys() {
            Some(keys) => distances.0 >> keys.distance(a, b) & 1 == 1,
            None => true,
        }
    }
}
