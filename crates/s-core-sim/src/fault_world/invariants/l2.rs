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
    /// A server is just skipping a VM, in the same epoch or in a new one; such a round does not count.
    skipping: Option<Skipping>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skipping {
    SameEpoch,
    NewEpoch,
}

impl NobodyStarves {
    fn round_ended(&mut self, world: &World, host: usize, quiet: bool) -> Result<(), String> {
        if self.skipping == Some(Skipping::NewEpoch) {
            return Ok(());
        }
        let epoch = self.epochs.get(&host).copied().unwrap_or_default();
        let rounds = self.rounds.entry(epoch).or_default();
        let this = std::mem::take(&mut rounds.this);
        let last = std::mem::replace(&mut rounds.last, this);
        let alive = |vm: &&VmId| world.truth.vms.contains_key(vm);
        let mut passed_by = last.difference(&rounds.last).filter(alive);
        match passed_by.next() {
            Some(vm) if quiet && self.skipping.is_none() => {
                Err(format!("a round is quiet that {vm} had no turn in"))
            }
            _ => Ok(()),
        }
    }

    /// A VM that nobody hosts loses its slot; all others are skipped in a new epoch.
    fn skipped(&mut self, vm: VmId, why: WhySkipped) {
        if why == WhySkipped::NotFound {
            self.skipping.get_or_insert(Skipping::SameEpoch);
            for rounds in self.rounds.values_mut() {
                rounds.last.remove(&vm);
                rounds.this.remove(&vm);
            }
        } else {
            self.skipping = Some(Skipping::NewEpoch);
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
            self.skipping = None;
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
