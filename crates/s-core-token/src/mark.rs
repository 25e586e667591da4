//! Marks: which token is the newest.

use core::fmt;

use s_core_model::ServerId;

/// A reign of the token: one origin minted it, and no two origins can mint the same.
///
/// Ordered by counter, then by origin. The default is below every epoch that is ever minted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Epoch {
    /// One more than the highest counter that the origin had seen.
    pub counter: u64,
    /// The server that minted the epoch.
    pub origin: ServerId,
}

impl Default for Epoch {
    fn default() -> Self {
        Self {
            counter: 0,
            origin: ServerId::new(0),
        }
    }
}

/// The fencing number of a token: its epoch, and how often it was handed on since.
///
/// Ordered lexicographically. A server acts on a token only if its mark is above the highest that
/// the server has seen, so marks only ever rise. The default is below every mark in use.
///
/// ```
/// use s_core_model::ServerId;
/// use s_core_token::Mark;
///
/// let origin = ServerId::new(0xc0a8_0001);
/// let first = Mark::default().new_epoch(origin).ok_or("no epoch is left")?;
/// let second = first.next().ok_or("a new epoch is needed")?;
/// assert!(Mark::default() < first && first < second);
/// assert_eq!(second.to_string(), "1@192.168.0.1/1");
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Mark {
    /// The token's reign.
    pub epoch: Epoch,
    /// The hand-overs since the epoch began.
    pub seq: u64,
}

impl Mark {
    /// Bytes of a mark on the wire: counter (8), origin (4), sequence (8), each big-endian.
    pub const LEN: usize = 20;

    /// The mark of the next hand-over in the same epoch, or `None` after 2^64 of them: then a
    /// [new epoch](Mark::new_epoch) is needed.
    pub const fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self {
                epoch: self.epoch,
                seq,
            }),
            None => None,
        }
    }

    /// The first mark of an epoch above this one, minted by `origin`.
    ///
    /// `None` if the counter is at its end. Counting does not get there in the life of a data
    /// centre; a mark that somebody invented may, and nothing can be minted above it.
    pub const fn new_epoch(self, origin: ServerId) -> Option<Self> {
        match self.epoch.counter.checked_add(1) {
            Some(counter) => Some(Self {
                epoch: Epoch { counter, origin },
                seq: 0,
            }),
            None => None,
        }
    }

    /// The mark as it stands on the wire. Marks and their bytes sort alike.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&self.epoch.counter.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.epoch.origin.get().to_be_bytes());
        bytes[12..].copy_from_slice(&self.seq.to_be_bytes());
        bytes
    }

    /// The mark that these bytes stand for; every pattern is a mark.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        let [a, b, c, d, e, f, g, h, o, p, q, r, s, t, u, v, w, x, y, z] = bytes;
        Self {
            epoch: Epoch {
                counter: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
                origin: ServerId::new(u32::from_be_bytes([o, p, q, r])),
            },
            seq: u64::from_be_bytes([s, t, u, v, w, x, y, z]),
        }
    }
}

/// `counter@origin/sequence`, as logs show it.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}@{}/{}",
            self.epoch.counter, self.epoch.origin, self.seq
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mark(counter: u64, origin: u32, seq: u64) -> Mark {
        Mark {
            epoch: Epoch {
                counter,
                origin: ServerId::new(origin),
            },
            seq,
        }
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(
            mark(0x0102_0304_0506_0708, 0x090a_0b0c, 0x0d0e_0f10_1112_1314).to_bytes(),
            core::array::from_fn::<u8, 20, _>(|i| i as u8 + 1)
        );
    }

    #[test]
    fn ends_of_the_counters() {
        assert_eq!(mark(1, 2, 3).next(), Some(mark(1, 2, 4)));
        assert_eq!(mark(1, 2, u64::MAX).next(), None);
        assert_eq!(
            mark(1, 2, 3).new_epoch(ServerId::new(7)),
            Some(mark(2, 7, 0))
        );
        assert_eq!(mark(u64::MAX, 2, 3).new_epoch(ServerId::new(7)), None);
    }

    proptest! {
        #[test]
        fn bytes_come_back_and_sort_like_marks(
            a in (0..3u64, 0..3u32, any::<u64>()),
            b in (0..3u64, 0..3u32, any::<u64>()),
        ) {
            let (a, b) = (mark(a.0, a.1, a.2), mark(b.0, b.1, b.2));
            prop_assert_eq!(Mark::from_bytes(a.to_bytes()), a);
            prop_assert_eq!(a.to_bytes().cmp(&b.to_bytes()), a.cmp(&b));
        }
    }
}
