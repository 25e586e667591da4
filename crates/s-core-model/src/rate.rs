//! λ(u, v): traffic per time unit.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::iter::Sum;
use core::ops::Add;

/// λ(u, v) of Table 3.1: bytes per second, both directions together; not negative and at most 10¹⁸.
///
/// Because neither NaN nor −0 can occur, rates are totally ordered and hashable.
///
/// ```
/// use s_core_model::Rate;
///
/// let rate = Rate::new(1_250_000.0)? + Rate::new(250_000.0)?;
/// assert_eq!(rate.bytes_per_second(), 1_500_000.0);
/// assert!(Rate::new(f64::NAN).is_err());
/// assert!(Rate::new(-1.0).is_err());
/// # Ok::<(), s_core_model::InvalidRate>(())
/// ```
#[derive(Clone, Copy, PartialEq, Default)]
pub struct Rate(f64);

impl Rate {
    /// No traffic.
    pub const ZERO: Self = Self(0.0);

    /// The highest rate: 10¹⁸ bytes per second, far above what any network carries. It keeps costs finite.
    pub const MAX: Self = Self(1e18);

    /// A rate in bytes per second.
    ///
    /// # Errors
    ///
    /// [`InvalidRate`] if the value is negative, not a number or above [`MAX`](Self::MAX).
    pub fn new(bytes_per_second: f64) -> Result<Self, InvalidRate> {
        if (0.0..=Self::MAX.0).contains(&bytes_per_second) {
            // Adding zero turns −0 into +0, so that equal rates have equal bits.
            Ok(Self(bytes_per_second + 0.0))
        } else {
            Err(InvalidRate(bytes_per_second))
        }
    }

    /// The rate at which `bytes` pass within `nanoseconds`; no traffic in an empty span.
    pub fn from_bytes_over(bytes: u64, nanoseconds: u64) -> Self {
        if nanoseconds == 0 {
            return Self::ZERO;
        }
        Self((bytes as f64 * 1e9 / nanoseconds as f64).min(Self::MAX.0))
    }

    /// Bytes per second.
    pub const fn bytes_per_second(self) -> f64 {
        self.0
    }

    /// Whether there is no traffic.
    pub fn is_zero(self) -> bool {
        self.0 == 0.0
    }
}

impl Eq for Rate {}

impl Ord for Rate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Rate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Rate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// Adds two rates; a sum beyond [`Rate::MAX`] stays there.
impl Add for Rate {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self((self.0 + other.0).min(Self::MAX.0))
    }
}

impl Sum for Rate {
    fn sum<I: Iterator<Item = Self>>(rates: I) -> Self {
        rates.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rate({} B/s)", self.0)
    }
}

/// A number that cannot be a rate: negative, too large, infinite or not a number.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{0} is not a rate: bytes per second are finite, not negative and at most 1e18")]
pub struct InvalidRate(pub f64);
