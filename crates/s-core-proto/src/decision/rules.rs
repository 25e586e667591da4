//! What a migration must satisfy.

use core::fmt;
use core::str::FromStr;

use s_core_model::MigrationCost;

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

/// In which order the servers that are worth a migration are asked for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum TargetChoice {
    /// Thesis 4.2.5: the servers of the peers, from the highest communication cost of a peer to
    /// the lowest; the first that has room and is cheaper.
    #[default]
    FirstFit,
    /// Chapter 3: all candidates are compared; the one with the largest gain that has room.
    BestFit,
}

impl TargetChoice {
    /// The name used in configuration files and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FirstFit => "first-fit",
            Self::BestFit => "best-fit",
        }
    }
}

impl fmt::Display for TargetChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TargetChoice {
    type Err = UnknownTargetChoice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::FirstFit, Self::BestFit]
            .into_iter()
            .find(|choice| choice.name() == text)
            .ok_or(UnknownTargetChoice)
    }
}

/// A name that is no way of choosing a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown target choice; known are first-fit and best-fit")]
pub struct UnknownTargetChoice;
