//! The replay window: a process that has one hears each frame once.

use std::collections::BTreeSet;

use s_core_model::ServerId;

use super::{Invariant, Seen};
use crate::fault_world::world::World;

#[derive(Debug, Default)]
pub(super) struct OpenedOnce {
    /// By receiver, its process, sender and the sender's counter.
    heard: BTreeSet<(usize, u64, ServerId, u64)>,
}

impl Invariant for OpenedOnce {
    fn name(&self) -> &'static str {
        "replay"
    }

    fn check(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Opened {
            to,
            opened: Ok(opened),
            sent,
            ..
        } = seen
        else {
            return Ok(());
        };
        if !world.knobs.replay_window {
            return Ok(());
        }
        let (sender, counter) = (opened.sender, opened.counter);
        let process = world.hosts[*to].process;
        let new = self.heard.insert((*to, process, sender, counter));
        let server = world.hosts[*to].id;
        new.then_some(())
            .ok_or_else(|| format!("{server} hears {sent:?} of {sender} a second time"))
    }
}
