//! A server's agent: a process around a node, and what outlives it.

use std::sync::Arc;

use s_core_model::ServerId;
use s_core_proto::wire::{Cluster, Codec, Key, KeyId, Keyring};
use s_core_proto::{Config, Durable, Instant, Node, QueryId};
use s_core_topology::LocationTable;

use super::clock::{Clock, Time};
use super::door::Door;

/// The longest frame: far more than a token of this world takes.
const MAX_FRAME: usize = 1 << 16;

/// The key of all agents of this world.
pub(super) const SECRET: [u8; 32] = [7; 32];

/// One server's control domain.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) id: ServerId,
    pub(super) config: Arc<Config<LocationTable>>,
    /// What survives a crash.
    pub(super) durable: Durable,
    /// The number of the process that runs, or ran last.
    pub(super) process: u64,
    pub(super) running: Option<Running>,
    /// Until then nothing happens in the process.
    pub(super) paused_until: Time,
}

/// A process: all of it is lost in a crash.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) node: Node<LocationTable>,
    pub(super) codec: Codec,
    pub(super) door: Door,
    pub(super) clock: Clock,
    /// What the one timer that counts is set to, and its number.
    pub(super) timer: Option<Instant>,
    pub(super) timer_number: u64,
}

impl Host {
    pub(super) fn new(config: Arc<Config<LocationTable>>, durable: Durable) -> Self {
        Self {
            id: config.server,
            config,
            durable,
            process: 0,
            running: None,
            paused_until: Time::ZERO,
        }
    }

    /// Starts the agent with what is durable, and nothing else.
    pub(super) fn start(&mut self, clock: Clock, door: Door) {
        self.process += 1;
        // Above all that an earlier process used, as the time in nanoseconds is.
        let first = clock.since.as_nanos() as u64 + (self.process << 8);
        let node = Node::new(self.config.clone(), self.durable.clone())
            .expect("the location table lists every server")
            .with_first_query(QueryId::new(first));
        self.running = Some(Running {
            node,
            door,
            codec: codec(self.id).with_counter(first),
            clock,
            timer: None,
            timer_number: 0,
        });
    }

    pub(super) fn node(&self) -> Option<&Node<LocationTable>> {
        self.running.as_ref().map(|running| &running.node)
    }

    pub(super) fn holds(&self) -> bool {
        self.node().is_some_and(|node| node.holder().is_some())
    }
}

/// Seals and opens for this server, with the key that all of this world share.
pub(super) fn codec(server: ServerId) -> Codec {
    let keyring = Keyring::new(Key::new(KeyId(1), SECRET), []).expect("one key");
    Codec::new(Cluster(1), server, keyring, MAX_FRAME)
}
