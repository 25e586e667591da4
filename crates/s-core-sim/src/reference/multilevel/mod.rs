//! The multilevel reference.

mod coarsen;
mod divide;
mod exchange;
mod graph;
mod mapping;
mod overload;
mod pack;
mod problem;
mod refine;
mod relabel;
mod room;
mod search;

use std::time::Duration;

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use s_core_model::{Levels, ServerIndex};

use crate::cpu_time;
use crate::strategy::{Instance, Proposal, Strategy, StrategyError, Watch};
use problem::Problem;

const NAME: &str = "multilevel";

/// Maps the traffic onto the tree of racks as graph partitioners do, on the cost of Eq. 3.1 itself.
///
/// VMs that talk to each other most become one, again and again, until some dozens per rack are left. These are divided
/// down the tree: the VMs of a group among the groups below it. Then the clusters are opened again, level by level, and
/// at each level vertices move to where Eq. 3.1 is lower, some against their own gain where others that follow make up
/// for it. Further cycles coarsen within the racks so found and refine again. In the end equal groups trade their
/// contents so that few VMs move, and within its rack each VM gets a server, where it is if it is there already.
///
/// Every server's capacity is respected, and a proposal never costs more than the placement to begin with: where VMs
/// of different memory do not fit into servers as they are wanted, they go to the nearest rack with room.
///
/// ```
/// use s_core_sim::{DataCentre, InitialPlacement, Instance, Strategy, reference::Multilevel};
///
/// let thesis = DataCentre::thesis(InitialPlacement::Random, 1);
/// let snapshot = DataCentre { vms: 2000, topology: "tree:2,4x20".parse()?, ..thesis }.generate()?;
/// let model = snapshot.cost_model();
/// let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation())?;
/// let proposal = Multilevel::default().run(&instance, &())?;
/// assert!(proposal.cost < 0.1 * instance.cost());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Multilevel {
    /// How many first mappings are tried, of which the best is refined; at least 1.
    pub starts: u32,
    /// How many times it is coarsened and refined again after that, at most.
    pub cycles: u32,
    /// No other cycle begins after so many looks at the traffic of a pair, and no other start after two fifths of them.
    /// A billion takes about half a minute to a minute.
    pub looks: u64,
    /// What random numbers begin with: the same proposal for the same seed on every machine.
    pub seed: u64,
}

impl Default for Multilevel {
    fn default() -> Self {
        Self {
            starts: 3,
            cycles: 6,
            looks: 1_300_000_000,
            seed: 1,
        }
    }
}

impl<L: Levels> Strategy<L> for Multilevel {
    fn name(&self) -> &str {
        NAME
    }

    fn run(
        &self,
        instance: &Instance<'_, L>,
        watch: &dyn Watch,
    ) -> Result<Proposal, StrategyError> {
        if self.starts == 0 {
            return Err(StrategyError::Parameter {
                strategy: NAME,
                parameter: "starts",
                value: 0.0,
                wanted: "at least 1 is wanted",
            });
        }
        if instance.cost() == 0.0 {
            return Ok(Proposal::if_cheaper(instance, None, Duration::ZERO));
        }
        let (hosts, cpu_time) = cpu_time::measure(|| self.hosts(instance, watch));
        let mut proposal = Proposal::if_cheaper(instance, hosts?, cpu_time);
        proposal.complete = !watch.is_stopped();
        Ok(proposal)
    }
}

impl Multilevel {
    /// A server for each VM; `None` if it is stopped before there is any.
    fn hosts<L: Levels>(
        &self,
        instance: &Instance<'_, L>,
        watch: &dyn Watch,
    ) -> Result<Option<Vec<ServerIndex>>, StrategyError> {
        let problem = Problem::new(instance).ok_or(StrategyError::NoGroups { strategy: NAME })?;
        let mut random = Pcg64Mcg::seed_from_u64(self.seed);
        let racks = search::search(&problem, self, watch, instance.cost(), &mut random);
        Ok(racks.map(|racks| problem.hosts(instance, racks, &mut random)))
    }
}
