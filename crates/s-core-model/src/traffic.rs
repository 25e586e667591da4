//! λ(u, v) for all pairs: the traffic matrix.

use alloc::vec;
use alloc::vec::Vec;

use crate::{Rate, VmIndex};

/// λ of Table 3.1: the rates of all pairs of VMs that exchange data.
///
/// Symmetric by construction: a pair has one rate, both directions together, and is found from
/// either end. Sparse: 24 bytes per pair and 4 per VM, so a million VMs with five million pairs
/// take 124 MB. Peers are listed in ascending order.
///
/// ```
/// use s_core_model::{Rate, TrafficMatrix, VmIndex};
///
/// let [a, b, c] = [0, 1, 2].map(VmIndex::new);
/// let traffic = TrafficMatrix::from_pairs(3, [
///     (a, b, Rate::new(100.0)?),
///     (b, a, Rate::new(20.0)?), // the same pair: it adds up
///     (b, c, Rate::new(5.0)?),
/// ])?;
/// assert_eq!(traffic.rate(b, a).bytes_per_second(), 120.0);
/// assert_eq!(traffic.peers(b).map(|(peer, _)| peer).collect::<Vec<_>>(), [a, c]);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficMatrix {
    /// `peers` and `rates` of VM u are those from `starts[u]` to `starts[u + 1]`.
    starts: Vec<u32>,
    peers: Vec<VmIndex>,
    rates: Vec<Rate>,
}

impl TrafficMatrix {
    /// The matrix of `vm_count` VMs with these pairs, in any order.
    ///
    /// A pair given several times, in either order, adds up in the order given; pairs without traffic are left out.
    /// Takes O(pairs × log(peers of one VM)).
    ///
    /// # Errors
    ///
    /// [`TrafficError`] if a pair names a VM beyond `vm_count` or a VM with itself, or if there
    /// are more pairs than 32-bit offsets can hold (2³¹).
    pub fn from_pairs(
        vm_count: usize,
        pairs: impl IntoIterator<Item = (VmIndex, VmIndex, Rate)>,
    ) -> Result<Self, TrafficError> {
        let pairs: Vec<_> = pairs
            .into_iter()
            .filter(|(_, _, rate)| !rate.is_zero())
            .collect();
        let starts = Self::row_starts(vm_count, &pairs)?;
        let total = starts[vm_count] as usize;
        let mut matrix = Self {
            peers: vec![VmIndex::new(0); total],
            rates: vec![Rate::ZERO; total],
            starts,
        };
        let mut next = matrix.starts.clone();
        for (a, b, rate) in pairs {
            for (from, to) in [(a, b), (b, a)] {
                let slot = &mut next[from.usize()];
                matrix.peers[*slot as usize] = to;
                matrix.rates[*slot as usize] = rate;
                *slot += 1;
            }
        }
        matrix.sort_and_merge_rows();
        Ok(matrix)
    }

    /// Counts both ends of every pair and turns the counts into offsets.
    fn row_starts(
        vm_count: usize,
        pairs: &[(VmIndex, VmIndex, Rate)],
    ) -> Result<Vec<u32>, TrafficError> {
        if u32::try_from(pairs.len()).map_or(true, |count| count > u32::MAX / 2) {
            return Err(TrafficError::TooManyPairs(pairs.len()));
        }
        let mut starts = vec![0u32; vm_count + 1];
        for &(a, b, _) in pairs {
            if a == b {
                return Err(TrafficError::SelfPair(a));
            }
            for end in [a, b] {
                if end.usize() >= vm_count {
                    return Err(TrafficError::UnknownVm { vm: end, vm_count });
                }
                starts[end.usize() + 1] += 1;
            }
        }
        let mut total = 0;
        for start in &mut starts {
            total += *start;
            *start = total;
        }
        Ok(starts)
    }

