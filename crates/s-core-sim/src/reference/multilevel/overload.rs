//! Out of racks that hold more than they can.

use super::mapping::{Mapping, Target};

/// Moves vertices out of overloaded racks to where there is room, those first that lose least for their size.
/// Racks may stay overloaded if vertices are too large to fit elsewhere.
pub(super) fn relieve(mapping: &mut Mapping<'_>) {
    let racks = mapping.tree.groups.racks();
    let overloaded: Vec<u32> = racks.filter(|rack| mapping.is_overloaded(*rack)).collect();
    if overloaded.is_empty() {
        return;
    }
    let mut leaving: Vec<(f64, u32)> = Vec::new();
    for vertex in mapping.graph.vertices() {
        let rack = mapping.rack(vertex);
        if overloaded.binary_search(&rack).is_ok()
            && let Some(Target { gain, .. }) = elsewhere(mapping, vertex)
        {
            leaving.push((gain / mapping.graph.size(vertex).slots as f64, vertex));
        }
    }
    leaving.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    for (_, vertex) in leaving {
        if mapping.is_overloaded(mapping.rack(vertex))
            && let Some(Target { rack, .. }) = elsewhere(mapping, vertex)
        {
            mapping.relocate(vertex, rack);
        }
    }
}

/// The best rack with room for a vertex near its peers, or else the roomiest that is near where it is.
fn elsewhere(mapping: &mut Mapping<'_>, vertex: u32) -> Option<Target> {
    if let Some(target) = mapping.target(vertex) {
        return Some(target);
    }
    let size = mapping.graph.size(vertex);
    let own = mapping.rack(vertex);
    let tree = &mapping.tree.groups;
    let above = tree.path(own)[1..].iter().copied();
    let mut groups = above.chain([tree.whole()]);
    let rack = groups.find_map(|group| {
        let rack = mapping.roomiest(&tree.racks_of(group))?;
        (rack != own && mapping.has_room(rack, size)).then_some(rack)
    })?;
    let gain = mapping.gain(vertex, rack);
    Some(Target { gain, rack })
}
