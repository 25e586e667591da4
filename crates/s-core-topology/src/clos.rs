//! Folded Clos networks: fat tree and leaf-spine.

use s_core_model::{Level, Levels, ServerId, ServerIndex};

use crate::hierarchy::Hierarchy;
use crate::{Location, ShapeError};

/// The k-ary fat tree of Al-Fares, Loukissas and Vahdat ("A scalable, commodity data center
/// network architecture", SIGCOMM 2008).
///
/// k pods, each with k/2 edge switches, each with k/2 servers: k³/4 servers. Two servers are at
/// level 0 under one edge switch, at level 1 in one pod, and at level 2 across the core.
///
/// ```
/// use s_core_model::{Level, Levels, ServerIndex};
/// use s_core_topology::FatTree;
///
/// let tree = FatTree::new(4)?;
/// assert_eq!(tree.server_count(), 16);
/// let level = |a, b| tree.level(ServerIndex::new(a), ServerIndex::new(b)).get();
/// assert_eq!([level(0, 1), level(0, 2), level(0, 4)], [0, 1, 2]);
/// # Ok::<(), s_core_topology::ShapeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FatTree(Hierarchy);

impl FatTree {
    /// A fat tree of switches with `k` ports each.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if `k` is odd or 0, or if k³/4 exceeds [`MAX_SERVERS`](crate::MAX_SERVERS)
    /// (k above 406).
    pub fn new(k: u32) -> Result<Self, ShapeError> {
        if k == 0 || !k.is_multiple_of(2) {
            return Err(ShapeError::OddPorts(k));
        }
        Hierarchy::new(&[k, k / 2], k / 2, "pe").map(Self)
    }

    /// The same tree with the servers' addresses counted from `base`; without, from 10.0.0.1.
    ///
    /// # Errors
    ///
    /// [`ShapeError::AddressesEnd`] if the last address would pass 255.255.255.255.
    pub fn with_base(self, base: ServerId) -> Result<Self, ShapeError> {
        self.0.with_base(base).map(Self)
    }

    /// The path from the core down to the server's edge switch, e.g. `p3/e2`.
    ///
    /// # Panics
    ///
    /// If the index is not below [`server_count`](Levels::server_count).
    pub fn location(&self, server: ServerIndex) -> Location<'_> {
        self.0.location(server)
    }
}

crate::hierarchy::impl_levels!(FatTree);

/// A leaf-spine network: every leaf switch is linked to every spine switch.
///
/// Two servers are at level 0 under one leaf and at level 1 otherwise, over whichever spine.
///
/// ```
/// use s_core_model::{Level, Levels, ServerIndex};
/// use s_core_topology::LeafSpine;
///
/// let network = LeafSpine::new(32, 48)?;
/// let level = |a, b| network.level(ServerIndex::new(a), ServerIndex::new(b)).get();
/// assert_eq!([level(0, 47), level(0, 48)], [0, 1]);
/// # Ok::<(), s_core_topology::ShapeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeafSpine(Hierarchy);

impl LeafSpine {
    /// A network of `leaves` leaf switches with `servers_per_leaf` servers each.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if a number is 0 or there are more than
    /// [`MAX_SERVERS`](crate::MAX_SERVERS) servers.
    pub fn new(leaves: u32, servers_per_leaf: u32) -> Result<Self, ShapeError> {
        Hierarchy::new(&[leaves], servers_per_leaf, "l").map(Self)
    }

    /// The same network with the servers' addresses counted from `base`; without, from 10.0.0.1.
    ///
    /// # Errors
    ///
    /// [`ShapeError::AddressesEnd`] if the last address would pass 255.255.255.255.
    pub fn with_base(self, base: ServerId) -> Result<Self, ShapeError> {
        self.0.with_base(base).map(Self)
    }

    /// The path from the spine down to the server's leaf, e.g. `l7`.
    ///
    /// # Panics
    ///
    /// If the index is not below [`server_count`](Levels::server_count).
    pub fn location(&self, server: ServerIndex) -> Location<'_> {
        self.0.location(server)
    }
}

crate::hierarchy::impl_levels!(LeafSpine);
