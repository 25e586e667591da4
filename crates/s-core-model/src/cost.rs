//! Eq. 3.1 and Eq. 3.2: communication cost and the gain of a migration.

use alloc::vec::Vec;

use crate::path_keys::PathKeys;
use crate::{
    Allocation, HostLoads, Level, Levels, LinkWeights, Rate, ServerIndex, TrafficMatrix, VmIndex,
};

/// How many servers' loads are worth grouping before candidates are compared with them.
///
/// Below it, comparing each candidate with each host is faster; above it that would be quadratic
/// in the number of hosts that a VM's peers are spread over.
pub(crate) const GROUPING_PAYS_FROM: usize = 64;

/// Relative size below which a difference of two costs is rounding, not gain.
///
/// A cost is a sum of up to some thousand products; its rounding error is far below this.
const ROUNDING: f64 = 1e-12;

/// The cost of communication in one data centre: link weights and the levels between servers.
///
/// ```
/// use s_core_model::{CostModel, LinkWeights, Rate};
/// # use s_core_model::{Level, Levels, ServerId, ServerIndex};
/// # struct TwoRacks;
/// # impl Levels for TwoRacks {
/// #     fn server_count(&self) -> usize { 2 }
/// #     fn max_level(&self) -> Level { Level::new(1) }
/// #     fn level(&self, a: ServerIndex, b: ServerIndex) -> Level { Level::new((a != b).into()) }
/// #     fn index_of(&self, s: ServerId) -> Option<ServerIndex> { Some(ServerIndex::new(s.get())) }
/// #     fn server_at(&self, s: ServerIndex) -> ServerId { ServerId::new(s.get()) }
/// # }
/// // Two servers, each in a rack of its own; any topology of `s-core-topology` does.
/// let model = CostModel::new(LinkWeights::new([2.5])?, TwoRacks)?;
/// let [x, y] = [0, 1].map(ServerIndex::new);
/// assert_eq!(model.pair_cost(Rate::new(100.0)?, x, y), 250.0);
/// assert_eq!(model.pair_cost(Rate::new(100.0)?, x, x), 0.0);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
///
/// Where the topology is a hierarchy, the model keeps 4 bytes per server, from which it finds levels faster than
/// the topology does.
#[derive(Clone, Debug)]
pub struct CostModel<L> {
    weights: LinkWeights,
    levels: L,
    path_keys: Option<PathKeys>,
}

impl<L: Levels> CostModel<L> {
    /// A cost model of these weights and levels. O(levels × servers × log servers).
    ///
    /// # Errors
    ///
    /// [`TooFewWeights`] if the levels reach higher than the weights.
    pub fn new(weights: LinkWeights, levels: L) -> Result<Self, TooFewWeights> {
        if weights.max_level() < levels.max_level() {
            return Err(TooFewWeights {
                weights: weights.max_level(),
                levels: levels.max_level(),
            });
        }
        Ok(Self {
            path_keys: PathKeys::new(&levels, &weights),
            weights,
            levels,
        })
    }

    /// The link weights.
    pub fn weights(&self) -> &LinkWeights {
        &self.weights
    }

    /// The levels between servers.
    pub fn levels(&self) -> &L {
        &self.levels
    }

    pub(crate) fn path_keys(&self) -> Option<&PathKeys> {
        self.path_keys.as_ref()
    }

    /// ℓ of two servers, as [`levels`](Self::levels) has it.
    ///
    /// # Panics
    ///
    /// If a server is not part of the data centre, here and in every method that takes one.
    pub fn level(&self, a: ServerIndex, b: ServerIndex) -> Level {
        match &self.path_keys {
            Some(keys) => keys.level(keys.distance(a, b)),
            None => self.levels.level(a, b),
        }
    }

    /// The cost of the path between two servers, per byte per second: Σ c_i up to their level.
    pub fn path_cost(&self, a: ServerIndex, b: ServerIndex) -> f64 {
        match &self.path_keys {
            Some(keys) => keys.path_cost(keys.distance(a, b)),
            None => self.weights.path_cost(self.levels.level(a, b)),
        }
    }

    /// One term of Eq. 3.1: the cost of `rate` between VMs on servers `a` and `b`.
    pub fn pair_cost(&self, rate: Rate, a: ServerIndex, b: ServerIndex) -> f64 {
        rate.bytes_per_second() * self.path_cost(a, b)
    }

    /// C(u): the inner sum of Eq. 3.1, what the traffic of one VM costs. O(peers).
    pub fn vm_cost(&self, allocation: &Allocation, traffic: &TrafficMatrix, vm: VmIndex) -> f64 {
        self.vm_cost_at(allocation, traffic, vm, allocation.host(vm))
    }

    fn vm_cost_at(
        &self,
        allocation: &Allocation,
        traffic: &TrafficMatrix,
        vm: VmIndex,
        at: ServerIndex,
    ) -> f64 {
        traffic
            .peers(vm)
            .map(|(peer, rate)| self.pair_cost(rate, at, allocation.host(peer)))
            .sum()
    }

    /// C: Eq. 3.1 over all VMs; each unordered pair counts twice. O(VMs + pairs).
    pub fn total_cost(&self, allocation: &Allocation, traffic: &TrafficMatrix) -> f64 {
        let mut total = RunningCost::default();
        for vm in allocation.vms() {
            total.add(self.vm_cost(allocation, traffic, vm));
        }
        total.get()
    }

