//! c_m relative to what a VM costs on average.

use std::fmt;

use s_core_model::{InvalidMigrationCost, Levels, MigrationCost};

use crate::strategy::Instance;

/// c_m in the forms in which it can be given for a whole data centre.
///
/// # What "per cent of the overall communication cost" can mean
///
/// Thesis 5.1.3 and Fig. 5.3 give c_m as a part of the *overall* cost C, and still see costs fall at 10 %. That
/// cannot be meant literally. A migration of u only changes what u's own pairs cost, so its gain (the left side of Eq. 3.2)
/// is at most 2 C(u), each pair counted at both its ends, and the mean of C(u) is C / |𝕍|. Among the 32,768 VMs of
/// the thesis's data centre, one whose gain exceeds C / 10 would have to be 1,638 times as costly as the mean,
/// and at most 20 VMs can be, as their C(u) add up to no more than C. With traffic such as 5.1.1's there is none, and no VM ever moves.
///
/// So a part is taken of what compares with one VM's gain: of the VM's own part 2 C(u), which is
/// [`MigrationCost::RelativeToVm`], or of the mean C / |𝕍| at the beginning, which is the same number
/// for all VMs as in Eq. 3.2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MigrationThreshold {
    /// A number, or a part of each VM's own cost.
    Given(MigrationCost),
    /// A part, from 0 up, of C / |𝕍| at the beginning: 0.1 for 10 %. Above 1 a migration must gain more than
    /// a VM costs on average.
    ShareOfMean(f64),
}

impl MigrationThreshold {
    /// This threshold, if its number makes sense.
    ///
    /// # Errors
    ///
    /// [`InvalidMigrationCost`] if the number is negative, infinite or not a number, or a part of the VM's own cost above 1.
    pub fn checked(self) -> Result<Self, InvalidMigrationCost> {
        match self {
            Self::Given(cost) => cost.checked().map(Self::Given),
            Self::ShareOfMean(share) => {
                MigrationCost::Absolute(share).checked()?;
                Ok(self)
            }
        }
    }

    /// c_m for this data centre, with its costs as they are now. O(VMs + pairs) for a share of the mean.
    pub fn of<L: Levels>(self, instance: &Instance<'_, L>) -> MigrationCost {
        match self {
            Self::Given(cost) => cost,
            Self::ShareOfMean(share) => {
                let vms = instance.allocation().vm_count().max(1);
                MigrationCost::Absolute(share * instance.cost() / vms as f64)
            }
        }
    }
}

impl Default for MigrationThreshold {
    fn default() -> Self {
        Self::Given(MigrationCost::ZERO)
    }
}

impl From<MigrationCost> for MigrationThreshold {
    fn from(cost: MigrationCost) -> Self {
        Self::Given(cost)
    }
}

/// As [`MigrationCost`], or the per cent and "of the mean".
impl fmt::Display for MigrationThreshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(cost) => cost.fmt(f),
            Self::ShareOfMean(share) => write!(f, "{} % of the mean", share * 100.0),
        }
    }
}
