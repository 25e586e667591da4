//! The strategies that sweeps know by name.

use s_core_topology::LocationTable;

use super::StrategyName;
use crate::Strategy;

/// Whether there is a strategy of this name.
pub(super) fn is_available(name: StrategyName) -> bool {
    build(name, 0).is_some()
}

/// The strategy of this name, if there is one; `seed` is what its random numbers begin with.
pub(super) fn build<'a>(
    name: StrategyName,
    _seed: u64,
) -> Option<Box<dyn Strategy<&'a LocationTable>>> {
    match name {
        StrategyName::Starling
        | StrategyName::Remedy
        | StrategyName::TrafficAware
        | StrategyName::Multilevel
        | StrategyName::Genetic
        | StrategyName::Exact => None,
    }
}
