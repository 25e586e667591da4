//! The emulated hypervisors: they list VMs, read rates and migrate, and go on when an agent does not.

use std::time::Duration;

use s_core_model::{Levels, Rate, ServerId, VmId};
use s_core_proto::{Input, Outcome};

use super::agenda::Event;
use super::invariants::Seen;
use super::tally::Harm;
use super::truth::{Migration, Stage};
use super::world::World;

/// How a migration is going to go, unless something comes between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Refused,
    FailsEarly,
    FailsLate,
    Hangs,
    AnswerLost,
    Moves,
}

impl World {
    /// What runs on the server at this moment is what the agent hears of it.
    pub(super) fn list(&mut self, host: usize, process: u64, again: bool) {
        if !self.is_process(host, process) {
            return;
        }
        let vms = self.truth.hosted(host).collect();
        let free = self.truth.free(host);
        self.handle(host, Input::Hosted { vms, free });
        if again {
            let wait = self.knobs.list_every;
            self.put_in(
                wait,
                Event::List {
                    host,
                    process,
                    again,
                },
            );
        }
    }

    pub(super) fn measure(&mut self, host: usize, vm: VmId) {
        let process = self.hosts[host].process;
        let wait = Duration::from_micros(self.draw.between(50, 5_000));
        self.put_in(wait, Event::Rates { host, process, vm });
    }

    /// The rates of a VM, or that they are not known, or nothing at all, or what counters that restarted show.
    pub(super) fn rates(&mut self, host: usize, process: u64, vm: VmId) {
        if !self.is_process(host, process) {
            return;
        }
        if self.draw.chance(self.weather.not_measured) {
            self.tally.add(Harm::NotMeasured);
            if self.draw.chance(500) {
                self.handle(host, Input::NotMeasured { vm });
            }
            return;
        }
        let mut peers = self.truth.peers(vm);
        if self.draw.chance(self.weather.wrong_rates) {
            self.tally.add(Harm::WrongRates);
            for (_, rate) in &mut peers {
                let part = self.draw.between(0, 3) as f64;
                *rate = Rate::new(rate.bytes_per_second() * part).expect("far below the highest");
            }
        }
        // An address of no VM, as a client elsewhere has.
        let client = VmId::new(0xc000_0201);
        peers.push((client, Rate::new(5000.0).expect("a rate")));
        self.handle(host, Input::Measured { vm, peers });
    }

    pub(super) fn migrate(&mut self, host: usize, vm: VmId, target: ServerId, deadline: Duration) {
        let index = self.model.levels().index_of(target);
        let target = index.expect("a server of the location table").usize();
        let course = self.course();
        let (takes, moves) = self.takes(course, deadline);
        let memory_mib = self.truth.vms.get(&vm).map_or(0, |vm| vm.memory_mib);
        let migration = Migration {
            vm,
            memory_mib,
            source: host,
            target,
            process: self.hosts[host].process,
            stage: Stage::Begun,
            takes,
            moves,
            answered: course != Course::AnswerLost,
            told: false,
        };
        let number = self.truth.migrations.len();
        let here = self.truth.vms.get(&vm).is_some_and(|vm| vm.home == host);
        self.observe(&Seen::MigrationBegins {
            host,
            migration: &migration,
        });
        self.truth.migrations.push(migration);
        if course == Course::Refused || !here {
            self.truth.migrations[number].stage = Stage::Over;
            let outcome = Outcome::StayedHere;
            return self.answer_in(number, outcome, Duration::from_millis(1));
        }
        let slow = self.draw.chance(self.weather.slow);
        let most = if slow { deadline * 2 } else { deadline / 20 };
        let wait = Duration::from_micros(200) + self.draw.up_to(most);
        self.put_in(wait, Event::Arrive { migration: number });
        let clock = self.hosts[host]
            .running
            .as_ref()
            .map(|running| running.clock);
        if let Some(clock) = clock {
            self.put_in(clock.takes(deadline), Event::Deadline { migration: number });
        }
    }

    fn course(&mut self) -> Course {
        let weather = self.weather;
        let courses = [
            (weather.refused, Course::Refused, Harm::Refused),
            (weather.fails_early, Course::FailsEarly, Harm::FailedEarly),
            (weather.fails_late, Course::FailsLate, Harm::FailedLate),
            (weather.hangs, Course::Hangs, Harm::Hung),
            (weather.answer_lost, Course::AnswerLost, Harm::AnswerLost),
        ];
        for (chance, course, harm) in courses {
            if self.draw.chance(chance) {
                self.tally.add(harm);
                return course;
            }
        }
        Course::Moves
    }

    fn takes(&mut self, course: Course, deadline: Duration) -> (Duration, bool) {
        match course {
            Course::Refused | Course::FailsEarly => (self.draw.up_to(deadline / 50), false),
            Course::FailsLate => (deadline / 2 + self.draw.up_to(deadline / 4), false),
            Course::Hangs => {
                let moves = self.draw.chance(600);
                (deadline + self.draw.up_to(deadline * 3), moves)
            }
            Course::AnswerLost | Course::Moves => (self.draw.up_to(deadline / 10), true),
        }
    }

    /// Rule R3: the target's agent decides whether the VM comes in.
    pub(super) fn arrive(&mut self, number: usize) {
        let migration = self.truth.migrations[number];
        if migration.stage == Stage::Over {
            return;
        }
        let cut = self.net.is_cut(migration.source, migration.target);
        if !cut && self.hosts[migration.target].running.is_some() {
            let vm = migration.vm;
            self.handle(migration.target, Input::Arriving { vm });
        }
        if self.truth.migrations[number].stage == Stage::Arriving {
            self.put_in(migration.takes, Event::End { migration: number });
        } else {
            self.truth.migrations[number].stage = Stage::Over;
            self.answer_in(number, Outcome::StayedHere, Duration::from_millis(1));
        }
    }

