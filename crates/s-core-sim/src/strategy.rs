//! What lowers Eq. 3.1: the token's policies, other published systems and reference optima, behind one trait.

use std::fmt;
use std::time::Duration;

use s_core_model::{Allocation, AllocationError, CostModel, Levels, ServerIndex, TrafficMatrix};

use crate::simulation::{self, Migration, SimulationError};

/// A data centre whose cost is to be lowered: where servers stand, who talks to whom, who is where.
#[derive(Debug)]
pub struct Instance<'a, L> {
    model: &'a CostModel<L>,
    traffic: &'a TrafficMatrix,
    allocation: &'a Allocation,
}

impl<'a, L: Levels> Instance<'a, L> {
    /// An instance of these parts.
    ///
    /// # Errors
    ///
    /// [`SimulationError`] if they are not of the same VMs and servers.
    pub fn new(
        model: &'a CostModel<L>,
        traffic: &'a TrafficMatrix,
        allocation: &'a Allocation,
    ) -> Result<Self, SimulationError> {
        simulation::check_parts(model.levels(), traffic, allocation)?;
        Ok(Self {
            model,
            traffic,
            allocation,
        })
    }

    /// Link weights and levels.
    pub fn model(&self) -> &'a CostModel<L> {
        self.model
    }

    /// λ for all pairs.
    pub fn traffic(&self) -> &'a TrafficMatrix {
        self.traffic
    }

    /// Which server hosts which VM to begin with.
    pub fn allocation(&self) -> &'a Allocation {
        self.allocation
    }

    /// Eq. 3.1 to begin with. O(VMs + pairs).
    pub fn cost(&self) -> f64 {
        self.model.total_cost(self.allocation, self.traffic)
    }
}

/// Something that proposes another placement of the same VMs on the same servers.
///
/// The same strategy comes to the same placement of the same instance on every machine, unless it is
/// stopped on the way.
pub trait Strategy<L: Levels>: fmt::Debug + Send + Sync {
    /// The name on command lines and in reports.
    fn name(&self) -> &str;

    /// Looks for a placement. It never costs more than the one to begin with, unless the strategy is not
    /// after Eq. 3.1.
    ///
    /// # Errors
    ///
    /// [`StrategyError`] if the instance is not one for this strategy.
    fn run(&self, instance: &Instance<'_, L>, watch: &dyn Watch)
    -> Result<Proposal, StrategyError>;
}

/// A placement that a strategy came to.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Which server would host which VM.
    pub allocation: Allocation,
    /// Eq. 3.1 of it.
    pub cost: f64,
    /// How many VMs would be on another server than to begin with.
    pub moved: usize,
    /// The migrations in their order, of strategies that move one VM at a time; others leave it empty.
    pub migrations: Vec<Migration>,
    /// The CPU time that it took, of all threads together.
    pub cpu_time: Duration,
    /// Whether the strategy came to its own end and was not [stopped](Watch::is_stopped).
    pub complete: bool,
}

impl Proposal {
    /// The proposal to host each VM on the server at its index in `hosts`.
    ///
    /// # Errors
    ///
    /// [`AllocationError`] if a server has no room for that.
    ///
    /// # Panics
    ///
    /// Unless there is one server of the instance for each VM.
    pub fn new<L: Levels>(
        instance: &Instance<'_, L>,
        hosts: &[ServerIndex],
        cpu_time: Duration,
    ) -> Result<Self, AllocationError> {
        let allocation = instance.allocation.rearranged(hosts)?;
        Ok(Self {
            cost: instance.model.total_cost(&allocation, instance.traffic),
            moved: moved(instance.allocation, &allocation),
            allocation,
            migrations: Vec::new(),
            cpu_time,
            complete: true,
        })
    }

    /// The proposal of these hosts if it costs less than the placement to begin with, or else to leave everything
    /// where it is; so too without hosts, or if they are more than servers have room for.
    pub(crate) fn if_cheaper<L: Levels>(
        instance: &Instance<'_, L>,
        hosts: Option<Vec<ServerIndex>>,
        cpu_time: Duration,
    ) -> Self {
        hosts
            .and_then(|hosts| Self::new(instance, &hosts, cpu_time).ok())
            .filter(|proposal| proposal.cost < instance.cost())
            .unwrap_or_else(|| Self {
                allocation: instance.allocation.clone(),
                cost: instance.cost(),
                moved: 0,
                migrations: Vec::new(),
                cpu_time,
                complete: true,
            })
    }
}

/// How many VMs are on another server.
pub(crate) fn moved(before: &Allocation, after: &Allocation) -> usize {
    let moved = |vm: &_| before.host(*vm) != after.host(*vm);
    before.vms().filter(moved).count()
}

/// Who looks on while a strategy runs, and may stop it. `()` is nobody.
pub trait Watch: Sync {
    /// About how much of the work is done, from 0 to 1, and the lowest cost so far.
    fn progress(&self, done: f64, cost: f64);

    /// Whether to end now with the best so far.
    fn is_stopped(&self) -> bool;
}

impl Watch for () {
    fn progress(&self, _: f64, _: f64) {}

    fn is_stopped(&self) -> bool {
        false
    }
}

/// An instance that is not one for a strategy.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StrategyError {
    /// The data centre is too large.
    #[error("{what} {count} is more than the {limit} that {strategy} can do; {advice}")]
    TooLarge {
        /// The strategy's name.
        strategy: &'static str,
        /// What there is too much of, e.g. "the number of VMs".
        what: &'static str,
        /// How much there is.
        count: usize,
        /// How much there may be.
        limit: usize,
        /// What to do.
        advice: &'static str,
    },
    /// The topology does not group its servers ([`Levels::group`]).
    #[error(
        "{strategy} needs a topology that is a tree of groups of servers, and this one is not; take another strategy"
    )]
    NoGroups {
        /// The strategy's name.
        strategy: &'static str,
    },
    /// A parameter is out of its range.
    #[error("{strategy}: {parameter} is {value}; {wanted}")]
    Parameter {
        /// The strategy's name.
        strategy: &'static str,
        /// The parameter.
        parameter: &'static str,
        /// Its value.
        value: f64,
        /// What is wanted instead.
        wanted: &'static str,
    },
    /// The parts do not fit each other.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
}
