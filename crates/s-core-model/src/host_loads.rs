//! One VM's traffic by server.

use alloc::vec::Vec;

use crate::{Rate, ServerIndex};

/// One VM's traffic, added up by the server that hosts the peers, ascending by server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostLoads {
    loads: Vec<HostLoad>,
}

/// The traffic of one VM with its peers on one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostLoad {
    /// The server.
    pub server: ServerIndex,
    /// The rate to all peers there.
    pub rate: Rate,
    /// The highest rate to any of them.
    pub greatest: Rate,
}

impl HostLoads {
    /// No traffic at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the contents by these peers' hosts and rates; keeps the allocation. O(n log n).
    pub fn refill(&mut self, peers: impl IntoIterator<Item = (ServerIndex, Rate)>) {
        let load = |(server, rate)| HostLoad {
            server,
            rate,
            greatest: rate,
        };
        self.loads.clear();
        self.loads.extend(peers.into_iter().map(load));
        // Stable, so that rates add up in the order of the peers on every machine.
        self.loads.sort_by_key(|load| load.server);
        self.loads.dedup_by(|next, first| {
            let same = next.server == first.server;
            if same {
                first.rate = first.rate + next.rate;
                first.greatest = first.greatest.max(next.greatest);
            }
            same
        });
    }

    /// How many servers host at least one peer.
    pub fn len(&self) -> usize {
        self.loads.len()
    }

    /// Whether no server hosts a peer.
    pub fn is_empty(&self) -> bool {
        self.loads.is_empty()
    }

    /// The servers that host peers, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = HostLoad> + Clone + '_ {
        self.loads.iter().copied()
    }
}

impl FromIterator<(ServerIndex, Rate)> for HostLoads {
    fn from_iter<I: IntoIterator<Item = (ServerIndex, Rate)>>(peers: I) -> Self {
        let mut loads = Self::new();
        loads.refill(peers);
        loads
    }
}
