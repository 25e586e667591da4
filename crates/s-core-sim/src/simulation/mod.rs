//! The token in one process.

mod dynamic;
mod error;
mod hop;
mod marks;
mod run;
mod seats;
mod series;
mod stability;
mod start;
mod strategy;
mod timing;
mod visit;

use std::borrow::Cow;
use std::time::Duration;

use s_core_model::{Allocation, CostModel, Levels, RunningCost, TrafficMatrix};
use s_core_proto::Evaluation;
use s_core_token::{Limits, Mark, PassingPolicy, PolicyKind, Statistic, Token, VisitReport};

pub use dynamic::Windows;
pub use error::SimulationError;
pub(crate) use error::check_parts;
use error::{check_rules, check_traffic};
pub use hop::{Decision, Hop, Migration, WhyStayed};
use marks::Marks;
pub use run::{Ended, Outcome, RunLimits};
pub use s_core_proto::Rules;
use seats::Seats;
pub use series::{Sample, Series};
pub use stability::Stability;
pub use start::{TokenStart, UnknownTokenStart};
pub use strategy::TokenStrategy;
pub use timing::{InvalidTiming, Timing};

/// A data centre whose VMs hold the token one after the other, as chapter 5 simulates it.
///
/// A VM that holds it decides by [`Evaluation`], as the agents do; servers with room are those whose
/// [`Allocation::free`] admits it. Levels and statistics in the token are kept as the agents keep
/// them: the holder writes its own level and statistic and raises its peers' levels (4.1). The
/// statistics of the global policy are gathered centrally before each round.
///
/// The time of a hop does not depend on the number of VMs, apart from a round's beginning. A VM that
/// found nothing to gain is not evaluated again before it or one of its peers has moved: the
/// outcome would be the same. Half a byte of memory per VM, besides the traffic, the allocation and the token.
#[derive(Debug)]
pub struct Simulation<'a, L> {
    model: &'a CostModel<L>,
    traffic: Cow<'a, TrafficMatrix>,
    policy: &'a dyn PassingPolicy,
    rules: Rules,
    timing: Option<Timing>,
    allocation: Allocation,
    token: Token,
    seats: Seats,
    evaluation: Evaluation,
    /// The VMs that found nothing to gain, with themselves and their peers where they still are.
    nothing_to_gain: Marks,
    /// The VMs that have held the token and stayed since the last migration.
    stayed: Marks,
    round_begins: bool,
    elapsed: Duration,
    /// How many rounds had been begun when the traffic last changed.
    rounds_before_traffic: u64,
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
        check_parts(model.levels(), traffic, &allocation)?;
        check_rules(rules)?;
        let ids: Vec<_> = allocation.vms().map(|vm| allocation.vm_at(vm)).collect();
        let limits = Limits {
            max_slots: u32::MAX,
        };
        let token = Token::new(&ids, policy, Mark::default(), limits)?;
        drop(ids);
        let vms = allocation.vm_count();
        let initial_cost = model.total_cost(&allocation, traffic);
        Ok(Self {
            model,
            traffic: Cow::Borrowed(traffic),
            policy,
            rules,
            timing: None,
            seats: Seats::new(&token),
            token,
            evaluation: Evaluation::default(),
            nothing_to_gain: Marks::new(vms),
            stayed: Marks::new(vms),
            round_begins: true,
            elapsed: Duration::ZERO,
            rounds_before_traffic: 0,
            initial_cost,
            cost: RunningCost::new(initial_cost),
            hops: 0,
            rounds: 0,
            migrations: 0,
            allocation,
        })
    }

    /// The same, with a time that passes as `timing` says. The decisions do not depend on it.
    pub fn with_timing(self, timing: Timing) -> Self {
        Self {
            timing: Some(timing),
            ..self
        }
    }

    /// From now on the VMs exchange data as `traffic` says.
    ///
    /// The cost is recomputed, and all that was found out about the VMs forgotten: whether the token goes
    /// round without a migration is counted from here. The token keeps its levels and statistics, which
    /// are as old as a real token's would be. O(VMs + pairs).
    ///
    /// # Errors
    ///
    /// [`SimulationError::OtherVms`] if the traffic is of more or fewer VMs; nothing changes then.
    pub fn set_traffic(
        &mut self,
        traffic: impl Into<Cow<'a, TrafficMatrix>>,
    ) -> Result<(), SimulationError> {
        let traffic = traffic.into();
        check_traffic(&traffic, &self.allocation)?;
        self.cost = RunningCost::new(self.model.total_cost(&self.allocation, &traffic));
        self.traffic = traffic;
        self.nothing_to_gain.clear();
        self.stayed.clear();
        self.rounds_before_traffic = self.rounds;
        Ok(())
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

    /// The simulated time since the token began; zero without a [`Timing`].
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Whether nothing more will happen while the traffic stays as it is: every VM has held the token and
    /// stayed since the last migration.
    ///
    /// A policy that leaves VMs out, as users' own may, has settled after two
    /// [quiet rounds](Token::quiet_rounds) with this traffic.
    pub fn is_settled(&self) -> bool {
        let begun = self.rounds - self.rounds_before_traffic;
        let ended = begun.saturating_sub(u64::from(!self.round_begins));
        self.stayed.len() == self.allocation.vm_count()
            || (ended >= 2 && self.token.quiet_rounds() >= 2)
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
            round_ended: self.round_begins,
            elapsed: self.elapsed,
        }
    }

    fn begin_round(&mut self) {
        self.rounds += 1;
        if self.policy.code() == PolicyKind::Global.code() {
            let statistics = self.gather_statistics();
            self.token.restart_round(self.policy, &statistics);
        }
        self.seats = Seats::new(&self.token);
    }

    /// What each VM would report about itself now, in slot order (4.1, global: "gathers communication statistics").
    fn gather_statistics(&self) -> Vec<Statistic> {
        let seats = Seats::new(&self.token);
        let report = |vm| {
            let here = self.allocation.host(vm);
            let pair = |report, (peer, rate)| {
                self.report_pair(report, rate, here, self.allocation.host(peer))
            };
            self.traffic.peers(vm).fold(VisitReport::default(), pair)
        };
        (0..self.token.len())
            .map(|position| self.policy.statistic(&report(seats.vm_at(position))))
            .map(Option::unwrap_or_default)
            .collect()
    }
}
