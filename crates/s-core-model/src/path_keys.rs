//! Where servers stand, as one word each: what makes a level one subtraction of bits away.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::{Level, Levels, LinkWeights, ServerIndex};

/// The most bits of a key.
const BITS: usize = u32::BITS as usize;

/// For servers in a hierarchy, the path from the core down to the rack, each branch in as many bits as it takes.
///
/// Two servers part ways at the highest bit in which their keys differ. Takes 4 bytes per server; a
/// level then takes 1 ns, where a canonical tree of four levels that divides by its groups' sizes takes 6.
#[derive(Clone, Debug)]
pub(crate) struct PathKeys {
    keys: Box<[u32]>,
    /// Entry n is for keys that differ in the n lowest bits at most, and in the highest of these.
    levels: [Level; DISTANCES],
    path_costs: [f64; DISTANCES],
}

/// How far apart two servers can be: the highest bit in which their keys differ, from 1, or 0.
pub(crate) const DISTANCES: usize = BITS + 1;

impl PathKeys {
    /// The keys of all servers, or none if the topology is not a hierarchy or its paths take more than 32 bits.
    ///
    /// O(levels × servers × log servers).
    pub(crate) fn new<L: Levels>(topology: &L, weights: &LinkWeights) -> Option<Self> {
        let count = u32::try_from(topology.server_count()).ok()?;
        if count == 0 {
            return None;
        }
        topology.group(ServerIndex::new(0), Level::ZERO)?;
        let mut digits = Digits::new(count);
        let mut widths = Vec::new();
        for level in (0..topology.max_level().get()).rev().map(Level::new) {
            let group = |server| topology.group(ServerIndex::new(server), level);
            widths.push((level, digits.append(group)?));
        }
        let mut bit = 0;
        let mut levels = [Level::ZERO; DISTANCES];
        for (below, width) in widths.into_iter().rev() {
            let apart = Level::new(below.get() + 1);
            levels[bit + 1..=bit + width as usize].fill(apart);
            bit += width as usize;
        }
        Some(Self {
            keys: digits.keys.into_boxed_slice(),
            levels,
            path_costs: levels.map(|level| weights.path_cost(level)),
        })
    }

    /// A number below [`DISTANCES`] that rises with the level of the two servers.
    pub(crate) fn distance(&self, a: ServerIndex, b: ServerIndex) -> usize {
        let difference = self.keys[a.usize()] ^ self.keys[b.usize()];
        (u32::BITS - difference.leading_zeros()) as usize
    }

    pub(crate) fn level(&self, distance: usize) -> Level {
        self.levels[distance]
    }

    pub(crate) fn path_cost(&self, distance: usize) -> f64 {
        self.path_costs[distance]
    }
}

/// Keys in the making, from the core downwards.
struct Digits {
    keys: Vec<u32>,
    /// The servers, those of one branch beside each other.
    order: Vec<u32>,
    /// The number of each server's branch so far.
    branch: Vec<u32>,
    bits: u32,
}

impl Digits {
    fn new(count: u32) -> Self {
        Self {
            keys: alloc::vec![0; count as usize],
            order: (0..count).collect(),
            branch: alloc::vec![0; count as usize],
            bits: 0,
        }
    }

    /// Numbers the groups within each branch, appends these numbers to the keys, and tells how many
    /// bits they take; none if the keys become too long.
    fn append(&mut self, group: impl Fn(u32) -> Option<u32>) -> Option<u32> {
        let mut groups = Vec::with_capacity(self.keys.len());
        for server in 0..self.keys.len() as u32 {
            groups.push(group(server)?);
        }
        let place =
            |branch: &[u32], server: u32| (branch[server as usize], groups[server as usize]);
        self.order
            .sort_unstable_by_key(|server| place(&self.branch, *server));
        let mut digits = alloc::vec![0; self.keys.len()];
        let mut branches = alloc::vec![0; self.keys.len()];
        let (mut digit, mut branch, mut highest) = (0u32, 0u32, 0u32);
        for pair in self.order.windows(2) {
            let [before, server] = [pair[0], pair[1]].map(|server| place(&self.branch, server));
            if before != server {
                branch += 1;
                digit = if before.0 == server.0 { digit + 1 } else { 0 };
                highest = highest.max(digit);
            }
            digits[pair[1] as usize] = digit;
            branches[pair[1] as usize] = branch;
        }
        let width = u32::BITS - highest.leading_zeros();
        self.bits += width;
        if self.bits > u32::BITS {
            return None;
        }
        for (key, digit) in self.keys.iter_mut().zip(&digits) {
            *key = key.checked_shl(width).unwrap_or(0) | digit;
        }
        self.branch = branches;
        Some(width)
    }
}