    /// The left side of Eq. 3.2: by how much Eq. 3.1 falls if `vm` moves to `target`. O(peers).
    ///
    /// Negative if the move would raise it.
    pub fn gain(
        &self,
        allocation: &Allocation,
        traffic: &TrafficMatrix,
        vm: VmIndex,
        target: ServerIndex,
    ) -> f64 {
        gain(
            self.vm_cost(allocation, traffic, vm),
            self.vm_cost_at(allocation, traffic, vm, target),
        )
    }

    /// C(u) of a VM at server `at`, from its loads per server.
    pub fn cost_at(&self, loads: &HostLoads, at: ServerIndex) -> f64 {
        loads
            .iter()
            .map(|load| self.pair_cost(load.rate, at, load.server))
            .sum()
    }

    /// C(u) of a VM at each of the candidate servers, appended to `costs` in their order.
    ///
    /// With h hosts and k candidates this takes O((h + k) · levels · log h) where the topology is a hierarchy.
    pub fn costs_at(&self, loads: &HostLoads, candidates: &[ServerIndex], costs: &mut Vec<f64>) {
        let hierarchical = candidates
            .first()
            .is_some_and(|server| self.levels.group(*server, Level::ZERO).is_some());
        if loads.len() < GROUPING_PAYS_FROM || !hierarchical {
            costs.extend(candidates.iter().map(|at| self.cost_at(loads, *at)));
        } else {
            self.costs_by_groups(loads, candidates, costs);
        }
    }

    /// A path uses links of level i unless both ends are in one group at level i − 1. So the
    /// cost at a candidate is the sum over i of c_i × the load outside its group at level i − 1.
    fn costs_by_groups(&self, loads: &HostLoads, candidates: &[ServerIndex], costs: &mut Vec<f64>) {
        let from = costs.len();
        costs.resize(from + candidates.len(), 0.0);
        let group = |server, level| self.levels.group(server, level).unwrap_or(0);
        let mut groups: Vec<(u32, f64)> = Vec::with_capacity(loads.len());
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for (below, weight) in (0..self.levels.max_level().get()).zip(self.weights.iter()) {
            let below = Level::new(below);
            groups.clear();
            groups.extend(
                loads
                    .iter()
                    .map(|load| (group(load.server, below), load.rate.bytes_per_second())),
            );
            groups.sort_by_key(|(group, _)| *group);
            groups.dedup_by(|next, first| {
                let same = next.0 == first.0;
                if same {
                    first.1 += next.1;
                }
                same
            });
            // Sums from either end, so that the load outside a group is never a difference of two
            // large numbers: its rounding would be taken for a gain.
            before.clear();
            before.push(0.0);
            before.extend(running_sums(groups.iter()));
            after.clear();
            after.push(0.0);
            after.extend(running_sums(groups.iter().rev()));
            for (candidate, cost) in candidates.iter().zip(&mut costs[from..]) {
                let own = group(*candidate, below);
                let outside = match groups.binary_search_by_key(&own, |(group, _)| *group) {
                    Ok(found) => before[found] + after[groups.len() - 1 - found],
                    Err(_) => before[groups.len()],
                };
                *cost += weight * outside;
            }
        }
    }
}

fn running_sums<'a>(groups: impl Iterator<Item = &'a (u32, f64)>) -> impl Iterator<Item = f64> {
    groups.scan(0.0, |sum, (_, load)| {
        *sum += load;
        Some(*sum)
    })
}

/// The left side of Eq. 3.2 from C(u) before and after a migration: each pair counts at both its ends.
///
/// A difference within rounding error of the two costs is no gain: a strict comparison with
/// c_m = 0 must not move a VM because two sums were rounded differently.
pub fn gain(cost_before: f64, cost_after: f64) -> f64 {
    let difference = cost_before - cost_after;
    if difference.abs() <= ROUNDING * cost_before.max(cost_after) {
        return 0.0;
    }
    2.0 * difference
}

/// A sum of costs kept up over many additions and subtractions without drifting (Neumaier's summation).
///
/// Start it from [`CostModel::total_cost`] and subtract each migration's gain: it then stays
/// equal to the recomputed cost to about 15 digits of the largest value that it had.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RunningCost {
    sum: f64,
    lost: f64,
}

impl RunningCost {
    /// A sum that starts at this cost.
    pub fn new(cost: f64) -> Self {
        Self {
            sum: cost,
            lost: 0.0,
        }
    }

    /// Adds a cost, or subtracts it if it is negative.
    pub fn add(&mut self, cost: f64) {
        let sum = self.sum + cost;
        self.lost += if self.sum.abs() >= cost.abs() {
            (self.sum - sum) + cost
        } else {
            (cost - sum) + self.sum
        };
        self.sum = sum;
    }

    /// The sum.
    pub fn get(self) -> f64 {
        self.sum + self.lost
    }
}

/// The topology has more levels than there are link weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the topology has {levels} levels of links but only {weights} link weights are given; give one weight per level"
)]
pub struct TooFewWeights {
    /// The highest level that the weights cover.
    pub weights: Level,
    /// The highest level of the topology.
    pub levels: Level,
}
