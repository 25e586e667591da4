//! Refinement: local searches that move vertices one after the other, after Fiduccia and Mattheyses.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use rand_pcg::Pcg64Mcg;

use super::mapping::Mapping;
use crate::traffic::shuffle;

/// A search gives up after so many moves without a new best.
const PATIENCE: usize = 30;

/// Rounds end when one gains less than this share of the first.
const LITTLE: f64 = 0.02;

/// A peer follows a vertex if its share of the vertex's traffic is at least this much of the mean. Most flows are far
/// smaller than the few that matter, and what changes little is not worth a look.
const MATTERS: f64 = 0.5;

/// A vertex that may move: the largest gain first, and the lowest vertex among equals.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Candidate {
    gain: f64,
    vertex: u32,
}

impl Eq for Candidate {}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.gain.total_cmp(&other.gain)).then(other.vertex.cmp(&self.vertex))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Makes a mapping better, in at most so many rounds. Racks that are not overloaded do not become so.
pub(super) fn refine(mapping: &mut Mapping<'_>, rounds: u32, random: &mut Pcg64Mcg) {
    let mut search = Search::new(mapping);
    let mut seeds: Vec<u32> = search.mapping.graph.vertices().collect();
    let mut first = 0.0;
    for round in 1..=rounds {
        shuffle(&mut seeds, random);
        search.round = round;
        let gain: f64 = seeds.iter().map(|seed| search.from(*seed)).sum();
        if round == 1 {
            first = gain;
        }
        if gain <= LITTLE * first {
            break;
        }
        seeds = search.changed();
    }
}

#[derive(Debug)]
struct Search<'m, 'a> {
    mapping: &'m mut Mapping<'a>,
    round: u32,
    /// The round in which a vertex was moved last, for good or for a try.
    tried_in: Vec<u32>,
    /// The vertices moved for good in this round.
    moved: Vec<u32>,
    queue: BinaryHeap<Candidate>,
    /// The moves of this search: which vertex, and where it was.
    trail: Vec<(u32, u32)>,
}

impl<'m, 'a> Search<'m, 'a> {
    fn new(mapping: &'m mut Mapping<'a>) -> Self {
        let vertices = mapping.graph.len();
        Self {
            mapping,
            round: 0,
            tried_in: vec![0; vertices],
            moved: Vec::new(),
            queue: BinaryHeap::new(),
            trail: Vec::new(),
        }
    }

    /// Moves the seed, then whatever is worth most of those that talk to what moved, gain or no gain; and takes back
    /// the moves after the best. Returns the gain.
    fn from(&mut self, seed: u32) -> f64 {
        self.queue.clear();
        self.propose(seed);
        let (mut gain, mut best) = (0.0, 0.0);
        let mut kept = 0;
        while let Some(candidate) = self.queue.pop() {
            let Some(moved) = self.move_or_requeue(candidate) else {
                continue;
            };
            gain += moved;
            if gain > best {
                best = gain;
                kept = self.trail.len();
            } else if self.trail.len() - kept >= PATIENCE {
                break;
            }
            self.propose_peers(candidate.vertex);
        }
        for (vertex, rack) in self.trail.drain(kept..).rev() {
            self.mapping.relocate(vertex, rack);
        }
        self.moved
            .extend(self.trail.drain(..).map(|(vertex, _)| vertex));
        best
    }

    /// Queues a vertex, unless it has been moved in this round.
    fn propose(&mut self, vertex: u32) {
        if self.tried_in[vertex as usize] != self.round
            && let Some(target) = self.mapping.target(vertex)
        {
            let gain = target.gain;
            self.queue.push(Candidate { gain, vertex });
        }
    }

    /// Moves a candidate and returns what it gained, or queues it anew if it has become worth less.
    fn move_or_requeue(&mut self, Candidate { gain, vertex }: Candidate) -> Option<f64> {
        if self.tried_in[vertex as usize] == self.round {
            return None;
        }
        let target = self.mapping.target(vertex)?;
        if target.gain < gain - 1e-9 * gain.abs() {
            let gain = target.gain;
            self.queue.push(Candidate { gain, vertex });
            return None;
        }
        self.trail.push((vertex, self.mapping.rack(vertex)));
        self.mapping.relocate(vertex, target.rack);
        self.tried_in[vertex as usize] = self.round;
        Some(target.gain)
    }

    fn propose_peers(&mut self, vertex: u32) {
        for peer in peers_that_matter(self.mapping, vertex) {
            self.propose(peer);
        }
    }

    /// The vertices that moved in this round and those that talk to them, each once.
    fn changed(&mut self) -> Vec<u32> {
        let mut changed = std::mem::take(&mut self.moved);
        for place in 0..changed.len() {
            changed.extend(peers_that_matter(self.mapping, changed[place]));
        }
        changed.sort_unstable();
        changed.dedup();
        changed
    }
}

fn peers_that_matter<'a>(
    mapping: &Mapping<'a>,
    vertex: u32,
) -> impl Iterator<Item = u32> + use<'a> {
    let edges = mapping.graph.edges(vertex);
    let sum: f64 = edges.clone().map(|(_, rate)| rate).sum();
    let least = MATTERS * sum / edges.len() as f64;
    edges
        .filter(move |(_, rate)| *rate >= least)
        .map(|(peer, _)| peer)
}
