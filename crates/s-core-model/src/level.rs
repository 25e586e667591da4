//! Communication levels and what knows them.

use core::fmt;

use crate::{ServerId, ServerIndex};

/// ℓ(u, v) of Table 3.1: how high in the tree the traffic of two VMs climbs.
///
/// Level 0 means the same server or the same rack; level *l* means that the
/// path uses links of levels 1 to *l*. One byte in a token slot (Fig. 4.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Level(u8);

impl Level {
    /// The same server or the same rack: no weighted link is used.
    pub const ZERO: Self = Self(0);

    /// The level with this value.
    pub const fn new(level: u8) -> Self {
        Self(level)
    }

    /// The value as it stands in a token slot.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The next lower level, or `None` at level 0.
    pub const fn below(self) -> Option<Self> {
        match self.0.checked_sub(1) {
            Some(level) => Some(Self(level)),
            None => None,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Level({})", self.0)
    }
}

/// The location cost mapping of thesis 4.2.5: for any two servers, the level of the path between them.
///
/// Implemented by the topologies and the location table of `s-core-topology`,
/// and by whatever else knows where servers stand. Servers are numbered
/// `0..server_count()` in ascending order of their [`ServerId`].
///
/// An implementation promises: `level(a, a)` is 0, `level(a, b) == level(b, a)`,
/// and no level is above [`max_level`](Levels::max_level).
pub trait Levels {
    /// How many servers there are.
    fn server_count(&self) -> usize;

    /// The highest level that any pair of servers can have.
    fn max_level(&self) -> Level;

    /// The level of the path between two servers. Allocates nothing.
    ///
    /// # Panics
    ///
    /// May panic when an index is not below [`server_count`](Levels::server_count).
    fn level(&self, a: ServerIndex, b: ServerIndex) -> Level;

    /// The number of the group of servers that `server` belongs to at `level`, if the
    /// topology is hierarchical: two servers' level is at most `level` exactly if their groups
    /// at `level` are equal.
    ///
    /// `None`, for every server and level alike, says that the topology is not a hierarchy.
    /// With groups, the cost of a VM at many candidate servers is found without comparing each
    /// candidate to each peer.
    fn group(&self, server: ServerIndex, level: Level) -> Option<u32> {
        let _ = (server, level);
        None
    }

    /// The index of a server, or `None` if it is not part of this data centre.
    fn index_of(&self, server: ServerId) -> Option<ServerIndex>;

    /// The id of a server.
    ///
    /// # Panics
    ///
    /// May panic when the index is not below [`server_count`](Levels::server_count).
    fn server_at(&self, index: ServerIndex) -> ServerId;
}

macro_rules! levels_of_what_is_pointed_at {
    ($pointer:ty) => {
        impl<T: Levels + ?Sized> Levels for $pointer {
            fn server_count(&self) -> usize {
                (**self).server_count()
            }
            fn max_level(&self) -> Level {
                (**self).max_level()
            }
            fn level(&self, a: ServerIndex, b: ServerIndex) -> Level {
                (**self).level(a, b)
            }
            fn group(&self, server: ServerIndex, level: Level) -> Option<u32> {
                (**self).group(server, level)
            }
            fn index_of(&self, server: ServerId) -> Option<ServerIndex> {
                (**self).index_of(server)
            }
            fn server_at(&self, index: ServerIndex) -> ServerId {
                (**self).server_at(index)
            }
        }
    };
}

levels_of_what_is_pointed_at!(&T);
levels_of_what_is_pointed_at!(alloc::sync::Arc<T>);
