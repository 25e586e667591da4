//! The token in one process.

mod hop;
mod run;
mod seats;

use s_core_model::{
    Allocation, CostModel, Level, Levels, MigrationCost, RunningCost, ServerId, ServerIndex,
    TrafficMatrix, VmIndex,
};
use s_core_proto::{Evaluation, TargetChoice};
use s_core_token::{
    Limits, Mark, PassingPolicy, PolicyKind, SlotsError, Statistic, Token, VisitReport,
};

pub use hop::{Decision, Hop, Migration, WhyStayed};
pub use run::{Ended, Outcome, RunLimits};
use seats::Seats;

/// What a migration must satisfy besides room at its target.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Rules {
    /// c_m: the gain must be strictly above it (Eq. 3.2).
    pub migration_cost: MigrationCost,
    /// Which of the servers that are worth a migration is taken.
    pub target_choice: TargetChoice,
    /// The least gain that is worth a migration, in bytes per second times link weight; 0 for any.
    pub min_gain: f64,
}

/// A data centre whose VMs hold the token one after the other, as chapter 5 simulates it.
///
/// A VM that holds it decides by [`Evaluation`], as the agents do; servers with room are those whose
/// [`Allocation::free`] admits it. Levels and statistics in the token are kept as the agents keep
/// them: the holder writes its own level and statistic and raises its peers' levels (4.1). The
/// statistics of the global policy are gathered centrally before each round.
///
/// The time of a hop does not depend on the number of VMs, apart from a round's beginning. A VM that
/// found nothing to gain is not evaluated again before it or one of its peers has moved: the
/// outcome would be the same.
#[derive(Debug)]
pub struct Simulation<'a, L> {
    model: &'a CostModel<L>,
    traffic: &'a TrafficMatrix,
    policy: &'a dyn PassingPolicy,
    rules: Rules,
    allocation: Allocation,
    token: Token,
    seats: Seats,
    evaluation: Evaluation,
    /// Whether a VM found nothing to gain, with itself and its peers where they still are.
    nothing_to_gain: Vec<bool>,
    /// How many migrations had been made, plus 1, when a VM last held the token and stayed.
    stayed_after: Vec<u64>,
    /// How many VMs have held the token and stayed since the last migration.
    stayed: usize,
    round_begins: bool,
    initial_cost: f64,
    cost: RunningCost,
    hops: u64,
    rounds: u64,
    migrations: u64,
}

impl<'a, L: Levels> Simulation<'a, L> {
    /// A data centre before the first hop of a new token.
    ///
    /// # Errors
    ///
    /// [`SimulationError`] if the parts do not fit each other, the least gain is not a number from 0 up,
    /// or there is no VM to hold a token.
    pub fn new(
        model: &'a CostModel<L>,
        traffic: &'a TrafficMatrix,
        allocation: Allocation,
        policy: &'a dyn PassingPolicy,
        rules: Rules,
    ) -> Result<Self, SimulationError> {
        check(model.levels(), traffic, &allocation, rules)?;
        let ids: Vec<_> = allocation.vms().map(|vm| allocation.vm_at(vm)).collect();
        let limits = Limits {
            max_slots: u32::MAX,
        };
        let token = Token::new(&ids, policy, Mark::default(), limits)?;
        let initial_cost = model.total_cost(&allocation, traffic);
        Ok(Self {
            model,
            traffic,
            policy,
            rules,
            seats: Seats::new(&token, &allocation),
            token,
            evaluation: Evaluation::default(),
            nothing_to_gain: vec![false; ids.len()],
            stayed_after: vec![0; ids.len()],
            stayed: 0,
            round_begins: true,
            initial_cost,
            cost: RunningCost::new(initial_cost),
            hops: 0,
            rounds: 0,
            migrations: 0,
            allocation,
        })
    }

    /// Which server hosts which VM now.
    pub fn allocation(&self) -> &Allocation {
        &self.allocation
    }

    /// The token as its next holder finds it.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// Eq. 3.1 now, kept up from migration to migration.
    pub fn total_cost(&self) -> f64 {
        self.cost.get()
    }

    /// Whether nothing more will happen: every VM has held the token and stayed since the last migration.
    ///
    /// A policy that leaves VMs out, as users' own may, has settled after two
    /// [quiet rounds](Token::quiet_rounds).
    pub fn is_settled(&self) -> bool {
        self.stayed == self.allocation.vm_count() || self.token.quiet_rounds() >= 2
    }

    /// The next VM holds the token: it migrates or stays, and hands the token on.
    pub fn step(&mut self) -> Hop {
        if self.round_begins {
            self.begin_round();
        }
        let new_round = self.round_begins;
        let holder = self.seats.vm_at(self.token.holder());
        let decision = self.visit(holder);
        let migrated = matches!(decision, Decision::Migrated(_));
        self.round_begins = self.token.pass(self.policy, migrated).new_round;
        self.hops += 1;
        Hop {
            holder,
            decision,
            total_cost: self.cost.get(),
            new_round,
        }
    }

    fn begin_round(&mut self) {
        self.rounds += 1;
        if self.policy.code() == PolicyKind::Global.code() {
            let statistics = self.gather_statistics();
            self.token.restart_round(self.policy, &statistics);
        }
        self.seats = Seats::new(&self.token, &self.allocation);
    }

