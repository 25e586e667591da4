//! The migration decision of thesis 4.2.5: which servers to ask for room, in which order.
//!
//! One implementation serves the agent's [`Node`](crate::Node), the planner and the simulator.

mod choose;
mod rules;

use alloc::vec::Vec;
use core::cmp::Reverse;

use s_core_model::{CostModel, Distances, HostLoads, Levels, Rate, ServerIndex, gain};

pub use choose::NoTarget;
pub use rules::{Rules, TargetChoice, UnknownTargetChoice};

/// A peer's server that the VM could move to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The server.
    pub server: ServerIndex,
    /// The highest communication cost of any of the VM's peers there: what orders [`TargetChoice::FirstFit`].
    pub pair_cost: f64,
    /// The left side of Eq. 3.2 for a move there.
    pub gain: f64,
}

/// What a VM's traffic costs where it is, and what it would gain elsewhere.
///
/// Reused from one VM to the next, it allocates nothing once it has grown.
///
/// ```
/// use s_core_model::{CostModel, LinkWeights, Rate, ServerIndex};
/// use s_core_proto::{Evaluation, TargetChoice};
/// # use s_core_model::{Level, Levels, ServerId};
/// # struct Racks;
/// # impl Levels for Racks {
/// #     fn server_count(&self) -> usize { 4 }
/// #     fn max_level(&self) -> Level { Level::new(1) }
/// #     fn level(&self, a: ServerIndex, b: ServerIndex) -> Level { Level::new((a != b).into()) }
/// #     fn index_of(&self, s: ServerId) -> Option<ServerIndex> { Some(ServerIndex::new(s.get())) }
/// #     fn server_at(&self, s: ServerIndex) -> ServerId { ServerId::new(s.get()) }
/// # }
/// // Four servers in four racks: a VM on server 0 talks to VMs on servers 1 and 2.
/// let model = CostModel::new(LinkWeights::new([1.0])?, Racks)?;
/// let [here, near, far] = [0, 1, 2].map(ServerIndex::new);
/// let peers = [(near, Rate::new(10.0)?), (far, Rate::new(90.0)?)];
/// let mut evaluation = Evaluation::default();
/// evaluation.evaluate(&model, here, peers);
/// assert_eq!(evaluation.cost(), 100.0);
/// let best = evaluation.worthwhile(0.0, TargetChoice::FirstFit)[0];
/// assert_eq!((best.server, best.gain), (far, 180.0)); // 2 × (100 − 10)
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Evaluation {
    cost: f64,
    candidates: Vec<Candidate>,
    asked: Vec<Candidate>,
    loads: HostLoads,
    servers: Vec<ServerIndex>,
    costs: Vec<f64>,
}

impl Evaluation {
    /// Evaluates a VM on server `source` that exchanges data with `peers` at these servers.
    ///
    /// Takes O(peers × log peers), and the time of [`CostModel::costs_at`] for as many
    /// candidates as there are servers with peers.
    ///
    /// # Panics
    ///
    /// If a server is not part of the model's data centre.
    pub fn evaluate<L: Levels>(
        &mut self,
        model: &CostModel<L>,
        source: ServerIndex,
        peers: impl IntoIterator<Item = (ServerIndex, Rate)>,
    ) {
        self.loads.refill(peers);
        self.collect_candidates(model, source, Distances::ALL);
        // The cost here in the same way as the costs elsewhere: both are rounded alike.
        self.servers.clear();
        self.servers.push(source);
        self.servers
            .extend(self.candidates.iter().map(|candidate| candidate.server));
        self.costs.clear();
        model.costs_at(&self.loads, &self.servers, &mut self.costs);
        self.cost = self.costs[0];
        for (candidate, cost_after) in self.candidates.iter_mut().zip(&self.costs[1..]) {
            candidate.gain = gain(self.cost, *cost_after);
        }
        self.candidates.sort_unstable_by(|a, b| {
            b.pair_cost
                .total_cmp(&a.pair_cost)
                .then(a.server.cmp(&b.server))
        });
    }

    /// One candidate per server with peers at these distances, ascending by server, their gains still unknown.
    fn collect_candidates<L: Levels>(
        &mut self,
        model: &CostModel<L>,
        source: ServerIndex,
        distances: Distances,
    ) {
        let elsewhere = self.loads.iter().filter(|load| load.server != source);
        let candidates = elsewhere
            .filter(|load| model.is_within(distances, source, load.server))
            .map(|load| Candidate {
                server: load.server,
                pair_cost: model.pair_cost(load.greatest, source, load.server),
                gain: 0.0,
            });
        self.candidates.clear();
        self.candidates.extend(candidates);
    }

    /// C(u) where the VM is now.
    pub fn cost(&self) -> f64 {
        self.cost
    }

    /// Every server that hosts a peer, other than the VM's own, in the order of 4.2.5.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The candidates whose gain is strictly above `threshold` (Eq. 3.2), in the order in which to
    /// ask them for room.
    ///
    /// The threshold is [`MigrationCost::threshold`](s_core_model::MigrationCost::threshold) of
    /// [`cost`](Self::cost), and whatever else stands against a move.
    pub fn worthwhile(&mut self, threshold: f64, choice: TargetChoice) -> &[Candidate] {
        self.asked.clear();
        self.asked.extend(
            self.candidates
                .iter()
                .filter(|candidate| candidate.gain > threshold),
        );
        if choice == TargetChoice::BestFit {
            // Stable: candidates of equal gain stay in the order of 4.2.5.
            self.asked.sort_by(|a, b| b.gain.total_cmp(&a.gain));
        }
        &self.asked
    }

    /// The candidate with the largest gain, whether or not it exceeds the migration cost.
    pub fn best(&self) -> Option<Candidate> {
        self.candidates.iter().copied().max_by(|a, b| {
            (a.gain.total_cmp(&b.gain)).then(Reverse(a.server).cmp(&Reverse(b.server)))
        })
    }
}
