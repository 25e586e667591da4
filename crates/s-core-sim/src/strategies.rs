//! The strategies that do without the token, by name.

use std::fmt;
use std::str::FromStr;

use s_core_topology::LocationTable;

use crate::Strategy;
use crate::baselines::{Remedy, Starling, TrafficAware};
use crate::reference::{Exact, Genetic, Multilevel};

/// A strategy for data centres whose servers are where a [`LocationTable`] says, as those read from files or made up.
pub type AnyStrategy = dyn for<'a> Strategy<&'a LocationTable>;

/// A strategy that does without the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StrategyName {
    /// Starling, a baseline.
    Starling,
    /// Remedy, a baseline.
    Remedy,
    /// Traffic-aware placement, a baseline.
    TrafficAware,
    /// The multilevel reference.
    Multilevel,
    /// The genetic algorithm of thesis 5.1.2, a reference.
    Genetic,
    /// Exact search, a reference for tiny data centres.
    Exact,
}

impl StrategyName {
    /// The published systems to compare with (thesis 2.6).
    pub const BASELINES: [Self; 3] = [Self::Starling, Self::Remedy, Self::TrafficAware];
    /// Those that look for the best placement there is (thesis 5.1.2).
    pub const REFERENCES: [Self; 3] = [Self::Multilevel, Self::Genetic, Self::Exact];

    /// The name in files and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starling => "starling",
            Self::Remedy => "remedy",
            Self::TrafficAware => "traffic-aware",
            Self::Multilevel => "multilevel",
            Self::Genetic => "genetic",
            Self::Exact => "exact",
        }
    }

    /// Whether it looks for the best placement there is.
    pub fn is_reference(self) -> bool {
        Self::REFERENCES.contains(&self)
    }
}

impl fmt::Display for StrategyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for StrategyName {
    type Err = UnknownStrategy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::BASELINES.into_iter().chain(Self::REFERENCES);
        let known = all.find(|strategy| strategy.name() == text);
        known.ok_or_else(|| UnknownStrategy(crate::snapshot::shown(text)))
    }
}

/// A name that is no strategy's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is unknown; the baselines are starling, remedy and traffic-aware, the references multilevel, genetic and exact"
)]
pub struct UnknownStrategy(String);

impl StrategyName {
    /// The strategy as it is by default; `seed` is what its random numbers begin with, if it has any.
    pub fn build(self, seed: u64) -> Box<AnyStrategy> {
        match self {
            Self::Starling => Box::new(Starling::default()),
            Self::Remedy => Box::new(Remedy::default()),
            Self::TrafficAware => Box::new(TrafficAware),
            Self::Multilevel => Box::new(Multilevel {
                seed,
                ..Multilevel::default()
            }),
            Self::Genetic => Box::new(Genetic {
                seed,
                ..Genetic::default()
            }),
            Self::Exact => Box::new(Exact),
        }
    }
}
