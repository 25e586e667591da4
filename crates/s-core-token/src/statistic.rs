//! The number that an extended slot adds.

use core::fmt;

use s_core_model::Rate;

/// What a VM reports about itself in an extended slot: an IEEE-754 binary32, finite and not negative.
///
/// Its meaning is the policy's: the aggregate load in bytes per second for
/// [`LoadAware`](crate::LoadAware), the greatest pairwise cost reduction for
/// [`Global`](crate::Global). Such bit patterns sort like the integers that they are, which is how
/// statistics are compared.
///
/// ```
/// use s_core_token::Statistic;
///
/// assert!(Statistic::from_f64(2.5e6) > Statistic::from_f64(1e6));
/// assert_eq!(Statistic::from_f64(f64::NAN), Statistic::ZERO);
/// assert_eq!(Statistic::from_f64(1e300), Statistic::MAX);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Statistic(u32);

impl Statistic {
    /// Nothing to report; also what a basic slot stands for.
    pub const ZERO: Self = Self(0);

    /// The largest finite binary32.
    pub const MAX: Self = Self(f32::MAX.to_bits());

    /// The nearest statistic: zero for negative numbers and NaN, [`MAX`](Self::MAX) beyond it.
    pub fn from_f64(value: f64) -> Self {
        if value > 0.0 {
            Self((value.min(f64::from(f32::MAX)) as f32).to_bits())
        } else {
            Self::ZERO
        }
    }

    /// The statistic with this bit pattern, or `None` if it is negative (−0 too), infinite or NaN.
    pub const fn from_bits(bits: u32) -> Option<Self> {
        if bits <= Self::MAX.0 {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// The bit pattern, as it stands in an extended slot in network byte order.
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// The value.
    pub const fn get(self) -> f32 {
        f32::from_bits(self.0)
    }
}

/// The load in bytes per second, rounded to binary32.
impl From<Rate> for Statistic {
    fn from(rate: Rate) -> Self {
        Self::from_f64(rate.bytes_per_second())
    }
}

impl fmt::Debug for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Statistic({})", self.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn clamps() {
        for (value, bits) in [
            (0.0, 0),
            (-0.0, 0),
            (-1.0, 0),
            (f64::NAN, 0),
            (f64::NEG_INFINITY, 0),
            (1.0, 0x3f80_0000),
            (f64::from(f32::MAX), 0x7f7f_ffff),
            (3.402_823_6e38, 0x7f7f_ffff),
            (f64::INFINITY, 0x7f7f_ffff),
            (1e-60, 0),
        ] {
            assert_eq!(Statistic::from_f64(value).to_bits(), bits, "{value}");
        }
    }

    #[test]
    fn refuses_what_is_not_finite_or_negative() {
        for bits in [
            0x7f80_0000,
            0x7fc0_0000,
            0x8000_0000,
            0xbf80_0000,
            0xffff_ffff,
        ] {
            assert_eq!(Statistic::from_bits(bits), None, "{bits:08x}");
        }
    }

    proptest! {
        #[test]
        fn sorts_like_its_value(a in 0..=0x7f7f_ffffu32, b in 0..=0x7f7f_ffffu32) {
            let (a, b) = (Statistic::from_bits(a).unwrap(), Statistic::from_bits(b).unwrap());
            prop_assert_eq!(a.cmp(&b), a.get().total_cmp(&b.get()));
            prop_assert_eq!(Statistic::from_f64(f64::from(a.get())), a);
        }
    }
}