    /// Sorts each row by peer and adds up entries of the same peer.
    ///
    /// The sort is stable and both rows of a pair list its entries in the order given, so that
    /// both ends come to the same sum to the last bit.
    fn sort_and_merge_rows(&mut self) {
        let mut row: Vec<(VmIndex, Rate)> = Vec::new();
        let mut write = 0;
        let mut begin = 0;
        for vm in 0..self.starts.len() - 1 {
            let end = self.starts[vm + 1] as usize;
            row.clear();
            row.extend(
                self.peers[begin..end]
                    .iter()
                    .copied()
                    .zip(self.rates[begin..end].iter().copied()),
            );
            row.sort_by_key(|(peer, _)| *peer);
            let row_start = write;
            for &(peer, rate) in &row {
                if write > row_start && self.peers[write - 1] == peer {
                    self.rates[write - 1] = self.rates[write - 1] + rate;
                } else {
                    self.peers[write] = peer;
                    self.rates[write] = rate;
                    write += 1;
                }
            }
            begin = end;
            self.starts[vm + 1] = u32::try_from(write).expect("no more than before merging");
        }
        self.peers.truncate(write);
        self.rates.truncate(write);
        self.peers.shrink_to_fit();
        self.rates.shrink_to_fit();
    }

    /// How many VMs the matrix covers.
    pub fn vm_count(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many unordered pairs exchange data.
    pub fn pair_count(&self) -> usize {
        self.peers.len() / 2
    }

    /// 𝕍_u of Table 3.1 with its rates: the VMs that exchange data with `vm`, ascending.
    ///
    /// # Panics
    ///
    /// If the VM is not below [`vm_count`](Self::vm_count).
    pub fn peers(
        &self,
        vm: VmIndex,
    ) -> impl ExactSizeIterator<Item = (VmIndex, Rate)> + Clone + '_ {
        let row = self.row(vm);
        self.peers[row.clone()]
            .iter()
            .copied()
            .zip(self.rates[row].iter().copied())
    }

    fn row(&self, vm: VmIndex) -> core::ops::Range<usize> {
        self.starts[vm.usize()] as usize..self.starts[vm.usize() + 1] as usize
    }

    /// λ(u, v); zero if the two exchange no data. O(log(peers of u)).
    ///
    /// # Panics
    ///
    /// If `u` is not below [`vm_count`](Self::vm_count).
    pub fn rate(&self, u: VmIndex, v: VmIndex) -> Rate {
        let row = self.row(u);
        match self.peers[row.clone()].binary_search(&v) {
            Ok(position) => self.rates[row.start + position],
            Err(_) => Rate::ZERO,
        }
    }

    /// The aggregate load of a VM (4.1, load-aware): the sum of its rates to all peers.
    ///
    /// # Panics
    ///
    /// If the VM is not below [`vm_count`](Self::vm_count).
    pub fn load(&self, vm: VmIndex) -> Rate {
        self.rates[self.row(vm)].iter().copied().sum()
    }

    /// All pairs, each once with the lower VM first, in ascending order.
    pub fn pairs(&self) -> impl Iterator<Item = (VmIndex, VmIndex, Rate)> + '_ {
        (0..self.vm_count()).flat_map(|vm| {
            let vm = VmIndex::new(u32::try_from(vm).expect("indices are 32-bit"));
            self.peers(vm)
                .filter(move |(peer, _)| vm < *peer)
                .map(move |(peer, rate)| (vm, peer, rate))
        })
    }

    /// Bytes of memory that the matrix holds.
    pub fn memory_usage(&self) -> usize {
        self.starts.capacity() * size_of::<u32>()
            + self.peers.capacity() * size_of::<VmIndex>()
            + self.rates.capacity() * size_of::<Rate>()
    }
}

/// Pairs that do not make a traffic matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrafficError {
    /// A VM is paired with itself.
    #[error("VM number {} is paired with itself; traffic inside a VM never reaches the network", .0.get())]
    SelfPair(VmIndex),
    /// A pair names a VM that does not exist.
    #[error("VM number {} does not exist; there are {vm_count} VMs", vm.get())]
    UnknownVm {
        /// The VM's index.
        vm: VmIndex,
        /// How many VMs there are.
        vm_count: usize,
    },
    /// More pairs than the matrix can hold.
    #[error("{0} pairs are more than a traffic matrix holds (2147483647)")]
    TooManyPairs(usize),
}
