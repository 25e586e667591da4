//! Starts and cycles: coarsen, divide, refine, and again.

use rand_pcg::Pcg64Mcg;

use super::Multilevel;
use super::coarsen::Hierarchy;
use super::divide::{self, project};
use super::graph::Graph;
use super::mapping::Mapping;
use super::problem::Problem;
use super::{exchange, overload, refine};
use crate::reference::size::Size;
use crate::reference::tree::Tree;
use crate::strategy::Watch;

/// A first mapping is made of this many vertices per rack.
const PER_RACK: usize = 60;

/// A cycle begins with this many.
const PER_RACK_IN_CYCLES: usize = 15;

/// The largest cluster takes this part of a rack.
const CLUSTERS_PER_RACK: u64 = 12;

/// Rounds of refinement at each level.
const ROUNDS: u32 = 4;

/// Beyond this share of the looks no other start begins: cycles are worth more.
const SHARE_FOR_STARTS: f64 = 0.4;

/// How much of the work a start is, a refinement down to VMs, and a cycle.
const SHARES: [f64; 3] = [1.0, 2.0, 2.0];

/// A rack for each vertex. `None` if it is stopped before there is any.
pub(super) fn search(
    problem: &Problem,
    options: &Multilevel,
    watch: &dyn Watch,
    initial_cost: f64,
    random: &mut Pcg64Mcg,
) -> Option<Vec<u32>> {
    let mut search = Search {
        problem,
        options,
        watch,
        random,
        looks: 0,
        cost: initial_cost,
        done: 0.0,
    };
    watch.progress(0.0, initial_cost);
    let mut racks = search.first()?;
    for _ in 0..options.cycles {
        if search.is_over(1.0) {
            break;
        }
        racks = search.cycle(racks);
    }
    Some(racks)
}

struct Search<'a> {
    problem: &'a Problem,
    options: &'a Multilevel,
    watch: &'a dyn Watch,
    random: &'a mut Pcg64Mcg,
    looks: u64,
    /// Eq. 3.1 of the best so far.
    cost: f64,
    /// Shares of work.
    done: f64,
}

impl Search<'_> {
    /// Whether it is stopped, or has taken this share of the looks that it may take.
    fn is_over(&self, share: f64) -> bool {
        self.watch.is_stopped() || self.looks as f64 >= share * self.options.looks as f64
    }

    fn has_done(&mut self, share: f64, cost: f64) {
        let [start, down, cycle] = SHARES;
        let all =
            start * f64::from(self.options.starts) + down + cycle * f64::from(self.options.cycles);
        self.done += share;
        self.cost = self.cost.min(cost);
        self.watch.progress((self.done / all).min(1.0), self.cost);
    }

    /// The largest cluster.
    fn limit(&self) -> Size {
        let tree = &self.problem.tree;
        let whole: Size = tree.capacities().iter().copied().sum();
        let clusters = CLUSTERS_PER_RACK * tree.groups.rack_count() as u64;
        Size::new(
            (whole.slots / clusters).max(1),
            (whole.memory / clusters).max(1),
        )
    }

    /// The best of several first mappings, refined down to VMs.
    fn first(&mut self) -> Option<Vec<u32>> {
        let problem = self.problem;
        let graph = &problem.graph;
        let enough = PER_RACK * self.problem.tree.groups.rack_count();
        let hierarchy = Hierarchy::new(graph, enough, self.limit(), None, self.random);
        let coarsest = hierarchy.coarsest(graph);
        let mut best: Option<Refined> = None;
        for _ in 0..self.options.starts {
            if best.is_some() && self.is_over(SHARE_FOR_STARTS) {
                break;
            }
            let (racks, looks) =
                divide::divide(coarsest, &self.problem.tree, self.watch, self.random)?;
            self.looks += looks;
            let refined = self.refine(coarsest, racks);
            self.has_done(SHARES[0], f64::INFINITY);
            if best
                .as_ref()
                .is_none_or(|best| refined.is_better_than(best))
            {
                best = Some(refined);
            }
        }
        let best = best.expect("there is at least one start");
        let refined = self.down(&hierarchy, best);
        self.has_done(SHARES[1], 2.0 * refined.cost);
        Some(refined.racks)
    }

    /// Coarsens within racks and refines. Never makes it worse.
    fn cycle(&mut self, racks: Vec<u32>) -> Vec<u32> {
        let problem = self.problem;
        let graph = &problem.graph;
        let enough = PER_RACK_IN_CYCLES * self.problem.tree.groups.rack_count();
        let limit = self.limit();
        let hierarchy = Hierarchy::new(graph, enough, limit, Some(&racks), self.random);
        let coarse = hierarchy.coarse_racks(racks);
        let refined = self.refine(hierarchy.coarsest(graph), coarse);
        let refined = self.down(&hierarchy, refined);
        self.has_done(SHARES[2], 2.0 * refined.cost);
        refined.racks
    }

    fn down(&mut self, hierarchy: &Hierarchy, mut refined: Refined) -> Refined {
        let problem = self.problem;
        let racks = std::mem::take(&mut refined.racks);
        let racks = project(&problem.graph, &hierarchy.layers, racks, |graph, racks| {
            let finer = self.refine(graph, racks);
            (refined.cost, refined.overload) = (finer.cost, finer.overload);
            finer.racks
        });
        Refined { racks, ..refined }
    }

    fn refine(&mut self, graph: &Graph, racks: Vec<u32>) -> Refined {
        let rounds = if self.watch.is_stopped() { 0 } else { ROUNDS };
        let refined = Refined::new(graph, &self.problem.tree, racks, rounds, self.random);
        self.looks += refined.looks;
        refined
    }
}

/// A mapping made better.
#[derive(Debug)]
pub(super) struct Refined {
    pub(super) racks: Vec<u32>,
    pub(super) looks: u64,
    overload: u64,
    cost: f64,
}

impl Refined {
    pub(super) fn new(
        graph: &Graph,
        tree: &Tree,
        racks: Vec<u32>,
        rounds: u32,
        random: &mut Pcg64Mcg,
    ) -> Self {
        let mut mapping = Mapping::new(graph, tree, racks);
        overload::relieve(&mut mapping);
        refine::refine(&mut mapping, rounds, random);
        if rounds > 0 {
            exchange::exchange(&mut mapping, random);
        }
        Self {
            overload: mapping.overload(),
            cost: mapping.cost(),
            looks: mapping.looked_at(),
            racks: mapping.into_racks(),
        }
    }

    pub(super) fn is_better_than(&self, other: &Self) -> bool {
        (self.overload, self.cost) < (other.overload, other.cost)
    }
}
