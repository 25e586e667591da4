//! c_i: link weights and path costs.

use alloc::vec::Vec;
use core::fmt;

use crate::Level;

/// c_1 < c_2 < … of Table 3.1, kept as the costs of whole paths.
///
/// A path at level *l* costs c_1 + … + c_l, the inner sum of Eq. 3.1; a path at level 0 is free.
///
/// ```
/// use s_core_model::{Level, LinkWeights};
///
/// let weights = LinkWeights::new([1.0, 3.0, 10.0])?;
/// assert_eq!(weights.path_cost(Level::ZERO), 0.0);
/// assert_eq!(weights.path_cost(Level::new(2)), 4.0);
/// # Ok::<(), s_core_model::InvalidWeights>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LinkWeights {
    /// c_1, c_2, … as given: differences of the path costs are not the same to the last bit.
    weights: Vec<f64>,
    /// Entry l is the cost of a path at level l; entry 0 is zero.
    path_costs: Vec<f64>,
}

/// Rates and VMs are bounded too, so that costs stay finite with room to spare.
const MAX_PATH_COST: f64 = 1e100;

impl LinkWeights {
    /// The weights c_1, c_2, … in this order.
    ///
    /// # Errors
    ///
    /// [`InvalidWeights`] unless there are 1 to 255 weights, each finite and above zero, each
    /// above the one before it (chapter 3: c_1 < c_2 < c_3 < c_4), with a sum of at most 10¹⁰⁰, so
    /// that no cost is too large for a number.
    pub fn new(weights: impl Into<Vec<f64>>) -> Result<Self, InvalidWeights> {
        let weights = weights.into();
        if weights.is_empty() || weights.len() > usize::from(u8::MAX) {
            return Err(InvalidWeights::Count(weights.len()));
        }
        let mut path_costs = Vec::with_capacity(weights.len() + 1);
        let (mut below, mut path_cost) = (0.0, 0.0);
        path_costs.push(path_cost);
        for (position, weight) in (1..).zip(weights.iter().copied()) {
            if !weight.is_finite() || weight <= 0.0 {
                return Err(InvalidWeights::NotPositive { position, weight });
            }
            if weight <= below {
                return Err(InvalidWeights::NotRising {
                    position,
                    weight,
                    below,
                });
            }
            path_cost += weight;
            if path_cost > MAX_PATH_COST {
                return Err(InvalidWeights::TooLarge { position, weight });
            }
            path_costs.push(path_cost);
            below = weight;
        }
        Ok(Self {
            weights,
            path_costs,
        })
    }

    /// The weights of the thesis's simulations (5.1): e^0, e^1, e^3, e^5.
    pub fn thesis() -> Self {
        Self::new([
            1.0,
            core::f64::consts::E,
            20.085_536_923_187_668,
            148.413_159_102_576_6,
        ])
        .expect("e^0 < e^1 < e^3 < e^5")
    }

    /// The highest level that these weights cover, which is how many there are.
    pub fn max_level(&self) -> Level {
        let count = u8::try_from(self.weights.len()).expect("checked at construction");
        Level::new(count)
    }

    /// The cost of a path at `level`: Σ c_i for i from 1 to `level`, per byte per second.
    ///
    /// # Panics
    ///
    /// If `level` is above [`max_level`](Self::max_level).
    pub fn path_cost(&self, level: Level) -> f64 {
        self.path_costs[usize::from(level.get())]
    }

    /// c_1, c_2, … one by one.
    pub fn iter(&self) -> impl Iterator<Item = f64> + '_ {
        self.weights.iter().copied()
    }
}

/// Numbers that cannot be link weights.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidWeights {
    /// No weight at all, or more than a one-byte level can name.
    #[error("{0} link weights given; 1 to 255 are wanted, one per level of links")]
    Count(usize),
    /// A weight with which a path costs more than 10¹⁰⁰.
    #[error(
        "link weight c_{position} = {weight} is too large; all weights together are at most 1e100"
    )]
    TooLarge {
        /// Which weight, counted from 1.
        position: usize,
        /// Its value.
        weight: f64,
    },
    /// A weight that is zero, negative, infinite or not a number.
    #[error("link weight c_{position} = {weight} is not a finite number above zero")]
    NotPositive {
        /// Which weight, counted from 1.
        position: usize,
        /// Its value.
        weight: f64,
    },
    /// A weight that is not above the one below it.
    #[error(
        "link weight c_{position} = {weight} does not rise above c_{} = {below}; weights must rise towards the core",
        position - 1
    )]
    NotRising {
        /// Which weight, counted from 1.
        position: usize,
        /// Its value.
        weight: f64,
        /// The value of the weight before it.
        below: f64,
    },
}

/// c_m of Eq. 3.2: what a migration costs itself, and so what its gain must exceed.
///
/// The thesis gives it no unit (5.1.3): as an absolute number it is a rate times a weight, like
/// the gain; as a fraction it is relative to what the VM's traffic costs before the migration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MigrationCost {
    /// A cost in bytes per second times link weight, as Eq. 3.2 has it.
    Absolute(f64),
    /// A fraction, 0 to 1, of the VM's own part in the overall cost: 2·C(u), each pair counted
    /// at both its ends as in Eq. 3.1. A gain can never be more than that.
    RelativeToVm(f64),
}

