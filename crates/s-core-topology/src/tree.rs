//! The canonical tree of the thesis (Fig. 3.1, 5.1).

use s_core_model::{Level, Levels, ServerId, ServerIndex};

use crate::hierarchy::Hierarchy;
use crate::{Location, ShapeError};

/// A layered tree as in Fig. 3.1: racks of servers under levels of links with equal fan-outs.
///
/// The fan-outs are given from the core down to the racks: `[4, 4, 4, 2]` means 4 access
/// routers, each with 4 aggregate switches, each with 4 switches, each with 2 racks, so 128
/// racks. There are as many levels as fan-outs: two servers under different access routers
/// are at level 4, two in one rack at level 0.
///
/// Servers are numbered from left to right and have consecutive addresses, from 10.0.0.1 on
/// unless [`with_base`](Self::with_base) says otherwise.
///
/// ```
/// use s_core_model::{Level, Levels, ServerId, ServerIndex};
/// use s_core_topology::CanonicalTree;
///
/// let tree = CanonicalTree::new(&[2, 2, 3], 5)?.with_base(ServerId::new(0x0a01_0000))?;
/// assert_eq!(tree.server_count(), 60);
/// let [a, b] = ["10.1.0.0", "10.1.0.29"].map(|id| tree.index_of(id.parse().unwrap()).unwrap());
/// assert_eq!(tree.level(a, b), Level::new(2));
/// assert_eq!(tree.location(b).to_string(), "g1/s2/r3");
/// # Ok::<(), s_core_topology::ShapeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CanonicalTree(Hierarchy);

impl CanonicalTree {
    /// A tree with `fan_outs` from the core down to the racks and `servers_per_rack` in each.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] unless there are 1 to [`MAX_LEVELS`](crate::MAX_LEVELS) fan-outs, all
    /// numbers are at least 1, and servers at most [`MAX_SERVERS`](crate::MAX_SERVERS).
    pub fn new(fan_outs: &[u32], servers_per_rack: u32) -> Result<Self, ShapeError> {
        // Access routers, aggregate switches, switches and racks; above them, cores.
        Hierarchy::new(fan_outs, servers_per_rack, "cagsr").map(Self)
    }

    /// The simulated data centre of thesis 5.1: 2560 servers in 128 racks under four levels of
    /// links. The thesis does not say how the 128 divide; here it is 4 × 4 × 4 × 2.
    pub fn thesis() -> Self {
        Self::new(&[4, 4, 4, 2], 20).expect("2560 servers under four levels")
    }

    /// The same tree with the servers' addresses counted from `base`.
    ///
    /// # Errors
    ///
    /// [`ShapeError::AddressesEnd`] if the last address would pass 255.255.255.255.
    pub fn with_base(self, base: ServerId) -> Result<Self, ShapeError> {
        self.0.with_base(base).map(Self)
    }

    /// How many racks there are.
    pub fn rack_count(&self) -> u32 {
        self.0.rack_count()
    }

    /// How many servers each rack has.
    pub fn servers_per_rack(&self) -> u32 {
        self.0.servers_per_rack()
    }

    /// The path from the core down to the server's rack, e.g. `a1/g2/s1/r2`.
    ///
    /// # Panics
    ///
    /// If the index is not below [`server_count`](Levels::server_count).
    pub fn location(&self, server: ServerIndex) -> Location<'_> {
        self.0.location(server)
    }
}

crate::hierarchy::impl_levels!(CanonicalTree);
