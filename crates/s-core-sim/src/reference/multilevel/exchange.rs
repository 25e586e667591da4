//! Exchanges: where a rack is full, a vertex can only come if another one goes.

use rand_pcg::Pcg64Mcg;

use super::mapping::Mapping;
use crate::traffic::shuffle;

/// So many vertices of a full rack are looked at for one that wants in.
const PARTNERS: usize = 64;

/// Lets vertices that gain by it in sum change places, each at most once with another one.
pub(super) fn exchange(mapping: &mut Mapping<'_>, random: &mut Pcg64Mcg) {
    let mut members = Members::new(mapping);
    let mut order: Vec<u32> = mapping.graph.vertices().collect();
    shuffle(&mut order, random);
    for vertex in order {
        let Some(wanted) = mapping.full_target(vertex) else {
            continue;
        };
        // Not always the same ones of a large rack.
        let of_rack = &members.of[wanted.rack as usize];
        let start = vertex as usize % of_rack.len().max(1);
        let mut best = None;
        let mut best_gain = 0.0;
        for partner in of_rack
            .iter()
            .cycle()
            .skip(start)
            .take(of_rack.len().min(PARTNERS))
        {
            if mapping.can_exchange(vertex, *partner) {
                let gain = mapping.exchange_gain(vertex, wanted, *partner);
                if gain > best_gain {
                    (best, best_gain) = (Some(*partner), gain);
                }
            }
        }
        if let Some(partner) = best {
            members.exchange(mapping, vertex, partner);
            mapping.exchange(vertex, partner);
        }
    }
}

/// The vertices in each rack.
struct Members {
    of: Vec<Vec<u32>>,
    /// Where in its rack's list each vertex is.
    place: Vec<u32>,
}

impl Members {
    fn new(mapping: &Mapping<'_>) -> Self {
        let mut of = vec![Vec::new(); mapping.tree.groups.rack_count()];
        let mut place = Vec::with_capacity(mapping.graph.len());
        for vertex in mapping.graph.vertices() {
            let list = &mut of[mapping.rack(vertex) as usize];
            place.push(list.len() as u32);
            list.push(vertex);
        }
        Self { of, place }
    }

    fn exchange(&mut self, mapping: &Mapping<'_>, a: u32, b: u32) {
        let place = |vertex: u32| self.place[vertex as usize];
        let (place_a, place_b) = (place(a), place(b));
        self.of[mapping.rack(a) as usize][place_a as usize] = b;
        self.of[mapping.rack(b) as usize][place_b as usize] = a;
        self.place.swap(a as usize, b as usize);
    }
}
