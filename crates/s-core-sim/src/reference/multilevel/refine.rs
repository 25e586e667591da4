//! Refinement: local searches that move vertices one after the other, after Fiduccia and Mattheyses.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use rand_pcg::Pcg64Mcg;

use super::mapping::{Mapping, Target};
use crate::traffic::shuffle;

/// Searches give up after so many moves without a new best.
const PATIENCE: usize = 30;

/// A vertex that may move, the largest gain first and the lowest vertex among equals.
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

/// Improves a mapping.
#[derive(Debug)]
pub(super) struct Refinement<'m, 'a> {
    mapping: &'m mut Mapping<'a>,
    /// The round in which a vertex was moved last.
    moved_in: Vec<u32>,
    round: u32,
    queue: BinaryHeap<Candidate>,
    moves: Vec<(u32, u32)>,
}

impl<'m, 'a> Refinement<'m, 'a> {
    pub(super) fn new(mapping: &'m mut Mapping<'a>) -> Self {
        let vertices = mapping.graph.len();
        Self {
            mapping,
            moved_in: vec![0; vertices],
            round: 0,
            queue: BinaryHeap::new(),
            moves: Vec::new(),
        }
    }

    /// Rounds of searches from every vertex, in random order, until they gain little.
    pub(super) fn run(&mut self, rounds: u32, random: &mut Pcg64Mcg) -> f64 {
        let mut order: Vec<u32> = self.mapping.graph.vertices().collect();
        let mut total = 0.0;
        let mut first = 0.0;
        for round in 0..rounds {
            shuffle(&mut order, random);
            self.round += 1;
            let gain: f64 = order.iter().map(|seed| self.search(*seed)).sum();
            total += gain;
            if round == 0 {
                first = gain;
            }
            if gain <= 0.02 * first {
                break;
            }
        }
        total
    }

    fn push(&mut self, vertex: u32) {
        if let Some(Target { gain, .. }) = self.mapping.targets(vertex).free {
            self.queue.push(Candidate { gain, vertex });
        }
    }

    /// Moves the seed, and those whose moves are worth most after it, and takes back all moves after the best.
    fn search(&mut self, seed: u32) -> f64 {
        if self.moved_in[seed as usize] == self.round {
            return 0.0;
        }
        self.queue.clear();
        self.moves.clear();
        self.push(seed);
        let (mut sum, mut best) = (0.0, 0.0);
        let mut kept = 0;
        while let Some(candidate) = self.queue.pop() {
            if self.moved_in[candidate.vertex as usize] == self.round {
                continue;
            }
            let Some(target) = self.mapping.targets(candidate.vertex).free else {
                continue;
            };
            if target.gain < candidate.gain - 1e-9 * candidate.gain.abs() {
                let gain = target.gain;
                self.queue.push(Candidate { gain, ..candidate });
                continue;
            }
            self.moves
                .push((candidate.vertex, self.mapping.rack(candidate.vertex)));
            self.mapping.relocate(candidate.vertex, target.rack);
            self.moved_in[candidate.vertex as usize] = self.round;
            sum += target.gain;
            if sum > best {
                best = sum;
                kept = self.moves.len();
            } else if self.moves.len() - kept >= PATIENCE {
                break;
            }
            self.push_peers(candidate.vertex);
        }
        for (vertex, rack) in self.moves.drain(kept..).rev() {
            self.mapping.relocate(vertex, rack);
        }
        best
    }

    fn push_peers(&mut self, vertex: u32) {
        let graph = self.mapping.graph;
        let edges = graph.edges(vertex);
        let mean = edges.clone().map(|(_, rate)| rate).sum::<f64>() / edges.len() as f64;
        for (peer, rate) in edges {
            if rate >= 0.5 * mean && self.moved_in[peer as usize] != self.round {
                self.push(peer);
            }
        }
    }
}