    /// What each VM would report about itself now, in slot order (4.1, global: "gathers communication statistics").
    fn gather_statistics(&self) -> Vec<Statistic> {
        let seats = Seats::new(&self.token, &self.allocation);
        let report = |vm| {
            let source = self.allocation.host(vm);
            let reduction = |(peer, rate)| {
                2.0 * (self.model).pair_cost(rate, source, self.allocation.host(peer))
            };
            VisitReport {
                load: self.traffic.load(vm),
                greatest_pair_reduction: self.traffic.peers(vm).map(reduction).fold(0.0, f64::max),
            }
        };
        (0..self.token.len())
            .map(|position| self.policy.statistic(&report(seats.vm_at(position))))
            .map(Option::unwrap_or_default)
            .collect()
    }

    fn visit(&mut self, holder: VmIndex) -> Decision {
        if self.nothing_to_gain[holder.usize()] {
            // Its level, its peers' levels and its statistic stand in the token already.
            self.note_stay(holder);
            return Decision::Stayed(WhyStayed::NoGain);
        }
        let decision = self.decide(holder);
        match &decision {
            Decision::Migrated(migration) => self.note_migration(migration),
            Decision::Stayed(why) => {
                self.nothing_to_gain[holder.usize()] = *why == WhyStayed::NoGain;
                self.note_stay(holder);
            }
        }
        self.update_levels(holder);
        decision
    }

    /// Thesis 4.2.5, with the agents' own code: evaluates, and asks servers for room in their order.
    fn decide(&mut self, holder: VmIndex) -> Decision {
        let Self {
            allocation,
            evaluation,
            ..
        } = self;
        let source = allocation.host(holder);
        let peers = self.traffic.peers(holder);
        let peers = peers.map(|(peer, rate)| (allocation.host(peer), rate));
        evaluation.evaluate(self.model, source, peers);
        let report = VisitReport {
            load: evaluation.load(),
            greatest_pair_reduction: evaluation.greatest_pair_reduction(),
        };
        if let Some(statistic) = self.policy.statistic(&report) {
            self.token.set_own_statistic(statistic);
        }
        let Rules {
            migration_cost,
            target_choice,
            min_gain,
        } = self.rules;
        let threshold = migration_cost.threshold(evaluation.cost());
        let worthwhile = evaluation.worthwhile(threshold, target_choice);
        let mut worthwhile = worthwhile.iter().filter(|c| c.gain >= min_gain).peekable();
        if worthwhile.peek().is_none() {
            return Decision::Stayed(WhyStayed::NoGain);
        }
        let memory_mib = allocation.memory_mib(holder);
        let Some(target) = worthwhile.find(|c| allocation.free(c.server).admits(memory_mib)) else {
            return Decision::Stayed(WhyStayed::NoRoom);
        };
        allocation
            .migrate(holder, target.server)
            .expect("the target has just been asked for room");
        self.cost.add(-target.gain);
        Decision::Migrated(Migration {
            step: self.hops + 1,
            vm: holder,
            source,
            target: target.server,
            gain: target.gain,
            total_cost: self.cost.get(),
        })
    }

    fn note_migration(&mut self, migration: &Migration) {
        self.migrations += 1;
        self.stayed = 0;
        for (peer, _) in self.traffic.peers(migration.vm) {
            self.nothing_to_gain[peer.usize()] = false;
        }
    }

    fn note_stay(&mut self, holder: VmIndex) {
        let now = self.migrations + 1;
        let before = std::mem::replace(&mut self.stayed_after[holder.usize()], now);
        self.stayed += usize::from(before != now);
    }

    /// The holder's own level and its peers' levels (Algorithm 1, lines 3 to 7), where it is now.
    fn update_levels(&mut self, holder: VmIndex) {
        let here = self.allocation.host(holder);
        let mut own = Level::ZERO;
        for (peer, _) in self.traffic.peers(holder) {
            let level = self.model.levels().level(here, self.allocation.host(peer));
            own = own.max(level);
            self.token.raise_level(self.seats.position_of(peer), level);
        }
        self.token.set_own_level(own);
    }
}

fn check(
    levels: &impl Levels,
    traffic: &TrafficMatrix,
    allocation: &Allocation,
    rules: Rules,
) -> Result<(), SimulationError> {
    check_parts(levels, traffic, allocation)?;
    if !rules.min_gain.is_finite() || rules.min_gain < 0.0 {
        return Err(SimulationError::MinGain(rules.min_gain));
    }
    Ok(())
}

pub(crate) fn check_parts(
    levels: &impl Levels,
    traffic: &TrafficMatrix,
    allocation: &Allocation,
) -> Result<(), SimulationError> {
    let (in_traffic, in_allocation) = (traffic.vm_count(), allocation.vm_count());
    if in_traffic != in_allocation {
        return Err(SimulationError::OtherVms {
            in_traffic,
            in_allocation,
        });
    }
    let known = |server: ServerIndex| {
        let id = allocation.server_at(server);
        (levels.index_of(id) != Some(server)).then_some(id)
    };
    if let Some(server) = allocation.servers().find_map(known) {
        return Err(SimulationError::OtherServers(server));
    }
    Ok(())
}

/// Parts that do not make a simulation.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SimulationError {
    /// The traffic is not that of the VMs allocated.
    #[error(
        "the traffic is of {in_traffic} VMs, and {in_allocation} are allocated; give both the same VMs"
    )]
    OtherVms {
        /// VMs of the traffic matrix.
        in_traffic: usize,
        /// VMs of the allocation.
        in_allocation: usize,
    },
    /// The cost model numbers the servers otherwise than the allocation.
    #[error(
        "server {0} of the allocation is not at the same place in the topology; give both the same servers"
    )]
    OtherServers(ServerId),
    /// The least gain is not a finite number from 0 up.
    #[error("the least gain {0} is not a finite number from 0 up")]
    MinGain(f64),
    /// The VMs do not make a token.
    #[error(transparent)]
    Slots(#[from] SlotsError),
}
