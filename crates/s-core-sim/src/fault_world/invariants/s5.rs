//! S5: every migration satisfied Eq. 3.2 on the inputs recorded with it.
//!
//! The inputs are taken from what the node was told: the rates, and for each peer the first answer of a server that
//! hosts it to a question of this visit. The gain is computed anew, by the definition; peers that were not found count
//! against it at their worst.

use std::collections::{BTreeMap, BTreeSet};

use s_core_model::{Levels, ServerIndex, VmId};
use s_core_proto::{Action, Input, Message, QueryId, Report};

use super::{Invariant, Seen};
use crate::fault_world::setting;
use crate::fault_world::world::World;

/// What a node has been told since it began to decide for a VM.
#[derive(Debug, Default)]
struct Visit {
    rates: BTreeMap<VmId, f64>,
    /// Indices of servers.
    found: BTreeMap<VmId, usize>,
    asked: BTreeSet<QueryId>,
    /// The decision has been made; what is heard from now on comes too late.
    over: bool,
}

#[derive(Debug, Default)]
pub(super) struct DecisionsAreRight {
    visits: BTreeMap<usize, Visit>,
}

impl DecisionsAreRight {
    fn input(&mut self, world: &World, host: usize, input: &Input) {
        match input {
            Input::Measured { vm, peers } if world.is_measuring(host, *vm) => {
                let (first, last) = setting::vm_addresses(&world.knobs);
                let counts = |peer: VmId| (first..=last).contains(&peer) && peer != *vm;
                let rates = peers
                    .iter()
                    .filter(|(peer, rate)| counts(*peer) && !rate.is_zero());
                let visit = Visit {
                    rates: rates
                        .map(|(p, rate)| (*p, rate.bytes_per_second()))
                        .collect(),
                    ..Visit::default()
                };
                self.visits.insert(host, visit);
                let node = world.hosts[host].node().into_iter();
                let here: Vec<VmId> = node.flat_map(|n| n.hosted_vms()).map(|(v, _)| v).collect();
                self.found(host, &here, host);
            }
            Input::Hosted { vms, .. } => {
                let here: Vec<VmId> = vms.iter().map(|(vm, _)| *vm).collect();
                self.found(host, &here, host);
            }
            Input::Received {
                sender,
                message:
                    Message::LocationResponse {
                        query,
                        vm,
                        server: Some(server),
                    },
            } if server == sender => {
                let asked = |visit: &Visit| visit.asked.contains(query);
                let at = world.model.levels().index_of(*server);
                if let Some(at) = at.filter(|_| self.visits.get(&host).is_some_and(asked)) {
                    self.found(host, &[*vm], at.usize());
                }
            }
            _ => {}
        }
    }

    /// The first who says that he hosts it is believed.
    fn found(&mut self, host: usize, vms: &[VmId], at: usize) {
        let open = |visit: &&mut Visit| !visit.over;
        if let Some(visit) = self.visits.get_mut(&host).filter(open) {
            for vm in vms {
                visit.found.entry(*vm).or_insert(at);
            }
        }
    }

    fn decided(&self, world: &World, host: usize, target: usize, said: f64) -> Result<(), String> {
        let visit = self.visits.get(&host).ok_or("nothing had been measured")?;
        let path = |a: usize, b: usize| {
            let [a, b] = [a, b].map(|index| ServerIndex::new(index as u32));
            world.model.path_cost(a, b)
        };
        let farthest = world
            .model
            .weights()
            .path_cost(world.model.levels().max_level());
        let (mut before, mut after, mut unknown) = (0.0, 0.0, 0.0);
        for (vm, rate) in &visit.rates {
            match visit.found.get(vm) {
                Some(at) => {
                    before += rate * path(host, *at);
                    after += rate * path(target, *at);
                }
                None => unknown += 2.0 * rate * farthest,
            }
        }
        let gain = 2.0 * (before - after);
        let threshold = world.knobs.migration_cost.threshold(before) + unknown;
        let rounding = 1e-9 * before.max(1.0);
        if (gain - said).abs() > rounding {
            return Err(format!("the gain is {gain}, and the node says {said}"));
        }
        // Sums of small whole numbers: where nothing but these count, equality is exact.
        if gain <= threshold - rounding || gain == threshold {
            return Err(format!("a gain of {gain} is not above {threshold}"));
        }
        Ok(())
    }
}

impl Invariant for DecisionsAreRight {
    fn name(&self) -> &'static str {
        "S5"
    }

    fn check(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Input { host, input } => self.input(world, *host, input),
            Seen::Started { host } | Seen::Stopped { host } => {
                self.visits.remove(host);
            }
            Seen::Action { host, action } => match action {
                Action::Send {
                    message: Message::LocationRequest { query, .. },
                    ..
                } => {
                    if let Some(visit) = self.visits.get_mut(host) {
                        visit.asked.insert(*query);
                    }
                }
                Action::Send {
                    message: Message::CapacityRequest { .. },
                    ..
                } => {
                    if let Some(visit) = self.visits.get_mut(host) {
                        visit.over = true;
                    }
                }
                Action::Report(Report::Migrating { target, gain, .. }) => {
                    let target = world.model.levels().index_of(*target);
                    let target = target.ok_or("the target is no server")?;
                    return self.decided(world, *host, target.usize(), *gain);
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }
}
