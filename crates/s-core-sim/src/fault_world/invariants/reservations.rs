//! R3: room is promised to the newest token only, a VM is let in against such a promise only, and no reservation outlives its
//! need: whoever hears that a migration failed has the room released, and a target that hears it keeps none.

use std::collections::BTreeMap;

use s_core_model::VmId;
use s_core_proto::{Action, CapacityAnswer, Input, Message, Outcome};
use s_core_token::Mark;

use super::{Invariant, Seen};
use crate::fault_world::world::World;

#[derive(Debug, Default)]
pub(super) struct Released {
    /// What each node is just being told: a migration from there, or an arrival, has failed.
    failed: BTreeMap<usize, (VmId, bool)>,
    released: bool,
    /// The mark of the capacity request, and whether room is kept for the VM that begins to arrive.
    asked_under: Option<Mark>,
    promised: bool,
}

impl Released {
    fn begins(&mut self, world: &World, host: usize, input: &Input) {
        self.failed.remove(&host);
        self.released = false;
        self.asked_under = None;
        self.promised = false;
        match input {
            Input::Received {
                message: Message::CapacityRequest { mark, .. },
                ..
            } => self.asked_under = Some(*mark),
            Input::Arriving { vm } => {
                let node = world.hosts[host].node().into_iter();
                let mut kept = node.flat_map(|node| node.reservations());
                self.promised = kept.any(|(kept, _)| kept == *vm);
            }
            // The first answer counts.
            Input::MigrationEnded {
                vm,
                outcome: Outcome::StayedHere,
            } if world.awaited(host) == Some(*vm) => {
                self.failed.insert(host, (*vm, true));
            }
            Input::ArrivalFailed { vm } => {
                self.failed.insert(host, (*vm, false));
            }
            _ => {}
        }
    }
}

impl Invariant for Released {
    fn name(&self) -> &'static str {
        "R3"
    }

    fn check(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Input { host, input } => self.begins(world, *host, input),
            Seen::Action {
                host,
                action:
                    Action::Send {
                        message: Message::Release { vm, .. },
                        ..
                    },
            } => {
                let failed = self.failed.get(host);
                self.released |= failed.is_some_and(|(failed, _)| failed == vm);
            }
            Seen::Action {
                host,
                action:
                    Action::Send {
                        message:
                            Message::CapacityResponse {
                                answer: CapacityAnswer::Reserved,
                                ..
                            },
                        ..
                    },
            } => {
                let durable = world.hosts[*host].durable.mark;
                if let Some(mark) = self.asked_under.filter(|mark| *mark != durable) {
                    return Err(format!("room is promised under {mark}, {durable} is known"));
                }
            }
            Seen::Action {
                action: Action::Admit(vm),
                ..
            } if !self.promised => {
                return Err(format!("{vm} is let in, and no room is kept for it"));
            }
            Seen::Handled { host } => match self.failed.remove(host) {
                Some((vm, true)) if !self.released => {
                    return Err(format!("{vm} stays and its room is not released"));
                }
                Some((vm, false)) => {
                    let node = world.hosts[*host].node().into_iter();
                    let mut kept = node.flat_map(|node| node.reservations());
                    if kept.any(|(kept, _)| kept == vm) {
                        return Err(format!("{vm} does not come and room is kept for it"));
                    }
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }
}
