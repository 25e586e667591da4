//! The world and its loop: one event after the other, all invariants after each.

use std::sync::Arc;
use std::time::Duration;

use s_core_model::CostModel;
use s_core_proto::{Action, Config, Durable, Input, TimerKind};
use s_core_topology::LocationTable;

use super::agenda::{Agenda, Event};
use super::clock::{Clock, RATE, Time};
use super::describe;
use super::door::Door;
use super::draw::Draw;
use super::host::{Host, codec};
use super::invariants::{Invariant, Seen};
use super::knobs::{Knobs, Weather};
use super::network::Network;
use super::notes::Notes;
use super::phases::{Phase, Settling};
use super::sometimes::{Marks, Sometimes};
use super::tally::{Harm, Tally};
use super::trace::Trace;
use super::truth::Truth;
use super::{Options, Violation, setting};

/// No run takes that many events; one that does never ends.
const MAX_EVENTS: u64 = 5_000_000;

/// Everything there is.
pub(super) struct World {
    pub(super) knobs: Knobs,
    #[cfg(feature = "mutations")]
    defect: Option<super::Defect>,
    pub(super) weather: Weather,
    pub(super) now: Time,
    pub(super) draw: Draw,
    pub(super) model: CostModel<LocationTable>,
    pub(super) hosts: Vec<Host>,
    pub(super) truth: Truth,
    pub(super) net: Network,
    agenda: Agenda,
    pub(super) phase: Phase,
    pub(super) settling: Settling,
    /// When the last consequence of a fault is over.
    pub(super) faults_end: Time,
    pub(super) born: usize,
    pub(super) trace: Trace,
    pub(super) tally: Tally,
    pub(super) marks: Marks,
    pub(super) notes: Notes,
    invariants: Vec<Box<dyn Invariant>>,
    pub(super) violation: Option<Violation>,
    pub(super) events: u64,
    pub(super) hops: u64,
    pub(super) migrations: u64,
}

impl World {
    pub(super) fn new(seed: u64, options: &Options) -> Self {
        let mut draw = Draw::new(seed);
        let knobs = Knobs::draw(&mut draw, options.size);
        let model = setting::model(&mut draw, &knobs);
        let truth = setting::truth(&mut draw, &knobs);
        let policy: Arc<_> = knobs.policy.build().into();
        let hosts = (0..knobs.servers).map(|index| {
            let id = setting::server_id(index);
            let mut config = Config::new(id, model.clone(), Arc::clone(&policy));
            config.migration_cost = knobs.migration_cost;
            config.target_choice = knobs.choice;
            config.timing = knobs.timing;
            config.bounds.attempts = knobs.attempts;
            config.bounds.quiet_rounds = knobs.quiet_rounds;
            config.vm_addresses = vec![setting::vm_addresses(&knobs)];
            #[cfg(feature = "mutations")]
            if let Some(defect) = options.defect {
                defect.put_into(&mut config);
            }
            Host::new(Arc::new(config), Durable::from(knobs.start))
        });
        let mut world = Self {
            hosts: hosts.collect(),
            #[cfg(feature = "mutations")]
            defect: options.defect,
            weather: knobs.weather,
            now: Time::ZERO,
            net: Network::new(knobs.servers),
            agenda: Agenda::default(),
            phase: Phase::Safety,
            settling: Settling::default(),
            faults_end: Time::ZERO,
            born: 0,
            trace: Trace::new(options.trace),
            tally: Tally::default(),
            marks: Marks::default(),
            notes: Notes::new(knobs.servers),
            invariants: super::invariants::all(),
            violation: None,
            events: 0,
            hops: 0,
            migrations: 0,
            draw,
            model,
            truth,
            knobs,
        };
        world.begin();
        world
    }

    /// Until the run is over or an invariant broken.
    pub(super) fn run(&mut self) {
        while self.phase != Phase::Over && self.violation.is_none() {
            let Some((at, event)) = self.agenda.next() else {
                return self.broken("L1", "nothing is going to happen any more".into());
            };
            self.now = self.now.max(at);
            self.events += 1;
            self.happen(event);
            if self.events > MAX_EVENTS {
                self.broken("L3", format!("{MAX_EVENTS} events and no end"));
            }
        }
    }

    pub(super) fn put(&mut self, at: Time, event: Event) {
        if self.phase == Phase::Safety && matches!(event, Event::Frame { .. }) {
            self.faults_end = self.faults_end.max(at);
        }
        self.agenda.put(at, event);
    }

