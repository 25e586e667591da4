//! S4: a server's mark never falls, crashes included: what it has told others it still knows afterwards.

use std::collections::BTreeMap;

use s_core_proto::{Action, CapacityAnswer, Message, TokenVerdict};
use s_core_token::Mark;

use super::{Invariant, Seen};
use crate::fault_world::world::World;

#[derive(Debug, Default)]
pub(super) struct MarksRise {
    /// The highest mark that each server has shown.
    shown: BTreeMap<usize, Mark>,
}

impl MarksRise {
    fn rises(&mut self, world: &World, host: usize, mark: Mark) -> Result<(), String> {
        let shown = self.shown.entry(host).or_default();
        if mark < *shown {
            let (server, before) = (world.hosts[host].id, *shown);
            return Err(format!(
                "the mark of {server} falls from {before} to {mark}"
            ));
        }
        *shown = mark;
        Ok(())
    }
}

/// The highest mark that a server says it has seen; none where a message names another token's mark.
fn own_mark(message: &Message) -> Option<Mark> {
    match message {
        Message::CapacityRequest { mark, .. }
        | Message::Beacon { mark, .. }
        | Message::Claim { mark, .. }
        | Message::Yield { mark, .. }
        | Message::CustodyRequest { highest: mark, .. }
        | Message::CapacityResponse {
            answer: CapacityAnswer::Stale(mark),
            ..
        }
        | Message::TokenAck {
            verdict: TokenVerdict::Stale(mark),
            ..
        }
        | Message::TokenAck {
            mark,
            verdict: TokenVerdict::Accepted,
        } => Some(*mark),
        _ => None,
    }
}

impl Invariant for MarksRise {
    fn name(&self) -> &'static str {
        "S4"
    }

    fn check(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Started { host } | Seen::Handled { host } => {
                let mark = world.hosts[*host].node().map(|node| node.mark());
                mark.map_or(Ok(()), |mark| self.rises(world, *host, mark))
            }
            Seen::Action {
                host,
                action: Action::Send { message, .. },
            } => {
                let durable = world.hosts[*host].durable.mark;
                match own_mark(message) {
                    Some(mark) if mark > durable => {
                        Err(format!("{mark} is told while {durable} is durable"))
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}