    pub(super) fn admit(&mut self, host: usize, vm: VmId) {
        let begun = |m: &&mut Migration| m.stage == Stage::Begun && (m.vm, m.target) == (vm, host);
        if let Some(migration) = self.truth.migrations.iter_mut().rev().find(begun) {
            migration.stage = Stage::Arriving;
        }
    }

    /// The VM runs on the target, or on the source as before.
    pub(super) fn end(&mut self, number: usize) {
        let mut migration = self.truth.migrations[number];
        if migration.stage == Stage::Over {
            return;
        }
        let cut = self.net.is_cut(migration.source, migration.target);
        migration.moves &= !cut;
        migration.stage = Stage::Over;
        self.truth.migrations[number] = migration;
        self.truth.changed_at = self.now;
        self.note_end(&migration);
        self.trace
            .mix(number as u64 * 2 + u64::from(migration.moves));
        if migration.moves {
            self.move_vm(number);
        }
        self.end_arrival(&migration);
        let outcome = match (migration.answered, migration.moves) {
            (false, _) => Outcome::Unknown,
            (true, true) => Outcome::Moved,
            (true, false) => Outcome::StayedHere,
        };
        let wait = Duration::from_micros(self.draw.between(100, 5_000));
        self.answer_in(number, outcome, wait);
    }

    fn move_vm(&mut self, number: usize) {
        let migration = self.truth.migrations[number];
        let before = self.truth.cost(&self.model);
        if let Some(vm) = self.truth.vms.get_mut(&migration.vm) {
            vm.home = migration.target;
        }
        self.truth.version += 1;
        self.migrations += 1;
        let (vm, source) = (migration.vm, self.hosts[migration.source].id);
        self.line(migration.target, || {
            format!("now runs {vm}, which was at {source}")
        });
        self.observe(&Seen::Moved {
            migration: &migration,
            cost_before: before,
        });
    }

    pub(super) fn end_arrival(&mut self, migration: &Migration) {
        let (vm, host) = (migration.vm, migration.target);
        let process = self.hosts[host].process;
        let wait = Duration::from_micros(self.draw.between(50, 2_000));
        self.put_in(wait, Event::Arrived { host, process, vm });
    }

    /// An arrival has ended: either the VM runs here and is listed, or the node is told that it does not.
    pub(super) fn arrived(&mut self, host: usize, process: u64, vm: VmId) {
        if self.truth.vms.get(&vm).is_some_and(|vm| vm.home == host) {
            self.list(host, process, false);
        } else if self.is_process(host, process) {
            self.handle(host, Input::ArrivalFailed { vm });
        }
    }

    pub(super) fn answer_in(&mut self, migration: usize, outcome: Outcome, wait: Duration) {
        self.put_in(wait, Event::Tell { migration, outcome });
    }

    /// The tools that an agent has started end with it, unless the hypervisors are at work already.
    pub(super) fn end_what_has_not_begun(&mut self, host: usize) {
        for migration in &mut self.truth.migrations {
            if migration.source == host && migration.stage == Stage::Begun {
                migration.stage = Stage::Over;
            }
        }
    }

    /// VMs that an earlier process let in and that are still on their way.
    pub(super) fn tell_what_arrives(&mut self, host: usize) {
        let arriving: Vec<_> = self.truth.arriving(host).collect();
        for (vm, memory_mib) in arriving {
            self.handle(host, Input::StillArriving { vm, memory_mib });
        }
    }

    /// The VM of the migration that the server's agent waits for.
    pub(super) fn awaited(&self, host: usize) -> Option<VmId> {
        let process = self.hosts[host].process;
        let waits = |m: &&Migration| (m.source, m.process) == (host, process);
        let last = self.truth.migrations.iter().rev().find(waits)?;
        (!last.told).then_some(last.vm)
    }

    /// The agent waits no longer; the migration goes on.
    pub(super) fn deadline(&mut self, number: usize) {
        let migration = &mut self.truth.migrations[number];
        if migration.told {
            return;
        }
        if migration.stage == Stage::Begun {
            // The driver ends what has not reached the target.
            migration.stage = Stage::Over;
        }
        self.tell(number, Outcome::Unknown);
        // The tool that it gave up on says that it has failed, whatever the hypervisors do.
        if self.draw.chance(self.weather.late_answers) {
            let wait = self.draw.milliseconds(1, 500);
            self.put_in(wait, Event::TellLate { migration: number });
        }
    }

    pub(super) fn tell(&mut self, number: usize, outcome: Outcome) {
        let migration = self.truth.migrations[number];
        if migration.told || !self.is_process(migration.source, migration.process) {
            return;
        }
        let vm = migration.vm;
        self.handle(migration.source, Input::MigrationEnded { vm, outcome });
        self.truth.migrations[number].told = true;
    }

    /// A second answer, unless another migration of the VM has begun: a driver does not mix them up.
    pub(super) fn tell_late(&mut self, number: usize) {
        let Migration {
            vm,
            source,
            process,
            ..
        } = self.truth.migrations[number];
        let later = &self.truth.migrations[number + 1..];
        if self.is_process(source, process) && later.iter().all(|m| m.vm != vm) {
            self.tally.add(Harm::LateAnswer);
            let outcome = Outcome::StayedHere;
            self.handle(source, Input::MigrationEnded { vm, outcome });
        }
    }
}
