//! R2: a mark goes to exactly one VM, on one server.

use std::collections::BTreeMap;

use s_core_model::{ServerId, VmId};
use s_core_proto::{Action, Destination, Message, Report};
use s_core_token::{Mark, TokenView};

use super::{Invariant, Seen};
use crate::fault_world::world::World;

#[derive(Debug, Default)]
pub(super) struct OneVmPerMark {
    to: BTreeMap<Mark, (VmId, ServerId)>,
}

impl OneVmPerMark {
    fn goes_to(&mut self, mark: Mark, vm: VmId, server: ServerId) -> Result<(), String> {
        let (first, at) = *self.to.entry(mark).or_insert((vm, server));
        if (first, at) == (vm, server) {
            Ok(())
        } else {
            Err(format!(
                "{mark} goes to {vm} on {server} and went to {first} on {at}"
            ))
        }
    }
}

impl Invariant for OneVmPerMark {
    fn name(&self) -> &'static str {
        "R2"
    }

    fn check(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Action { host, action } = seen else {
            return Ok(());
        };
        match action {
            Action::Report(Report::Holding { vm, mark }) => {
                self.goes_to(*mark, *vm, world.hosts[*host].id)
            }
            Action::Send {
                to,
                message: Message::Token(bytes),
            } => {
                let view = TokenView::new_checked(&bytes[..], Default::default())
                    .map_err(|error| format!("a token is sent that is none: {error}"))?;
                let (mark, vm) = (view.mark(), view.holder_id());
                let durable = world.hosts[*host].durable.mark;
                if durable < mark {
                    return Err(format!("{mark} is sent while {durable} is durable (R1)"));
                }
                match to {
                    Destination::Server(server) => self.goes_to(mark, vm, *server),
                    to => Err(format!("a token is sent to {to:?}")),
                }
            }
            _ => Ok(()),
        }
    }
}
