//! c_m as people write it.

use std::fmt;
use std::str::FromStr;

use s_core_model::{Levels, MigrationCost};

use super::shortest;
use crate::Instance;

/// c_m of Eq. 3.2 in one of three forms, for command lines and sweep files.
///
/// ```
/// use s_core_sim::sweep::MigrationCostForm;
///
/// for text in ["5000", "10%", "10%mean"] {
///     assert_eq!(text.parse::<MigrationCostForm>()?.to_string(), text);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MigrationCostForm {
    /// `5000`: bytes per second times link weight, as in Eq. 3.2.
    Absolute(f64),
    /// `10%`: so many per cent, 0 to 100, of what the VM's own traffic costs ([`MigrationCost::RelativeToVm`]).
    PercentOfOwn(f64),
    /// `10%mean`: so many per cent of C/|V|, what a VM's traffic costs on average to begin with. For a data
    /// centre this is an absolute number.
    PercentOfMean(f64),
}

impl MigrationCostForm {
    /// The migration cost that this is for a data centre. O(VMs + pairs).
    pub fn of<L: Levels>(self, instance: &Instance<'_, L>) -> MigrationCost {
        match self {
            Self::Absolute(cost) => MigrationCost::Absolute(cost),
            Self::PercentOfOwn(percent) => MigrationCost::RelativeToVm(percent / 100.0),
            Self::PercentOfMean(percent) => {
                let vms = instance.allocation().vm_count().max(1) as f64;
                MigrationCost::Absolute(percent / 100.0 * (instance.cost() / vms))
            }
        }
    }
}

/// Reads back as the same form and number.
impl fmt::Display for MigrationCostForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Absolute(cost) => f.pad(&shortest(cost)),
            Self::PercentOfOwn(percent) => f.pad(&format!("{}%", shortest(percent))),
            Self::PercentOfMean(percent) => f.pad(&format!("{}%mean", shortest(percent))),
        }
    }
}

impl FromStr for MigrationCostForm {
    type Err = InvalidMigrationCostForm;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, form): (_, fn(f64) -> Self) = match text.strip_suffix('%') {
            Some(number) => (number, Self::PercentOfOwn),
            None => match text.strip_suffix("%mean") {
                Some(number) => (number, Self::PercentOfMean),
                None => (text, Self::Absolute),
            },
        };
        let parsed = number.parse().ok().map(form).and_then(Self::checked);
        parsed.ok_or_else(|| InvalidMigrationCostForm(crate::snapshot::shown(text)))
    }
}

impl MigrationCostForm {
    fn checked(self) -> Option<Self> {
        let usable = |number: f64, most: f64| number >= 0.0 && number <= most;
        // Adding 0 makes a negative zero positive: there is one way to write it.
        match self {
            Self::Absolute(cost) => usable(cost, f64::MAX).then_some(Self::Absolute(cost + 0.0)),
            Self::PercentOfOwn(percent) => {
                usable(percent, 100.0).then_some(Self::PercentOfOwn(percent + 0.0))
            }
            Self::PercentOfMean(percent) => {
                usable(percent, f64::MAX).then_some(Self::PercentOfMean(percent + 0.0))
            }
        }
    }
}

/// A text that is not a migration cost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a migration cost; write a cost like 5000, per cent of what the VM's own traffic costs like 10% (at most 100%), or of the mean cost per VM like 10%mean"
)]
pub struct InvalidMigrationCostForm(String);
