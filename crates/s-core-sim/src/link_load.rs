//! How much traffic the links of each level carry.

use s_core_model::{Allocation, Levels, Rate, TrafficMatrix};

/// The traffic on the links of each level: entry *l* − 1 is the sum of λ(u, v) over all pairs whose
/// path uses level-*l* links, each pair once.
///
/// Eq. 3.1 is twice the sum of these loads, each times its link weight. O(pairs).
///
/// # Panics
///
/// If the traffic has more VMs than the allocation, or the allocation other servers than `levels`.
pub fn link_loads<L: Levels>(
    levels: &L,
    allocation: &Allocation,
    traffic: &TrafficMatrix,
) -> Vec<Rate> {
    let mut loads = vec![Rate::ZERO; usize::from(levels.max_level().get())];
    for (a, b, rate) in traffic.pairs() {
        let level = levels.level(allocation.host(a), allocation.host(b));
        for load in &mut loads[..usize::from(level.get())] {
            *load = *load + rate;
        }
    }
    loads
}
