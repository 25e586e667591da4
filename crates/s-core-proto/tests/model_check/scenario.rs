//! What is explored: the traffic, the timers that may fire, and how far to go.

use std::sync::Arc;
use std::time::Duration;

use s_core_model::ServerId;
#[cfg(feature = "mutations")]
use s_core_proto::Mutation;
use s_core_proto::{Config, Timing};
use s_core_token::PolicyKind;

use crate::common::{Pairs, config, server};
use crate::rules::Rule;
use crate::world::{SERVERS, index};

/// What has happened before the first step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The first server has made a token, and decided for its VM.
    Minted,
    /// The first VM has begun to arrive on the third server.
    Arriving,
}

/// Three servers with room for two VMs each, one VM on each of them, and a token just made on the first.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub start: Start,
    /// Pairs of VMs that exchange data, at one rate.
    pub traffic: &'static [(u32, u32)],
    pub policy: PolicyKind,
    /// A server that hears nothing of the token doubts its successor, and claims.
    pub recovers: bool,
    /// A reservation may expire.
    pub expires: bool,
    /// A migration may end with its outcome unknown.
    pub unknown: bool,
    /// Where VMs are is asked for in messages like all others; else the answer comes within the step.
    pub slow_locations: bool,
    /// How often a server may crash and start again.
    pub crashes: u8,
    /// How many steps from the start.
    pub steps: usize,
    /// What must be reachable, or the check is of nothing: names in [`REACHABLE`](crate::rules::REACHABLE).
    pub reaches: &'static [&'static str],
}

/// A timer with this span may fire in any step.
const SOON: Duration = Duration::from_secs(1);
/// A timer with this span never fires.
const NEVER: Duration = Duration::from_secs(1 << 40);

impl Scenario {
    /// A timer fires when its server is given a tick, at any moment that the checker chooses.
    pub fn timing(&self) -> Timing {
        let when = |may: bool| if may { SOON } else { NEVER };
        Timing {
            measurement: SOON,
            answer: SOON,
            acknowledgement: SOON,
            // A tenth more is allowed, and ticks are one SOON apart.
            migration: Duration::ZERO,
            reservation: when(self.expires),
            rest: Duration::ZERO,
            // Between rounds: a token whose VMs are all on one server would never leave the step.
            idle: SOON,
            keep_alive: NEVER,
            custody: when(self.recovers),
            beacon: NEVER,
            silence: when(self.recovers),
            stagger: Duration::ZERO,
            outcome: SOON,
        }
    }
}

/// A scenario, ready to run.
#[derive(Clone, Debug)]
pub struct Setup {
    pub scenario: Scenario,
    pub configs: Vec<Arc<Config<Pairs>>>,
    /// A rule to leave out, to see which other one a defect breaks.
    pub unwatched: Option<Rule>,
}

impl Setup {
    pub fn new(scenario: Scenario) -> Self {
        let config = |number| {
            let mut config = config(server(number), SERVERS, scenario.policy);
            config.timing = scenario.timing();
            // A message that was sent stays in the network: sending it again adds nothing.
            config.bounds.attempts = 1;
            config.bounds.quiet_rounds = 0;
            config
        };
        Self {
            scenario,
            unwatched: None,
            configs: (0..SERVERS).map(config).map(Arc::new).collect(),
        }
    }

    /// The same with a defect in every node.
    #[cfg(feature = "mutations")]
    pub fn with(mut self, mutation: Mutation) -> Self {
        for config in &mut self.configs {
            Arc::make_mut(config).mutation = Some(mutation);
        }
        self
    }

    pub fn config(&self, of: ServerId) -> Arc<Config<Pairs>> {
        Arc::clone(&self.configs[index(of)])
    }
}