    pub(super) fn put_in(&mut self, wait: Duration, event: Event) {
        self.put(self.now + wait, event);
    }

    fn happen(&mut self, event: Event) {
        if let Some(until) = self.postponed(&event) {
            return self.agenda.put(until, event);
        }
        self.trace.mix(self.now.as_nanos() as u64);
        match event {
            Event::Frame {
                from,
                to,
                frame,
                sent,
                damaged,
            } => self.frame(from, to, &frame, &sent, damaged),
            Event::Timer { host, number } => self.timer(host, number),
            Event::List {
                host,
                process,
                again,
            } => self.list(host, process, again),
            Event::Rates { host, process, vm } => self.rates(host, process, vm),
            Event::Arrive { migration } => self.arrive(migration),
            Event::End { migration } => self.end(migration),
            Event::Deadline { migration } => self.deadline(migration),
            Event::Tell { migration, outcome } => self.tell(migration, outcome),
            Event::TellLate { migration } => self.tell_late(migration),
            Event::Arrived { host, process, vm } => self.arrived(host, process, vm),
            Event::Stop { host, process } => self.stopped(host, process),
            Event::Restart { host } => self.restart(host),
            Event::Fault => self.fault(),
            Event::Heal { number } => self.heal(number),
            Event::Phase => self.next_phase(),
        }
        self.observe(&Seen::Event);
    }

    /// A process that stands still does nothing until it is let go on; what comes for it waits, in order.
    fn postponed(&self, event: &Event) -> Option<Time> {
        let host = match event {
            Event::Frame { to: host, .. }
            | Event::Timer { host, .. }
            | Event::List { host, .. }
            | Event::Rates { host, .. }
            | Event::Arrived { host, .. } => *host,
            Event::Arrive { migration } => self.truth.migrations[*migration].target,
            Event::Deadline { migration }
            | Event::Tell { migration, .. }
            | Event::TellLate { migration } => self.truth.migrations[*migration].source,
            Event::End { .. }
            | Event::Stop { .. }
            | Event::Restart { .. }
            | Event::Fault
            | Event::Heal { .. }
            | Event::Phase => return None,
        };
        let host = &self.hosts[host];
        let waits = host.running.is_some() && host.paused_until > self.now;
        waits.then_some(host.paused_until)
    }

    pub(super) fn is_process(&self, host: usize, process: u64) -> bool {
        let host = &self.hosts[host];
        host.process == process && host.running.is_some()
    }

    /// Tells a node what happened and does what it asks for; a crash may come between any two actions.
    pub(super) fn handle(&mut self, host: usize, input: Input) {
        let Some(running) = &self.hosts[host].running else {
            return;
        };
        let now = running.clock.local(self.now);
        self.trace_input(host, &input);
        self.observe(&Seen::Input {
            host,
            input: &input,
        });
        if let Input::Measured { vm, .. } = &input
            && self.is_measuring(host, *vm)
        {
            self.notes.measuring[host] = None;
        }
        let ticks = matches!(input, Input::Tick);
        if let Some(running) = &mut self.hosts[host].running {
            let before = running.node.reservation_count();
            running.node.handle(now, input);
            if ticks && running.node.reservation_count() < before {
                self.marks.hit(Sometimes::ReservationExpired);
            }
        }
        let mut persisted = false;
        while let Some(action) = self.next_action(host) {
            if self.draw.chance(self.weather.crash_between) {
                self.tally.add(Harm::CrashBetween);
                if persisted {
                    self.marks.hit(Sometimes::CrashedBeforeActing);
                }
                return self.crash(host, &format!("before {}", describe::action(&action)));
            }
            persisted |= matches!(action, Action::Persist(_));
            self.act(host, action);
            if self.violation.is_some() {
                return;
            }
        }
        self.set_timer(host);
        self.observe(&Seen::Handled { host });
    }

    fn next_action(&mut self, host: usize) -> Option<Action> {
        self.hosts[host].running.as_mut()?.node.poll()
    }

