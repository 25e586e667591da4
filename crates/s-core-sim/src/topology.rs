//! Topologies of made-up data centres, and how command lines write them.

use std::fmt;
use std::str::FromStr;

use s_core_model::{Levels, ServerIndex};
use s_core_topology::{CanonicalTree, FatTree, LeafSpine, ShapeError};

/// c_1 to c_4 of the thesis's simulations (5.1): e^0, e^1, e^3, e^5.
pub const THESIS_LINK_WEIGHTS: [f64; 4] = [
    1.0,
    std::f64::consts::E,
    20.085_536_923_187_668,
    148.413_159_102_576_6,
];

/// How the servers of a made-up data centre are linked.
///
/// Read and shown as `tree:4,4,4,2x20`, `fat-tree:8` and `leaf-spine:16x20`: an `x` stands before the servers per rack.
///
/// ```
/// use s_core_sim::Topology;
///
/// let topology: Topology = "tree:4,4,4,2x20".parse()?;
/// assert_eq!(topology, Topology::thesis());
/// assert_eq!((topology.server_count(), topology.levels()), (Ok(2560), 4));
/// assert_eq!(topology.to_string(), "tree:4,4,4,2x20");
/// # Ok::<(), s_core_sim::TopologyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topology {
    /// A [`CanonicalTree`].
    Tree {
        /// The fan-outs, from the core down to the racks.
        fan_outs: Vec<u32>,
        /// How many servers a rack has.
        servers_per_rack: u32,
    },
    /// A [`FatTree`].
    FatTree {
        /// How many ports a switch has.
        k: u32,
    },
    /// A [`LeafSpine`].
    LeafSpine {
        /// How many leaves there are.
        leaves: u32,
        /// How many servers a leaf has.
        servers_per_leaf: u32,
    },
}

impl Topology {
    /// The topology of thesis 5.1: 2560 servers in 128 racks under four levels of links.
    pub fn thesis() -> Self {
        Self::Tree {
            fan_outs: vec![4, 4, 4, 2],
            servers_per_rack: 20,
        }
    }

    /// How many levels of links there are above the racks.
    pub fn levels(&self) -> usize {
        match self {
            Self::Tree { fan_outs, .. } => fan_outs.len(),
            Self::FatTree { .. } => 2,
            Self::LeafSpine { .. } => 1,
        }
    }

    /// How many servers a rack, edge switch or leaf has.
    pub fn servers_per_rack(&self) -> u32 {
        match *self {
            Self::Tree {
                servers_per_rack, ..
            } => servers_per_rack,
            Self::FatTree { k } => k / 2,
            Self::LeafSpine {
                servers_per_leaf, ..
            } => servers_per_leaf,
        }
    }

    /// How many servers there are.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if the numbers do not make a topology.
    pub fn server_count(&self) -> Result<u32, ShapeError> {
        let network = self.network()?;
        Ok(u32::try_from(network.levels().server_count()).expect("server indices are 32-bit"))
    }

    /// The first of [`THESIS_LINK_WEIGHTS`], one per level; `None` if there are more levels than those.
    pub fn link_weights(&self) -> Option<&'static [f64]> {
        THESIS_LINK_WEIGHTS.get(..self.levels())
    }

    pub(crate) fn network(&self) -> Result<Network, ShapeError> {
        Ok(match self {
            Self::Tree {
                fan_outs,
                servers_per_rack,
            } => Network::Tree(CanonicalTree::new(fan_outs, *servers_per_rack)?),
            Self::FatTree { k } => Network::FatTree(FatTree::new(*k)?),
            Self::LeafSpine {
                leaves,
                servers_per_leaf,
            } => Network::LeafSpine(LeafSpine::new(*leaves, *servers_per_leaf)?),
        })
    }
}

/// A [`Topology`] whose numbers make one.
#[derive(Debug)]
pub(crate) enum Network {
    Tree(CanonicalTree),
    FatTree(FatTree),
    LeafSpine(LeafSpine),
}

impl Network {
    pub(crate) fn levels(&self) -> &dyn Levels {
        match self {
            Self::Tree(tree) => tree,
            Self::FatTree(tree) => tree,
            Self::LeafSpine(network) => network,
        }
    }

    pub(crate) fn location(&self, server: ServerIndex) -> String {
        match self {
            Self::Tree(tree) => tree.location(server),
            Self::FatTree(tree) => tree.location(server),
            Self::LeafSpine(network) => network.location(server),
        }
        .to_string()
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tree {
                fan_outs,
                servers_per_rack,
            } => {
                let fan_outs: Vec<_> = fan_outs.iter().map(u32::to_string).collect();
                write!(f, "tree:{}x{servers_per_rack}", fan_outs.join(","))
            }
            Self::FatTree { k } => write!(f, "fat-tree:{k}"),
            Self::LeafSpine {
                leaves,
                servers_per_leaf,
            } => write!(f, "leaf-spine:{leaves}x{servers_per_leaf}"),
        }
    }
}

impl FromStr for Topology {
    type Err = TopologyError;

    /// Reads what [`Display`](fmt::Display) shows, and looks whether the numbers make a topology.
    fn from_str(text: &str) -> Result<Self, TopologyError> {
        let (kind, shape) = text.split_once(':').unwrap_or((text, ""));
        let parts = || {
            let form = TopologyError::Form { text: text.into() };
            shape.split_once('x').ok_or(form)
        };
        let topology = match kind {
            "tree" => {
                let (fan_outs, servers) = parts()?;
                Self::Tree {
                    fan_outs: fan_outs
                        .split(',')
                        .map(number(text))
                        .collect::<Result<_, _>>()?,
                    servers_per_rack: number(text)(servers)?,
                }
            }
            "fat-tree" => Self::FatTree {
                k: number(text)(shape)?,
            },
            "leaf-spine" => {
                let (leaves, servers) = parts()?;
                Self::LeafSpine {
                    leaves: number(text)(leaves)?,
                    servers_per_leaf: number(text)(servers)?,
                }
            }
            _ => return Err(TopologyError::Form { text: text.into() }),
        };
        match topology.network() {
            Ok(_) => Ok(topology),
            Err(error) => Err(TopologyError::Shape {
                text: text.into(),
                error,
            }),
        }
    }
}

fn number(text: &str) -> impl Fn(&str) -> Result<u32, TopologyError> {
    // Digits alone: `parse` would take a sign as well.
    |part| match part.parse() {
        Ok(number) if part.bytes().all(|byte| byte.is_ascii_digit()) => Ok(number),
        _ => Err(TopologyError::Number {
            text: text.into(),
            part: part.into(),
        }),
    }
}

/// A text that is no topology.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// Another kind, or parts are missing.
    #[error(
        "{text:?} is no topology; write it like tree:4,4,4,2x20, fat-tree:8 or leaf-spine:16x20"
    )]
    Form {
        /// The text.
        text: String,
    },
    /// A part is not a number.
    #[error(
        "{part:?} in {text:?} is not a whole number up to 4294967295; write it like tree:4,4,4,2x20, fat-tree:8 or leaf-spine:16x20"
    )]
    Number {
        /// The text.
        text: String,
        /// The part that should be a number.
        part: String,
    },
    /// The numbers do not make a topology.
    #[error("{text:?}: {error}")]
    Shape {
        /// The text.
        text: String,
        /// What is wrong with its numbers.
        error: ShapeError,
    },
}
