//! c_m as people write it.

use std::fmt;
use std::str::FromStr;

use s_core_model::{Levels, MigrationCost};

use crate::Instance;

/// c_m of Eq. 3.2 in one of three forms, as command lines and sweep files write it.
///
/// # What "per cent of the overall communication cost" can mean
///
/// Thesis 5.1.3 and Fig. 5.3 give c_m as a part of the *overall* cost C, and still see costs fall at 10 %. That
/// cannot be meant literally. A migration of u only changes what u's own pairs cost, so its gain (the left side of Eq. 3.2)
/// is at most 2 C(u), each pair counted at both its ends, and the mean of C(u) is C / |𝕍|. Among the 32,768 VMs of
/// the thesis's data centre, one whose gain exceeds C / 10 would have to be 1,638 times as costly as the mean,
/// and at most 20 VMs can be, as their C(u) add up to no more than C. With traffic such as 5.1.1's there is none, and no VM ever moves.
///
/// So a part is taken of what compares with one VM's gain: of the VM's own part 2 C(u), the most that its migration can gain, or of
/// the mean C / |𝕍| at the beginning, which is the same number for all VMs as in Eq. 3.2. The bases differ by a factor of two: over
/// all VMs 2 C(u) is 2 C / |𝕍| on average, so that `50%` compares with `100%mean`.
///
/// ```
/// use s_core_sim::MigrationCostForm;
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
    /// `10%`: so many per cent, 0 to 100, of 2 C(u), the VM's own part in the overall cost ([`MigrationCost::RelativeToVm`]).
    PercentOfOwn(f64),
    /// `10%mean`: so many per cent of C / |𝕍|, the mean of C(u) to begin with. For a data centre this is an absolute number.
    PercentOfMean(f64),
}

impl Default for MigrationCostForm {
    /// Migrations cost nothing.
    fn default() -> Self {
        Self::Absolute(0.0)
    }
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

impl From<MigrationCost> for MigrationCostForm {
    fn from(cost: MigrationCost) -> Self {
        match cost {
            MigrationCost::Absolute(cost) => Self::Absolute(cost),
            MigrationCost::RelativeToVm(share) => Self::PercentOfOwn(100.0 * share),
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
    "{0:?} is not a migration cost; write a cost like 5000, per cent of the VM's own part 2 C(u) like 10% (at most 100%), or of the mean cost per VM C / |V| like 10%mean"
)]
pub struct InvalidMigrationCostForm(String);

/// A number with as few digits as read back the same.
pub(crate) fn shortest(number: f64) -> String {
    let text = format!("{number:?}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}