    fn act(&mut self, host: usize, action: Action) {
        if let Action::Persist(durable) = &action {
            self.hosts[host].durable.clone_from(durable);
        }
        self.trace_action(host, &action);
        self.observe(&Seen::Action {
            host,
            action: &action,
        });
        let process = self.hosts[host].process;
        match action {
            Action::Persist(_) => {}
            Action::Send { to, message } => self.send(host, to, &message),
            Action::Measure(vm) => self.measure(host, vm),
            Action::ListHosted => {
                let wait = Duration::from_micros(self.draw.between(100, 2_000));
                let again = false;
                self.put_in(
                    wait,
                    Event::List {
                        host,
                        process,
                        again,
                    },
                );
            }
            Action::Migrate {
                vm,
                target,
                deadline,
            } => self.migrate(host, vm, target, deadline),
            Action::Admit(vm) => self.admit(host, vm),
            Action::Refuse(_) => self.marks.hit(Sometimes::ArrivalRefused),
            Action::Report(report) => self.note_report(host, &report),
        }
    }

    fn timer(&mut self, host: usize, number: u64) {
        let due = |running: &super::host::Running| running.timer_number == number;
        if self.hosts[host].running.as_ref().is_some_and(due) {
            if let Some(running) = &mut self.hosts[host].running {
                running.timer = None;
            }
            self.handle(host, Input::Tick);
        }
    }

    /// One timer counts: the one that the node gave last.
    fn set_timer(&mut self, host: usize) {
        let late = if self.draw.chance(self.weather.late_timers) {
            self.tally.add(Harm::LateTimer);
            self.draw.up_to(Duration::from_millis(300))
        } else {
            Duration::ZERO
        };
        let Some(running) = &mut self.hosts[host].running else {
            return;
        };
        let next: Option<(_, TimerKind)> = running.node.poll_timeout();
        let next = next.map(|(at, _)| at);
        if next == running.timer {
            return;
        }
        running.timer = next;
        running.timer_number += 1;
        let number = running.timer_number;
        if let Some(at) = next {
            let at = running.clock.world(at).max(self.now) + late;
            self.put(at, Event::Timer { host, number });
        }
    }

    /// Starts a server's agent with a clock of its own.
    pub(super) fn restart(&mut self, host: usize) {
        if self.hosts[host].running.is_some() {
            return;
        }
        let clock = Clock {
            since: self.now,
            showed: self.draw.up_to(Duration::from_secs(1 << 30)),
            permille: self.draw.between(*RATE.start(), *RATE.end()) as u32,
        };
        let door = self.door(host);
        self.hosts[host].start(clock, door);
        self.hosts[host].paused_until = self.now;
        let durable = self.hosts[host].durable.clone();
        self.line(host, || describe::started(&durable));
        self.note_start(&durable);
        self.observe(&Seen::Started { host });
        self.tell_what_arrives(host);
        let process = self.hosts[host].process;
        self.list(host, process, true);
    }

    fn door(&self, host: usize) -> Door {
        let codec = codec(self.hosts[host].id);
        let servers = self.model.levels().clone();
        let door = Door::new(codec, servers, self.knobs.replay_window);
        #[cfg(feature = "mutations")]
        let door = door.with_defect(self.defect);
        door
    }

    /// The process ends at once, with all that it had not made durable.
    pub(super) fn crash(&mut self, host: usize, when: &str) {
        self.note_crash(host);
        self.tally.add(Harm::Crash);
        self.line(host, || format!("CRASHES {when}"));
        self.hosts[host].running = None;
        self.end_what_has_not_begun(host);
        self.observe(&Seen::Stopped { host });
        if matches!(self.phase, Phase::Safety | Phase::Calm) {
            let wait = self.draw.milliseconds(1, 3_000);
            self.faults_end = self.faults_end.max(self.now + wait);
            self.put_in(wait, Event::Restart { host });
        }
    }

    pub(super) fn observe(&mut self, seen: &Seen<'_>) {
        if self.violation.is_some() {
            return;
        }
        let mut invariants = std::mem::take(&mut self.invariants);
        for invariant in &mut invariants {
            if let Err(what) = invariant.check(self, seen) {
                self.broken(invariant.name(), what);
                break;
            }
        }
        self.invariants = invariants;
    }

    pub(super) fn broken(&mut self, invariant: &'static str, what: String) {
        let (now, events) = (self.now, self.events);
        self.trace
            .line(now, "VIOLATION", || format!("{invariant}: {what}"));
        self.violation.get_or_insert(Violation {
            invariant,
            what,
            at: now,
            events,
        });
    }

    pub(super) fn line(&mut self, host: usize, what: impl FnOnce() -> String) {
        if self.trace.is_on() {
            let place = self.hosts[host].id.to_string();
            self.trace.line(self.now, &place, what);
        }
    }
}
