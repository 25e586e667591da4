//! What strikes servers, paths and VMs while the faults last.

use std::time::Duration;

use s_core_model::VmId;
use s_core_proto::{Input, Outcome};

use super::agenda::Event;
use super::phases::Phase;
use super::setting;
use super::tally::Harm;
use super::truth::{Stage, Vm};
use super::world::World;

/// A fault that is drawn now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Crash,
    CrashHolder,
    Leave,
    Pause,
    Partition,
    Clog,
    Birth,
    Death,
    Traffic,
}

impl Fault {
    pub(super) const ALL: [Self; 9] = [
        Self::Crash,
        Self::CrashHolder,
        Self::Leave,
        Self::Pause,
        Self::Partition,
        Self::Clog,
        Self::Birth,
        Self::Death,
        Self::Traffic,
    ];
}

impl World {
    /// The next fault, and when the one after it comes.
    pub(super) fn fault(&mut self) {
        if self.phase != Phase::Safety {
            return;
        }
        let wait = self.draw.up_to(self.knobs.trouble.every * 2);
        self.put_in(wait, Event::Fault);
        match self.draw_fault() {
            None => {}
            Some(Fault::Crash) => {
                let host = self.draw.below(self.hosts.len());
                self.strike(host);
            }
            Some(Fault::CrashHolder) => {
                if let Some(host) = self.hosts.iter().position(super::host::Host::holds) {
                    self.strike(host);
                }
            }
            Some(Fault::Leave) => self.stop(),
            Some(Fault::Pause) => self.pause(),
            Some(Fault::Partition) => self.partition(),
            Some(Fault::Clog) => self.clog(),
            Some(Fault::Birth) => self.birth(),
            Some(Fault::Death) => self.death(),
            Some(Fault::Traffic) => self.change_traffic(),
        }
    }

    fn draw_fault(&mut self) -> Option<Fault> {
        let weights = self.knobs.trouble.weights();
        let mut place = self.draw.below(weights.iter().sum::<u32>() as usize) as u32;
        for (fault, weight) in Fault::ALL.into_iter().zip(weights) {
            if place < weight {
                return Some(fault);
            }
            place -= weight;
        }
        None
    }

    fn strike(&mut self, host: usize) {
        if self.hosts[host].running.is_some() {
            self.crash(host, "");
        }
    }

    /// An agent that is told to stop gives the token away if it can, and is gone a little later.
    fn stop(&mut self) {
        let host = self.draw.below(self.hosts.len());
        if self.hosts[host].running.is_none() || self.hosts[host].paused_until > self.now {
            return;
        }
        self.tally.add(Harm::Stop);
        self.line(host, || "is told to stop".into());
        let process = self.hosts[host].process;
        self.notes.leaving[host] = self.hosts[host].holds().then_some(process);
        self.handle(host, Input::Leave);
        let wait = self.draw.milliseconds(500, 4_000);
        self.faults_end = self.faults_end.max(self.now + wait);
        self.put_in(wait, Event::Stop { host, process });
    }

    pub(super) fn stopped(&mut self, host: usize, process: u64) {
        if self.is_process(host, process) {
            self.crash(host, "as it was told");
        }
    }

    fn pause(&mut self) {
        let host = self.draw.below(self.hosts.len());
        if self.hosts[host].running.is_none() {
            return;
        }
        let span = self.draw.milliseconds(10, 4_000);
        self.tally.add(Harm::Pause);
        self.line(host, || format!("stands still for {span:?}"));
        self.hosts[host].paused_until = self.now + span;
        self.faults_end = self.faults_end.max(self.now + span);
    }

    fn partition(&mut self) {
        let number = self.net.partition(&mut self.draw);
        self.tally.add(Harm::Partition);
        self.trace
            .line(self.now, "network", || format!("partition {number} begins"));
        let wait = self.draw.milliseconds(100, 6_000);
        self.put_in(wait, Event::Heal { number });
    }

    pub(super) fn heal(&mut self, number: u64) {
        if self.net.heal(number) {
            self.note_healed();
            self.trace
                .line(self.now, "network", || format!("partition {number} heals"));
        }
    }

    fn clog(&mut self) {
        let (from, to) = (
            self.draw.below(self.hosts.len()),
            self.draw.below(self.hosts.len()),
        );
        let span = self.draw.milliseconds(50, 3_000);
        self.tally.add(Harm::Clogged);
        self.net.clog(from, to, self.now + span);
    }

    /// A VM is started where there is room for it beside all that has been promised.
    fn birth(&mut self) {
        let host = self.draw.below(self.hosts.len());
        let memory_mib = [256, 512, 1024][self.draw.below(3)];
        let stands_still = self.hosts[host].paused_until > self.now;
        if self.born == self.knobs.births || stands_still || !self.has_room(host, memory_mib) {
            return;
        }
        let vm = setting::vm_id(self.knobs.vms + self.born);
        self.born += 1;
        self.tally.add(Harm::Birth);
        let others: Vec<VmId> = self.truth.vms.keys().copied().collect();
        for _ in 0..2 {
            setting::add_pair(&mut self.draw, &mut self.truth.pairs, &others, Some(vm));
        }
        let home = host;
        self.truth.vms.insert(vm, Vm { home, memory_mib });
        self.truth.version += 1;
        self.line(host, || format!("{vm} is born"));
        let process = self.hosts[host].process;
        self.list(host, process, false);
    }

    fn has_room(&self, host: usize, memory_mib: u32) -> bool {
        let mut free = self.truth.free(host);
        let promised = self.hosts[host].node().into_iter();
        for (_, memory) in promised.flat_map(|node| node.reservations()) {
            free.vm_slots = free.vm_slots.saturating_sub(1);
            free.memory_mib = free.memory_mib.saturating_sub(u64::from(memory));
        }
        free.admits(memory_mib)
    }

    fn death(&mut self) {
        let vms: Vec<VmId> = self.truth.vms.keys().copied().collect();
        let Some(vm) = self.draw.pick(&vms).filter(|_| vms.len() > 2) else {
            return;
        };
        self.tally.add(Harm::Death);
        let home = self.truth.vms.remove(&vm).map_or(0, |vm| vm.home);
        self.truth.pairs.retain(|(a, b), _| *a != vm && *b != vm);
        self.truth.version += 1;
        self.line(home, || format!("{vm} dies"));
        let migrating = self.truth.under_way().find(|(_, m)| m.vm == vm);
        if let Some((number, migration)) = migrating.map(|(number, m)| (number, *m)) {
            self.truth.migrations[number].stage = Stage::Over;
            if migration.stage == Stage::Arriving {
                self.end_arrival(&migration);
            }
            self.answer_in(number, Outcome::Unknown, Duration::from_millis(1));
        }
    }

    fn change_traffic(&mut self) {
        self.tally.add(Harm::Traffic);
        let vms: Vec<VmId> = self.truth.vms.keys().copied().collect();
        let place = self.draw.below(self.truth.pairs.len());
        let ends = self.truth.pairs.keys().nth(place).copied();
        if let Some(ends) = ends {
            self.truth.pairs.remove(&ends);
        }
        setting::add_pair(&mut self.draw, &mut self.truth.pairs, &vms, None);
        self.truth.version += 1;
    }
}
