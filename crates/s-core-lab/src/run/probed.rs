//! Which pairs are probed.

use std::collections::BTreeSet;

use s_core_model::VmId;

use crate::traffic::PairTraffic;

/// The most pairs that are probed.
const MOST_PROBED: usize = 64;

/// Pairs that are probed: each VM with the one that it exchanges most with, as far as it is not probed from there.
pub(super) fn probed(pairs: &[PairTraffic]) -> Vec<(VmId, VmId)> {
    let mut dearest: Vec<_> = pairs.iter().collect();
    dearest.sort_by(|x, y| {
        let rates = [y, x].map(|pair| pair.rate.bytes_per_second());
        rates[0]
            .total_cmp(&rates[1])
            .then((x.a, x.b).cmp(&(y.a, y.b)))
    });
    let mut seen = BTreeSet::new();
    let mut probed = Vec::new();
    for pair in dearest {
        let new = [pair.a, pair.b].map(|vm| seen.insert(vm));
        if new != [false, false] && probed.len() < MOST_PROBED {
            probed.push((pair.a, pair.b));
        }
    }
    probed
}
