//! Groups trade their contents so that fewer VMs have to move.

use std::collections::BTreeMap;

use super::graph::Graph;
use super::mapping::{Mapping, Target};
use crate::rack_tree::{RackTree, Racks};
use crate::reference::size::Size;
use crate::reference::tree::Tree;

/// Exchanges what is in equal groups side by side, down the tree, so that more of `racks` become what they are in
/// `initial`. The cost stays as it is.
pub(super) fn relabel(tree: &Tree, racks: &mut [u32], initial: &[u32]) {
    for level in (0..tree.groups.top()).rev() {
        let common = common(&tree.groups, level, racks, initial);
        let targets = targets(tree, level, &common);
        for rack in racks.iter_mut() {
            *rack = targets[*rack as usize];
        }
    }
}

/// Lets the contents of racks anywhere trade places where the cost does not rise and fewer VMs have to move.
pub(super) fn trade(graph: &Graph, tree: &Tree, racks: &mut [u32], initial: &[u32]) {
    let mut pairs: Vec<(u32, u32)> = racks.iter().copied().zip(initial.iter().copied()).collect();
    pairs.sort_unstable();
    let staying: BTreeMap<(u32, u32), usize> = (pairs.chunk_by(|a, b| a == b))
        .map(|run| (run[0], run.len()))
        .collect();
    let stay = |content, rack| staying.get(&(content, rack)).copied().unwrap_or(0);
    let mut wishes: Vec<(usize, (u32, u32))> =
        (staying.iter().map(|(pair, count)| (*count, *pair))).collect();
    wishes.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    // Contents are numbered by the racks where they are first.
    let contents = graph.contract(racks, tree.groups.rack_count());
    let mut mapping = Mapping::new(&contents, tree, tree.groups.racks().collect());
    let mut content_of: Vec<u32> = tree.groups.racks().collect();
    for (_, (content, rack)) in wishes {
        let (from, other) = (mapping.rack(content), content_of[rack as usize]);
        let stay_now = stay(content, from) + stay(other, rack);
        if stay(content, rack) + stay(other, from) > stay_now
            && mapping.can_exchange(content, other)
        {
            let gain = mapping.gain(content, rack);
            if mapping.exchange_gain(content, Target { gain, rack }, other) >= 0.0 {
                mapping.exchange(content, other);
                content_of.swap(from as usize, rack as usize);
            }
        }
    }
    for rack in racks {
        *rack = mapping.rack(*rack);
    }
}

/// For groups side by side at a level, how many VMs are in the first and were in the second, most first.
fn common(tree: &RackTree, level: usize, racks: &[u32], initial: &[u32]) -> Vec<(usize, u32, u32)> {
    let mut pairs: Vec<(u32, u32)> = (racks.iter().zip(initial))
        .map(|(now, before)| (tree.path(*now), tree.path(*before)))
        .filter(|(now, before)| now.get(level + 1) == before.get(level + 1))
        .map(|(now, before)| (now[level], before[level]))
        .collect();
    pairs.sort_unstable();
    let equal = pairs.chunk_by(|a, b| a == b);
    let mut common: Vec<_> = equal.map(|run| (run.len(), run[0].0, run[0].1)).collect();
    common.sort_by(|a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    common
}

/// For each rack, the rack that is to have its VMs.
fn targets(tree: &Tree, level: usize, common: &[(usize, u32, u32)]) -> Vec<u32> {
    let mut kinds: BTreeMap<(u32, Shape), Vec<u32>> = BTreeMap::new();
    let mut kind_of: BTreeMap<u32, u32> = BTreeMap::new();
    for group in tree.groups.groups_at(level) {
        let racks = tree.groups.racks_of(group);
        let above = tree.groups.ancestor(level + 1, racks.start);
        let alike = kinds.entry((above, shape(tree, racks))).or_default();
        alike.push(group);
        kind_of.insert(group, alike[0]);
    }
    let mut target_of: BTreeMap<u32, u32> = BTreeMap::new();
    let mut is_taken: BTreeMap<u32, bool> = BTreeMap::new();
    for (_, from, to) in common {
        let is_free = !target_of.contains_key(from) && !is_taken.contains_key(to);
        if is_free && kind_of[from] == kind_of[to] {
            target_of.insert(*from, *to);
            is_taken.insert(*to, true);
        }
    }
    let mut targets: Vec<u32> = tree.groups.racks().collect();
    for alike in kinds.values() {
        let mut free = alike.iter().filter(|group| !is_taken.contains_key(group));
        for group in alike {
            let target = target_of.get(group).or_else(|| free.next());
            let target = *target.expect("as many groups give as take");
            let places = tree
                .groups
                .racks_of(*group)
                .zip(tree.groups.racks_of(target));
            for (from, to) in places {
                targets[from as usize] = to;
            }
        }
    }
    targets
}

/// What two groups must have in common to trade places: each rack's VM slots and memory, and how many levels up it
/// meets the rack before it.
type Shape = Vec<(u64, u64, usize)>;

fn shape(tree: &Tree, racks: Racks) -> Shape {
    let start = racks.start;
    let meets = |rack: u32| match rack == start {
        true => 0,
        false => tree.groups.level(rack - 1, rack),
    };
    racks
        .map(|rack| {
            let Size { slots, memory } = tree.capacity(rack);
            (slots, memory, meets(rack))
        })
        .collect()
}
