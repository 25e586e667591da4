//! S1: a mark is acted on at most once, crashes included. Rule R1: it is durable before that.

use std::collections::BTreeMap;

use s_core_model::VmId;
use s_core_proto::{Action, Report};
use s_core_token::Mark;

use super::{Invariant, Seen};
use crate::fault_world::world::World;

#[derive(Debug, Default)]
pub(super) struct ActedOnOnce {
    by: BTreeMap<Mark, (usize, VmId)>,
}

impl Invariant for ActedOnOnce {
    fn name(&self) -> &'static str {
        "S1"
    }

    fn check(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Action { host, action } = seen else {
            return Ok(());
        };
        let durable = &world.hosts[*host].durable;
        match action {
            Action::Report(Report::Holding { vm, mark }) => {
                if durable.mark < *mark {
                    let durable = durable.mark;
                    return Err(format!(
                        "{mark} is acted on while {durable} is durable (R1)"
                    ));
                }
                match self.by.insert(*mark, (*host, *vm)) {
                    None => Ok(()),
                    Some((before, first)) => {
                        let [here, there] = [*host, before].map(|host| world.hosts[host].id);
                        Err(format!(
                            "{mark} is acted on at {here} for {vm}, and was at {there} for {first}"
                        ))
                    }
                }
            }
            Action::Migrate { vm, .. } if durable.migrations.iter().all(|m| m.vm != *vm) => Err(
                format!("{vm} begins to migrate, and no crash would leave a trace of it"),
            ),
            _ => Ok(()),
        }
    }
}
