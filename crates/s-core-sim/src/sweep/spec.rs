//! One run: what it is called and what it is made of.

use std::fmt::{self, Write as _};
use std::num::NonZeroUsize;

use s_core_proto::TargetChoice;
use s_core_token::PolicyKind;
use serde::{Deserialize, Serialize};

use super::parameters::Parameters;
use crate::MigrationCostForm;
use crate::migration_cost::shortest;
use crate::reference::Genetic;
use crate::traffic::Pattern;
use crate::{AnyStrategy, DataCentre, InitialPlacement, StrategyName, TokenStart, Topology};

/// A run: a method that is tried on a data centre.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parameters", into = "Parameters")]
pub struct RunSpec {
    /// The data centre.
    pub data_centre: DataCentreSpec,
    /// What is tried on it.
    pub method: Method,
}

/// A data centre to be made up, as a sweep file names it.
#[derive(Clone, Debug, PartialEq)]
pub struct DataCentreSpec {
    /// Where servers stand.
    pub topology: Topology,
    /// How many VMs a server has room for.
    pub vm_slots: u32,
    /// How many VMs there are.
    pub vms: u32,
    /// c_1, c_2, …
    pub link_weights: Vec<f64>,
    /// How many flows a VM has on average ([`Pattern::flows_per_vm`]).
    pub flows_per_vm: u32,
    /// Over how many windows rates are averaged ([`Pattern::windows`]).
    pub windows: u32,
    /// The VMs of an application, if there are any ([`Pattern::vms_per_application`]).
    pub vms_per_application: Option<u32>,
    /// Where the VMs are to begin with.
    pub placement: InitialPlacement,
    /// What random numbers begin with.
    pub seed: u64,
}

impl DataCentreSpec {
    /// The name of the placement.
    pub fn placement_name(&self) -> &'static str {
        placement_name(self.placement)
    }

    /// What makes it up.
    pub fn to_data_centre(&self) -> DataCentre {
        DataCentre {
            topology: self.topology.clone(),
            vm_slots: self.vm_slots,
            vms: self.vms,
            link_weights: self.link_weights.clone(),
            pattern: Pattern {
                flows_per_vm: self.flows_per_vm,
                windows: self.windows,
                vms_per_application: self.vms_per_application,
                ..Pattern::default()
            },
            placement: self.placement,
            seed: self.seed,
        }
    }
}

/// What is tried on a data centre.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// S-CORE's token.
    Token(TokenRun),
    /// Something else.
    Strategy(StrategyRun),
}

impl Method {
    /// How the token is run, if it is.
    pub fn token(&self) -> Option<TokenRun> {
        match self {
            Self::Token(token) => Some(*token),
            Self::Strategy(_) => None,
        }
    }

    /// How many individuals the genetic algorithm has, if the file says so.
    pub fn population(&self) -> Option<u32> {
        match self {
            Self::Token(_) => None,
            Self::Strategy(strategy) => strategy.population,
        }
    }

    /// The name of the policy or of the strategy.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Token(token) => token.policy.name(),
            Self::Strategy(strategy) => strategy.name.name(),
        }
    }
}

/// How the token is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenRun {
    /// Which VM decides next.
    pub policy: PolicyKind,
    /// Which of the servers that are worth a migration is taken.
    pub target_choice: TargetChoice,
    /// c_m.
    pub migration_cost: MigrationCostForm,
    /// After how many rounds the run ends, although more could be gained.
    pub max_rounds: Option<u64>,
    /// What the token knows to begin with.
    pub start: TokenStart,
}

/// How a strategy is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrategyRun {
    /// The strategy.
    pub name: StrategyName,
    /// How many individuals the genetic algorithm has, if it is that: [`Genetic::population`].
    pub population: Option<u32>,
}

impl StrategyRun {
    /// The strategy; `seed` is what its random numbers begin with, if it has any, and `threads` how many threads it may use.
    pub fn build(&self, seed: u64, threads: NonZeroUsize) -> Box<AnyStrategy> {
        match self.name {
            StrategyName::Genetic => {
                let population = self.population.map(|population| population as usize);
                Box::new(Genetic {
                    population: population.unwrap_or(Genetic::default().population),
                    seed,
                    threads: threads.get(),
                })
            }
            name => name.build(seed),
        }
    }
}

/// The name of a placement in files and on command lines.
pub(super) const fn placement_name(placement: InitialPlacement) -> &'static str {
    match placement {
        InitialPlacement::Random => "random",
        InitialPlacement::RackLocal => "rack-local",
    }
}

impl RunSpec {
    /// The name of the run and of its directory, made of its parameters alone: readable, safe as a file
    /// name, and another one for every other run.
    pub fn id(&self) -> String {
        let DataCentreSpec {
            topology,
            vm_slots,
            vms,
            link_weights,
            flows_per_vm,
            windows,
            vms_per_application,
            placement,
            seed,
        } = &self.data_centre;
        let mut id = topology.to_string().replace([':', ','], "-");
        if topology.link_weights() != Some(link_weights) {
            let weights = link_weights.iter().copied().map(shortest);
            id += "_w";
            id += &weights.collect::<Vec<_>>().join("+");
        }
        let placement = placement_name(*placement);
        let mut add = |part: fmt::Arguments<'_>| {
            id.push('_');
            id.write_fmt(part).expect("a String takes any text");
        };
        add(format_args!("{vm_slots}slots"));
        add(format_args!("{vms}vms"));
        add(format_args!("{flows_per_vm}flows"));
        if *windows != 1 {
            add(format_args!("{windows}windows"));
        }
        if let Some(vms) = vms_per_application {
            add(format_args!("apps{vms}"));
        }
        add(format_args!("{placement}"));
        add(format_args!("seed{seed}"));
        add(format_args!("{}", self.method.name()));
        if let Some(population) = self.method.population() {
            add(format_args!("{population}individuals"));
        }
        if let Method::Token(token) = self.method {
            let migration_cost = token.migration_cost.to_string().replace('%', "pct");
            add(format_args!("{}", token.target_choice));
            add(format_args!("cm{migration_cost}"));
            if let Some(rounds) = token.max_rounds {
                add(format_args!("{rounds}rounds"));
            }
            if token.start != TokenStart::Measured {
                add(format_args!("{}", token.start));
            }
        }
        id
    }
}
