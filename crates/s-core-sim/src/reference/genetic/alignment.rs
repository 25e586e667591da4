//! Equal subtrees are interchangeable: individuals are compared with their names exchanged to agree best.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use s_core_model::Capacity;

use super::problem::{Problem, Rack};
use crate::rack_tree::RackTree;

/// Which groups of a level are alike: groups of one kind have racks of the same room in subtrees of the same shape,
/// so that exchanging them changes neither the cost nor what fits.
pub(super) struct Kinds(Vec<u32>);

impl Kinds {
    pub(super) fn new(problem: &Problem<'_>) -> Self {
        let mut of_racks: BTreeMap<(u32, u64), u32> = BTreeMap::new();
        let mut kind = |room: &Capacity| {
            let next = of_racks.len() as u32;
            *of_racks
                .entry((room.vm_slots, room.memory_mib))
                .or_insert(next)
        };
        let mut kinds: Vec<u32> = problem.room.iter().map(&mut kind).collect();
        for level in 1..=problem.tree.top() {
            let mut of_groups: BTreeMap<Vec<u32>, u32> = BTreeMap::new();
            for group in problem.tree.groups_at(level) {
                let parts = problem.tree.parts(group);
                let mut parts: Vec<u32> = parts.map(|part| kinds[part as usize]).collect();
                parts.sort_unstable();
                let next = of_groups.len() as u32;
                kinds.push(*of_groups.entry(parts).or_insert(next));
            }
        }
        Self(kinds)
    }

    /// Renames the racks of `b` so that it agrees with `a` in as many VMs as exchanging subtrees of one kind achieves,
    /// matching greedily from the top of the tree. O(VMs × levels).
    pub(super) fn align(&self, problem: &Problem<'_>, a: &[Rack], b: &[Rack]) -> Vec<Rack> {
        let tree = &problem.tree;
        // For each group of B the group of A whose name it gets, from the top down.
        let mut names: Vec<u32> = (0..=tree.whole()).collect();
        for level in (1..=tree.top()).rev() {
            let common = common(tree, level, &names, (a, b));
            for group in tree.groups_at(level) {
                let renamed = tree.parts(names[group as usize]);
                match_parts(&common, &self.0, tree.parts(group), renamed, &mut names);
            }
        }
        b.iter()
            .map(|rack| names[usize::from(*rack)] as Rack)
            .collect()
    }
}

/// How many VMs each part of a group of B and each part of the group of A whose name it gets have in common: at
/// the part of B × the most parts of a group + the place of the part of A among its siblings.
fn common(tree: &RackTree, level: usize, names: &[u32], (a, b): (&[Rack], &[Rack])) -> Common {
    let parts = tree.groups_at(level).map(|group| tree.parts(group).len());
    let width = parts.max().unwrap_or(0);
    let mut counts = vec![0u32; tree.groups_at(level - 1).end as usize * width];
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (u32::from(*a), u32::from(*b));
        let group = tree.ancestor(level, a);
        if names[tree.ancestor(level, b) as usize] == group {
            let place = tree.ancestor(level - 1, a) - tree.parts(group).start;
            counts[tree.ancestor(level - 1, b) as usize * width + place as usize] += 1;
        }
    }
    Common { width, counts }
}

struct Common {
    width: usize,
    counts: Vec<u32>,
}

/// Gives the parts of a group of B the names of parts of one kind, those with most in common first.
fn match_parts(
    common: &Common,
    kinds: &[u32],
    parts: Range<u32>,
    renamed: Range<u32>,
    names: &mut [u32],
) {
    let mut pairs: Vec<(u32, u32, u32)> = Vec::new();
    for part in parts {
        let counts = &common.counts[part as usize * common.width..];
        let like = renamed.clone().zip(counts);
        let like = like.filter(|(name, _)| kinds[*name as usize] == kinds[part as usize]);
        pairs.extend(like.map(|(name, count)| (*count, part, name)));
    }
    // Most first; what has nothing in common keeps its order.
    pairs.sort_by_key(|(count, _, _)| Reverse(*count));
    let (mut named, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for (_, part, name) in pairs {
        if !named.contains(&part) && !taken.contains(&name) {
            named.insert(part);
            taken.insert(name);
            names[part as usize] = name;
        }
    }
}
