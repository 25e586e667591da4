//! Shortest paths over switches, and of these the ones that climb least.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::GraphError;
use super::attachment::Attachments;

/// For any two sets of switches, row by row, the level between servers attached to them.
pub(super) fn levels(network: &Attachments) -> Result<Box<[u8]>, GraphError> {
    let side = network.sets.len();
    let mut levels = Vec::with_capacity(side * side);
    let mut search = Search::new(network);
    for from in 0..side {
        search.run(from);
        for to in 0..side {
            let tier = search
                .highest_tier(to)
                .ok_or_else(|| disconnected(network, from, to))?;
            levels.push(tier - 1);
        }
    }
    Ok(levels.into_boxed_slice())
}

fn disconnected(network: &Attachments, from: usize, to: usize) -> GraphError {
    GraphError::Disconnected(network.server_of(from), network.server_of(to))
}

/// A breadth-first search from the switches of one set.
///
/// Paths are compared by the number of links, then by the highest tier. A node leaves the queue
/// only after all nodes that are nearer, so that its tier is final when it is passed on.
struct Search<'a> {
    network: &'a Attachments,
    /// For each node the links from the start and the highest tier on the way; `None` if not met.
    best: Vec<Option<(u32, u8)>>,
    queue: Vec<usize>,
}

impl<'a> Search<'a> {
    fn new(network: &'a Attachments) -> Self {
        Self {
            best: alloc::vec![None; network.tiers.len()],
            queue: Vec::with_capacity(network.tiers.len()),
            network,
        }
    }

    fn run(&mut self, from: usize) {
        self.best.fill(None);
        self.queue.clear();
        for &switch in &self.network.sets[from] {
            self.best[switch] = Some((0, self.network.tiers[switch]));
            self.queue.push(switch);
        }
        let mut head = 0;
        while let Some(&switch) = self.queue.get(head) {
            head += 1;
            let (links, highest) = self.best[switch].expect("queued when met");
            for &next in self.network.switches_of(switch) {
                let path = (links + 1, highest.max(self.network.tiers[next]));
                match &mut self.best[next] {
                    Some(best) => *best = path.min(*best),
                    unmet @ None => {
                        *unmet = Some(path);
                        self.queue.push(next);
                    }
                }
            }
        }
    }

    /// The highest tier on the best path to any switch of the set.
    fn highest_tier(&self, to: usize) -> Option<u8> {
        let paths = self.network.sets[to]
            .iter()
            .map(|switch| self.best[*switch]);
        paths.flatten().min().map(|(_, tier)| tier)
    }
}
