//! The genetic algorithm of thesis 5.1.2.

mod alignment;
mod crossover;
mod evolution;
mod problem;
mod seeding;

use s_core_model::Levels;

use crate::cpu_time;
use crate::packing::pack;
use crate::strategy::{Instance, Proposal, Strategy, StrategyError, Watch};
use evolution::{Evolved, evolve};
use problem::{NAME, Problem};

/// The genetic algorithm with which thesis 5.1.2 approximates the least cost that a placement can have.
///
/// | 5.1.2 | here |
/// |---|---|
/// | 1,000 individuals | [`population`](Self::population); one of them is the placement to begin with, so that the result is never worse |
/// | densely-packed VM distributions | rack after rack is filled to its last slot, in the order of the tree; a rack begins with a random VM, or one that exchanges much with the racks before, and grows by the VM that exchanges most with those already in it |
/// | edge assembly crossover (EAX) | where two parents differ, every VM leads from its rack in A to its rack in B; these steps are split into cycles, which leave every rack as full as it was, and walks to where B has more VMs than A; the child is A with each of them exchanged, in random order, that lowers the cost in its turn |
/// | replacement by tournament selection | a child takes the place of the worse of two individuals, its parent A and a random one, unless it is worse than that |
/// | mutation swaps a random number of VMs between racks | in one child of ten 1 to 16 VMs, and at most about one in eight, swap racks with what is in a random VM slot: another VM, or nothing |
/// | stops below 1 % in 10 generations | the same |
///
/// An individual says which rack hosts each VM, as servers of a rack cost the same; the best one's VMs are put on
/// servers at the end, those that stay in their rack on the server where they are.
///
/// Racks under one switch, and equal subtrees, are interchangeable; parents are compared with the names
/// of B's racks exchanged to agree best with A's. Otherwise a cluster of VMs that is together in both, but in
/// different racks, would be torn apart.
///
/// The thesis leaves open in which order VMs are packed, and much depends on it: from individuals packed in random order it ends
/// above the policies, from ones packed by traffic as here far below them. `docs/evaluation.md` has figures of costs and times.
///
/// # Time and memory
///
/// The time grows with the population × (VMs + pairs); placements and their children take 4 bytes × population × VMs, 128 MiB at
/// thesis settings.
///
/// # Errors
///
/// [`StrategyError::TooLarge`] beyond 8,192 racks, or 2²⁸ VMs × individuals; [`StrategyError::NoGroups`] if the
/// topology is not a tree; [`StrategyError::Parameter`] if there is no individual, or more threads than 1,024.
///
/// ```
/// use s_core_sim::reference::Genetic;
/// use s_core_sim::{DataCentre, InitialPlacement, Instance, Strategy};
///
/// let snapshot = DataCentre {
///     topology: "tree:2,2x2".parse()?,
///     vm_slots: 4,
///     vms: 24,
///     ..DataCentre::thesis(InitialPlacement::Random, 1)
/// }
/// .generate()?;
/// let model = snapshot.cost_model();
/// let instance = Instance::new(&model, snapshot.traffic(), snapshot.allocation())?;
/// let genetic = Genetic { population: 50, ..Genetic::default() };
/// let proposal = genetic.run(&instance, &())?;
/// assert!(proposal.cost < 0.5 * instance.cost());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Genetic {
    /// How many individuals, at least 1.
    pub population: usize,
    /// What random numbers begin with.
    pub seed: u64,
    /// How many threads compute; 0 for one per core. The result is the same for any number of them.
    pub threads: usize,
}

/// 1,000 individuals, as in 5.1.2, and all cores.
impl Default for Genetic {
    fn default() -> Self {
        Self {
            population: 1000,
            seed: 1,
            threads: 0,
        }
    }
}

/// More threads than any machine that this runs on has cores, and few enough to be started.
const MAX_THREADS: usize = 1024;

impl Genetic {
    fn check(&self) -> Result<(), StrategyError> {
        let wrong = |parameter, value: usize, wanted| {
            Err(StrategyError::Parameter {
                strategy: NAME,
                parameter,
                value: value as f64,
                wanted,
            })
        };
        match (self.population, self.threads) {
            (0, _) => wrong("the population", 0, "take at least 1"),
            (_, threads) if threads > MAX_THREADS => wrong(
                "the number of threads",
                threads,
                "take at most 1024, or 0 for one per core",
            ),
            _ => Ok(()),
        }
    }

    fn evolve(&self, problem: &Problem<'_>, watch: &dyn Watch) -> Evolved {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads);
        match pool.build() {
            Ok(pool) => pool.install(|| evolve(*self, problem, watch)),
            // The machine gives no more threads; those of the process do it as well.
            Err(_) => evolve(*self, problem, watch),
        }
    }
}

impl<L: Levels + Sync> Strategy<L> for Genetic {
    fn name(&self) -> &str {
        NAME
    }

    fn run(
        &self,
        instance: &Instance<'_, L>,
        watch: &dyn Watch,
    ) -> Result<Proposal, StrategyError> {
        self.check()?;
        let (problem, before) = cpu_time::measure(|| Problem::new(instance));
        let problem = problem?;
        problem.check_population(self.population)?;
        let evolved = self.evolve(&problem, watch);
        let (hosts, after) = cpu_time::measure(|| {
            let racks = evolved.best.iter().map(|rack| u32::from(*rack));
            pack(instance, &problem.tree, racks)
        });
        let cpu_time = before + evolved.cpu_time + after;
        let mut proposal = Proposal::if_cheaper(instance, hosts, cpu_time);
        proposal.complete = evolved.complete;
        Ok(proposal)
    }
}
