//! Starling: affinity without topology.

use s_core_model::{HostLoads, Levels, Rate, ServerIndex, VmIndex};

use super::Moving;
use crate::cpu_time;
use crate::strategy::{Instance, Proposal, Strategy, StrategyError, Watch};

/// Starling (Sonnek and others, ICPP 2010; thesis 2.6 and \[8\]): every host watches how much its VMs exchange with
/// whom, and moves a VM to the host whose VMs it exchanges most with.
///
/// Taken from the thesis and the paper's abstract: decisions are local; the measure is the traffic of pairs (affinity), never the
/// path between them; a threshold keeps migrations of little benefit from being made; it goes on as traffic changes.
///
/// Assumed:
/// - The hosts' agents take turns, VM by VM in the order of their ids, until a whole round passes without a migration.
/// - A VM's benefit at a server is what it exchanges with VMs there less what it exchanges with VMs where it is.
///   Servers are asked in the order of falling benefit, and the first one with room takes the VM, if the benefit is
///   above the threshold.
/// - The paper's hosts *barter*: a full host may give a VM in return. Here, as in S-CORE, a VM moves only into free room.
/// - The extension of the paper's technical report that knows the topology is left out, as the thesis judges the system
///   without it.
///
/// The traffic within servers never falls; Eq. 3.1 may rise, as a server of the next rack is as good to it as one
/// across the core. What it comes to beside the others is in `docs/evaluation.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Starling {
    /// What more traffic within the server a migration must bring, strictly.
    pub threshold: Rate,
}

/// A threshold of 1 MB/s: a VM of 1 GiB is worth its copying after 18 minutes.
impl Default for Starling {
    fn default() -> Self {
        Self {
            threshold: Rate::from_bytes_over(1_000_000, 1_000_000_000),
        }
    }
}

impl<L: Levels> Strategy<L> for Starling {
    fn name(&self) -> &str {
        "starling"
    }

    fn run(
        &self,
        instance: &Instance<'_, L>,
        watch: &dyn Watch,
    ) -> Result<Proposal, StrategyError> {
        let ((moving, complete), cpu_time) = cpu_time::measure(|| self.settle(instance, watch));
        Ok(moving.propose(cpu_time, complete))
    }
}

impl Starling {
    /// Rounds until one passes without a migration; whether it came to that.
    fn settle<'a, L: Levels>(
        &self,
        instance: &'a Instance<'a, L>,
        watch: &dyn Watch,
    ) -> (Moving<'a, L>, bool) {
        let mut moving = Moving::new(instance);
        let mut affinities = HostLoads::new();
        let mut first_round = None;
        loop {
            let before = moving.migrations.len();
            for vm in instance.allocation().vms() {
                if watch.is_stopped() {
                    return (moving, false);
                }
                if let Some(target) = self.target(&moving, vm, &mut affinities) {
                    moving.migrate(vm, target);
                }
            }
            let migrations = moving.migrations.len() - before;
            // There are fewer migrations from round to round; none is the end.
            let first = *first_round.get_or_insert(migrations.max(1));
            watch.progress(
                1.0 - migrations.min(first) as f64 / first as f64,
                moving.cost.get(),
            );
            if migrations == 0 {
                return (moving, true);
            }
        }
    }

    /// The server with room whose VMs this one exchanges most with, if that is worth it.
    fn target<L: Levels>(
        &self,
        moving: &Moving<'_, L>,
        vm: VmIndex,
        affinities: &mut HostLoads,
    ) -> Option<ServerIndex> {
        let allocation = &moving.allocation;
        let peers = moving.instance.traffic().peers(vm);
        affinities.refill(peers.map(|(peer, rate)| (allocation.host(peer), rate)));
        let here = allocation.host(vm);
        let now = affinities.iter().find(|at| at.server == here);
        let least = now.map_or(Rate::ZERO, |at| at.rate) + self.threshold;
        let memory_mib = allocation.memory_mib(vm);
        affinities
            .iter()
            .filter(|at| at.server != here && at.rate > least)
            .filter(|at| allocation.free(at.server).admits(memory_mib))
            // Of equals the first: `max_by_key` takes the last.
            .max_by_key(|at| (at.rate, std::cmp::Reverse(at.server)))
            .map(|at| at.server)
    }
}
