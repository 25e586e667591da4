//! The traffic matrix between top-of-rack switches (Figs. 5.1 and 5.4).

use s_core_model::{Allocation, TrafficMatrix};
use serde::{Deserialize, Serialize};

use crate::rack_tree::RackTree;

/// How much traffic the racks exchange with each other, in bytes per second.
///
/// Traffic within a rack does not pass its switch's uplinks and is left out. Data centres of more racks
/// than a picture has room for are shown in fewer *bins* of neighbouring racks; what racks of one bin exchange is
/// on the diagonal then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct RackTraffic {
    racks: usize,
    bins: usize,
    /// Row by row, the entries of each row from the diagonal on: λ has no direction.
    cells: Vec<f64>,
}

impl RackTraffic {
    /// The most bins in either direction.
    pub const MAX_BINS: usize = 256;

    pub(super) fn new(
        tree: &RackTree,
        allocation: &Allocation,
        traffic: &TrafficMatrix,
        max_bins: usize,
    ) -> Self {
        let count = tree.rack_count();
        let bins = count.min(max_bins.clamp(1, Self::MAX_BINS));
        let mut matrix = Self {
            racks: count,
            bins,
            cells: vec![0.0; triangle(bins)],
        };
        let bin = |rack| rack * bins / count;
        for (a, b, rate) in traffic_between(tree, allocation, traffic) {
            let cell = matrix.cell(bin(a), bin(b));
            matrix.cells[cell] += rate;
        }
        matrix
    }

    /// How many racks there are.
    pub fn racks(&self) -> usize {
        self.racks
    }

    /// How many bins the racks are shown in, at most [`MAX_BINS`](Self::MAX_BINS); rack *r* is in bin ⌊*r* × bins ÷ racks⌋.
    pub fn bins(&self) -> usize {
        self.bins
    }

    /// What the racks of two bins exchange, in bytes per second, both directions together.
    ///
    /// # Panics
    ///
    /// If a bin is not below [`bins`](Self::bins).
    pub fn between(&self, a: usize, b: usize) -> f64 {
        assert!(
            a < self.bins && b < self.bins,
            "bins {a}, {b} of {}",
            self.bins
        );
        self.cells[self.cell(a, b)]
    }

    /// All traffic between different racks, in bytes per second, each pair once.
    pub fn total(&self) -> f64 {
        self.cells.iter().sum()
    }

    /// The greatest entry, by which Figs. 5.1 and 5.4 are normalised.
    pub fn max(&self) -> f64 {
        self.cells.iter().copied().fold(0.0, f64::max)
    }

    fn cell(&self, a: usize, b: usize) -> usize {
        let (row, column) = (a.min(b), a.max(b));
        // The rows before this one are `bins`, `bins` − 1, … long.
        row * self.bins - row * row.saturating_sub(1) / 2 + (column - row)
    }
}

/// The pairs whose VMs are in different racks: both racks and λ in bytes per second.
pub(super) fn traffic_between(
    tree: &RackTree,
    allocation: &Allocation,
    traffic: &TrafficMatrix,
) -> impl Iterator<Item = (usize, usize, f64)> {
    traffic.pairs().filter_map(|(u, v, rate)| {
        let [a, b] = [u, v].map(|vm| tree.rack_of(allocation.host(vm)) as usize);
        (a != b).then(|| (a, b, rate.bytes_per_second()))
    })
}

fn triangle(bins: usize) -> usize {
    bins * (bins + 1) / 2
}

/// How a [`RackTraffic`] is written; read back only if it is one.
#[derive(Serialize, Deserialize)]
struct Parts {
    racks: usize,
    bins: usize,
    cells: Vec<f64>,
}

impl From<RackTraffic> for Parts {
    fn from(matrix: RackTraffic) -> Self {
        let RackTraffic { racks, bins, cells } = matrix;
        Self { racks, bins, cells }
    }
}

impl TryFrom<Parts> for RackTraffic {
    type Error = InvalidRackTraffic;

    fn try_from(parts: Parts) -> Result<Self, InvalidRackTraffic> {
        let Parts { racks, bins, cells } = parts;
        if bins > racks.min(Self::MAX_BINS) {
            return Err(InvalidRackTraffic::Bins { racks, bins });
        }
        if cells.len() != triangle(bins) {
            return Err(InvalidRackTraffic::Cells {
                bins,
                wanted: triangle(bins),
                found: cells.len(),
            });
        }
        match cells
            .iter()
            .find(|cell| !(cell.is_finite() && **cell >= 0.0))
        {
            Some(cell) => Err(InvalidRackTraffic::Rate(*cell)),
            None => Ok(Self { racks, bins, cells }),
        }
    }
}

/// Numbers that are not a traffic matrix between racks.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRackTraffic {
    /// More bins than racks, or than [`RackTraffic::MAX_BINS`].
    #[error(
        "{racks} racks are shown in {bins} bins; there are at most {} and no more than racks",
        RackTraffic::MAX_BINS
    )]
    Bins {
        /// Racks.
        racks: usize,
        /// Bins.
        bins: usize,
    },
    /// Entries are missing or too many.
    #[error(
        "the traffic of {bins} bins has {found} entries instead of {wanted}, one for each two bins"
    )]
    Cells {
        /// Bins.
        bins: usize,
        /// How many entries that makes.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
    /// An entry is not a rate.
    #[error("{0} bytes per second is not a finite rate from 0 up")]
    Rate(f64),
}