impl MigrationCost {
    /// Migrations cost nothing: any gain is worth it (the thesis's default, 5.1).
    pub const ZERO: Self = Self::Absolute(0.0);

    /// This cost, if its number makes sense.
    ///
    /// # Errors
    ///
    /// [`InvalidMigrationCost`] if the number is negative, infinite or not a number, or a fraction above 1.
    pub fn checked(self) -> Result<Self, InvalidMigrationCost> {
        match self {
            Self::Absolute(cost) if cost.is_finite() && cost >= 0.0 => Ok(self),
            Self::RelativeToVm(fraction) if (0.0..=1.0).contains(&fraction) => Ok(self),
            Self::Absolute(_) | Self::RelativeToVm(_) => Err(InvalidMigrationCost(self)),
        }
    }

    /// The number that a gain must exceed, for a VM whose cost C(u) is `vm_cost`.
    pub fn threshold(self, vm_cost: f64) -> f64 {
        match self {
            Self::Absolute(cost) => cost,
            Self::RelativeToVm(fraction) => fraction * 2.0 * vm_cost,
        }
    }

    /// Eq. 3.2: whether `gain` is strictly above the cost.
    pub fn is_exceeded_by(self, gain: f64, vm_cost: f64) -> bool {
        gain > self.threshold(vm_cost)
    }
}

impl Default for MigrationCost {
    fn default() -> Self {
        Self::ZERO
    }
}

/// The number, or for a fraction the per cent.
impl fmt::Display for MigrationCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(cost) => fmt::Display::fmt(cost, f),
            Self::RelativeToVm(fraction) => write!(f, "{} %", fraction * 100.0),
        }
    }
}

/// A number that cannot be a migration cost.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "{0} is not a migration cost: an absolute cost is finite and not negative, a relative one is from 0 % to 100 %"
)]
pub struct InvalidMigrationCost(pub MigrationCost);

#[cfg(test)]
mod tests {
    use super::*;

    /// 5.1's weights give the path costs 0, 1, 3.718…, 23.80…, 172.2….
    #[test]
    fn golden_path_costs() {
        let weights = LinkWeights::thesis();
        assert_eq!(weights.max_level(), Level::new(4));
        assert_eq!(weights.iter().nth(3), Some(148.413_159_102_576_6));
        let golden = [
            0.0,
            1.0,
            3.718_281_828_459_045,
            23.803_818_751_646_71,
            172.216_977_854_223_3,
        ];
        for (level, cost) in (0..).zip(golden) {
            let path_cost = weights.path_cost(Level::new(level));
            assert!(
                (path_cost - cost).abs() <= 1e-12 * cost,
                "{level}: {path_cost}"
            );
        }
    }

    #[test]
    fn bad_weights_are_named() {
        let check = |weights: &[f64], wanted: &str| {
            let error = LinkWeights::new(weights).expect_err("must be refused");
            assert!(alloc::format!("{error}").contains(wanted), "{error}");
        };
        check(&[], "0 link weights");
        check(&[1.0; 256], "256 link weights");
        check(&[0.0], "c_1 = 0");
        check(&[1.0, f64::NAN], "c_2 = NaN");
        check(&[1.0, f64::INFINITY], "c_2 = inf");
        check(&[1.0, 2.0, 2.0], "c_3 = 2 does not rise above c_2 = 2");
        check(&[1.0, 2e100], "is too large");
    }

    #[test]
    fn migration_cost_is_exceeded_strictly() {
        let check = |cost: MigrationCost, gain, vm_cost, wanted| {
            assert_eq!(
                cost.is_exceeded_by(gain, vm_cost),
                wanted,
                "{cost:?} {gain}"
            );
        };
        check(MigrationCost::ZERO, 0.0, 5.0, false);
        check(MigrationCost::ZERO, 1e-300, 5.0, true);
        check(MigrationCost::Absolute(10.0), 10.0, 50.0, false);
        check(MigrationCost::Absolute(10.0), 10.1, 50.0, true);
        check(MigrationCost::RelativeToVm(0.1), 10.0, 50.0, false);
        check(MigrationCost::RelativeToVm(0.1), 10.1, 50.0, true);
        check(MigrationCost::RelativeToVm(1.0), 100.0, 50.0, false);
    }

    #[test]
    fn bad_migration_costs_are_refused() {
        for cost in [
            MigrationCost::Absolute(-1.0),
            MigrationCost::Absolute(f64::NAN),
            MigrationCost::Absolute(f64::INFINITY),
            MigrationCost::RelativeToVm(-0.1),
            MigrationCost::RelativeToVm(1.1),
            MigrationCost::RelativeToVm(f64::NAN),
        ] {
            assert!(cost.checked().is_err(), "{cost:?}");
        }
    }
}
