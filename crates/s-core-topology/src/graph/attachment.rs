//! A graph taken apart: servers, what they are attached to, and the switches' network.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use s_core_model::ServerId;

use super::{GraphError, Tier, TieredGraph};
use crate::{MAX_LEVELS, MAX_SERVERS};

/// Servers by what they are attached to, and the switches between them.
pub(super) struct Attachments {
    /// Ascending.
    pub(super) servers: Vec<ServerId>,
    /// For each server the number of its set.
    pub(super) attachment: Vec<u16>,
    /// The different sets of switches that servers are attached to, each ascending, numbered as
    /// they first appear in the order of servers.
    pub(super) sets: Vec<Box<[usize]>>,
    /// The tier of each node; of servers it is 0.
    pub(super) tiers: Vec<u8>,
    /// The switches that node n is linked to are those from `starts[n]` to `starts[n + 1]`.
    starts: Vec<usize>,
    neighbours: Vec<usize>,
}

impl Attachments {
    /// `nodes` by their index, with gaps; `links` between indices.
    pub(super) fn new(
        nodes: &[Option<Tier>],
        links: &[(usize, usize)],
    ) -> Result<Self, GraphError> {
        let servers = sorted_servers(nodes)?;
        let mut network = Self {
            servers: servers.iter().map(|(server, _)| *server).collect(),
            attachment: Vec::with_capacity(servers.len()),
            sets: Vec::new(),
            tiers: switch_tiers(nodes)?,
            starts: Vec::new(),
            neighbours: Vec::new(),
        };
        network.link(nodes, links)?;
        network.attach(&servers)?;
        Ok(network)
    }

    /// The switches that a node is linked to.
    pub(super) fn switches_of(&self, node: usize) -> &[usize] {
        &self.neighbours[self.starts[node]..self.starts[node + 1]]
    }

    /// Any one of the servers that are attached to this set.
    pub(super) fn server_of(&self, set: usize) -> ServerId {
        let position = self
            .attachment
            .iter()
            .position(|other| usize::from(*other) == set);
        self.servers[position.expect("a set exists because a server is attached to it")]
    }

    /// Lists for each node the switches at the other ends of its links.
    fn link(&mut self, nodes: &[Option<Tier>], links: &[(usize, usize)]) -> Result<(), GraphError> {
        let mut starts = alloc::vec![0; nodes.len() + 1];
        let is_switch = |node: usize| matches!(nodes[node], Some(Tier::Switch(_)));
        for &(a, b) in links {
            if let (Some(Tier::Server(x)), Some(Tier::Server(y))) = (nodes[a], nodes[b]) {
                return Err(GraphError::ServerLink(x, y));
            }
            starts[a + 1] += usize::from(is_switch(b));
            starts[b + 1] += usize::from(is_switch(a));
        }
        let mut total = 0;
        for start in &mut starts {
            total += *start;
            *start = total;
        }
        let mut next = starts.clone();
        self.neighbours = alloc::vec![0; total];
        for &(a, b) in links {
            for (from, to) in [(a, b), (b, a)] {
                if is_switch(to) {
                    self.neighbours[next[from]] = to;
                    next[from] += 1;
                }
            }
        }
        self.starts = starts;
        Ok(())
    }

    /// Numbers the sets of switches that servers are attached to.
    fn attach(&mut self, servers: &[(ServerId, usize)]) -> Result<(), GraphError> {
        let mut numbers: BTreeMap<Box<[usize]>, u16> = BTreeMap::new();
        for &(server, node) in servers {
            let mut set = self.switches_of(node).to_vec();
            set.sort_unstable();
            set.dedup();
            if set.is_empty() {
                return Err(GraphError::Unattached(server));
            }
            let number = match numbers.get(set.as_slice()) {
                Some(number) => *number,
                None if self.sets.len() == TieredGraph::MAX_ATTACHMENTS => {
                    return Err(GraphError::TooManyAttachments);
                }
                None => {
                    let number = u16::try_from(self.sets.len()).expect("at most MAX_ATTACHMENTS");
                    self.sets.push(set.clone().into_boxed_slice());
                    numbers.insert(set.into_boxed_slice(), number);
                    number
                }
            };
            self.attachment.push(number);
        }
        Ok(())
    }
}

/// The servers, ascending, each with its node.
fn sorted_servers(nodes: &[Option<Tier>]) -> Result<Vec<(ServerId, usize)>, GraphError> {
    let mut servers: Vec<_> = nodes
        .iter()
        .enumerate()
        .filter_map(|(node, tier)| match tier {
            Some(Tier::Server(server)) => Some((*server, node)),
            Some(Tier::Switch(_)) | None => None,
        })
        .collect();
    if servers.is_empty() {
        return Err(GraphError::NoServers);
    }
    if servers.len() > MAX_SERVERS as usize {
        return Err(GraphError::TooManyServers);
    }
    servers.sort_unstable();
    match servers.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(twice) => Err(GraphError::DuplicateServer(twice[0].0)),
        None => Ok(servers),
    }
}

/// The tier of each node that is a switch, and 0 for all others.
fn switch_tiers(nodes: &[Option<Tier>]) -> Result<Vec<u8>, GraphError> {
    let tier = |(node, tier): (usize, &Option<Tier>)| match *tier {
        Some(Tier::Switch(tier)) if !(1..=MAX_LEVELS + 1).contains(&tier) => {
            Err(GraphError::Tier { node, tier })
        }
        Some(Tier::Switch(tier)) => Ok(tier),
        Some(Tier::Server(_)) | None => Ok(0),
    };
    nodes.iter().enumerate().map(tier).collect()
}
