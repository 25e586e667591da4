//! Other systems that move VMs for the network's sake, as thesis 2.6 describes them.
//!
//! | | knows | decides | wants |
//! |---|---|---|---|
//! | [`Starling`] | traffic | each host for its VMs | pairs on one server |
//! | [`Remedy`] | traffic, topology, link capacities | a controller, one VM at a time | no overloaded link |
//! | [`TrafficAware`] | traffic, topology | a controller, all VMs at once | least Eq. 3.1, wherever VMs are now |
//!
//! Each is made after what the thesis and the papers' abstracts say of it; where they leave something open, the
//! documentation says what is assumed. None is the authors' program.

mod remedy;
mod starling;
mod traffic_aware;

use s_core_model::{
    Allocation, CostModel, Levels, RunningCost, ServerIndex, TrafficMatrix, VmIndex,
};

pub use remedy::Remedy;
pub use starling::Starling;
pub use traffic_aware::TrafficAware;

use crate::simulation::Migration;
use crate::strategy::{Instance, Proposal, Strategy, StrategyError, Watch};

/// Runs a strategy on one window of traffic after the other, each from where the last one ended: migration as
/// iterated placement (thesis 2.6, \[39\]). The [`moved`](Proposal::moved) of each proposal is what that window costs.
///
/// # Errors
///
/// [`StrategyError`] if a window is not of the same VMs, or not one for the strategy.
pub fn iterate<'a, L: Levels>(
    strategy: &dyn Strategy<L>,
    model: &CostModel<L>,
    windows: impl IntoIterator<Item = &'a TrafficMatrix>,
    allocation: &Allocation,
    watch: &dyn Watch,
) -> Result<Vec<Proposal>, StrategyError> {
    let mut proposals: Vec<Proposal> = Vec::new();
    for traffic in windows {
        let allocation = proposals.last().map_or(allocation, |last| &last.allocation);
        let instance = Instance::new(model, traffic, allocation)?;
        proposals.push(strategy.run(&instance, watch)?);
    }
    Ok(proposals)
}

/// VMs that move one at a time.
struct Moving<'a, L> {
    instance: &'a Instance<'a, L>,
    allocation: Allocation,
    cost: RunningCost,
    migrations: Vec<Migration>,
}

impl<'a, L: Levels> Moving<'a, L> {
    fn new(instance: &'a Instance<'a, L>) -> Self {
        Self {
            instance,
            allocation: instance.allocation().clone(),
            cost: RunningCost::new(instance.cost()),
            migrations: Vec::new(),
        }
    }

    /// Moves a VM to a server that must have room for it.
    fn migrate(&mut self, vm: VmIndex, target: ServerIndex) {
        let (model, traffic) = (self.instance.model(), self.instance.traffic());
        let gain = model.gain(&self.allocation, traffic, vm, target);
        let source = self.allocation.migrate(vm, target);
        self.cost.add(-gain);
        self.migrations.push(Migration {
            step: self.migrations.len() as u64 + 1,
            vm,
            source: source.expect("the target has just been found to have room"),
            target,
            gain,
            total_cost: self.cost.get(),
        });
    }

    fn propose(self, cpu_time: std::time::Duration, complete: bool) -> Proposal {
        let hosts: Vec<_> = (self.allocation.vms())
            .map(|vm| self.allocation.host(vm))
            .collect();
        let proposal = Proposal::new(self.instance, &hosts, cpu_time);
        Proposal {
            migrations: self.migrations,
            complete,
            ..proposal.expect("every migration found room")
        }
    }
}
