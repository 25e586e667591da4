//! L2: no VM starves: none waits for more than two rounds once the faults are over, and a round in which a VM was passed
//! by does not count as quiet, ever.
//!
//! Rounds of a policy that wraps do not end, so visits are counted: in one round, a VM is visited once at each level at
//! most.

use std::collections::{BTreeMap, BTreeSet};

use s_core_model::VmId;
use s_core_proto::{Action, Report, WhySkipped};
use s_core_token::Epoch;

use super::{Invariant, Seen};
use crate::fault_world::world::World;

/// The VMs visited in an epoch, in the round before and in this one.
#[derive(Debug, Default)]
struct Rounds {
    last: BTreeSet<VmId>,
    this: BTreeSet<VmId>,
}

#[derive(Debug, Default)]
pub(super) struct NobodyStarves {
    rounds: BTreeMap<Epoch, Rounds>,
    /// The epoch of the last token that each server held.
    epochs: BTreeMap<usize, Epoch>,
    /// A server is just skipping a VM; a round that ends so does not count.
    skipping: bool,
}

impl NobodyStarves {
    fn round_ended(&mut self, world: &World, host: usize, quiet: bool) -> Result<(), String> {
        // A token that goes on in a new epoch begins anew.
        let epoch = world.hosts[host].durable.mark.epoch;
        if self.epochs.get(&host) != Some(&epoch) {
            return Ok(());
        }
        let rounds = self.rounds.entry(epoch).or_default();
        let this = std::mem::take(&mut rounds.this);
        let last = std::mem::replace(&mut rounds.last, this);
        let alive = |vm: &&VmId| world.truth.vms.contains_key(vm);
        let mut passed_by = last.difference(&rounds.last).filter(alive);
        match passed_by.next() {
            Some(vm) if quiet && !self.skipping => {
                Err(format!("a round is quiet that {vm} had no turn in"))
            }
            _ => Ok(()),
        }
    }

    /// A VM that nobody hosts loses its slot.
    fn skipped(&mut self, vm: VmId, why: WhySkipped) {
        self.skipping = true;
        if why == WhySkipped::NotFound {
            for rounds in self.rounds.values_mut() {
                rounds.last.remove(&vm);
                rounds.this.remove(&vm);
            }
        }
    }

    fn visited(&mut self, host: usize, epoch: Epoch, vm: VmId) {
        self.epochs.insert(host, epoch);
        self.rounds.entry(epoch).or_default().this.insert(vm);
    }
}

impl Invariant for NobodyStarves {
    fn name(&self) -> &'static str {
        "L2"
    }

    fn check(&mut self, world: &World, seen: &Seen<'_>) -> Result<(), String> {
        if let Seen::Input { .. } = seen {
            self.skipping = false;
        }
        let Seen::Action {
            host,
            action: Action::Report(report),
        } = seen
        else {
            return Ok(());
        };
        match report {
            Report::Skipped { vm, why } => {
                self.skipped(*vm, *why);
                return Ok(());
            }
            Report::Holding { vm, mark } => self.visited(*host, mark.epoch, *vm),
            Report::RoundEnded { quiet_rounds, .. } => {
                return self.round_ended(world, *host, *quiet_rounds > 0);
            }
            _ => return Ok(()),
        }
        if world.is_calm() {
            nobody_waits(world)
        } else {
            Ok(())
        }
    }
}

fn nobody_waits(world: &World) -> Result<(), String> {
    let now = world.settling.hops;
    let levels = u64::from(world.knobs.weights.max_level().get());
    let patience = 3 * (levels + 1) * (world.knobs.vms + world.knobs.births) as u64;
    for vm in world.truth.vms.keys() {
        let last = world.settling.visited.get(vm).copied().unwrap_or(0);
        // A VM whose slot was lost has to ask for one first: L3 waits for it.
        let joining = last == 0 && now < 8 * patience;
        if now - last > patience && !joining {
            return Err(format!("{vm} was not visited in {} visits", now - last));
        }
    }
    Ok(())
}
