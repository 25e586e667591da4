//! First faults and safety, then none and liveness, then one more loss that has to be made good in time.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use s_core_model::VmId;
use s_core_proto::{Destination, Input, Message};
use s_core_token::{Limits, Token};

use super::agenda::Event;
use super::bound::{Obstacles, RecoveryBound, recovery_bound};
use super::clock::{RATE, Time};
use super::invariants::Seen;
use super::knobs::Weather;
use super::sometimes::Sometimes;
use super::world::World;

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Faults: nothing bad may happen.
    Safety,
    /// No faults any more: something good has to happen.
    Calm,
    /// The holder, and perhaps its predecessor, have crashed for good.
    Lost,
    Over,
}

/// How a calm run settles.
#[derive(Clone, Debug, Default)]
pub(super) struct Settling {
    /// Visits since the faults' end.
    pub(super) hops: u64,
    /// The number of each VM's last visit since then.
    pub(super) visited: BTreeMap<VmId, u64>,
    /// Quiet rounds in a row with nothing pending anywhere.
    clear_rounds: u32,
    /// Since when there has been one token.
    one_token_since: Option<Time>,
    /// The loss, and when it has to be made good.
    pub(super) lost: Option<(Time, Duration)>,
}

/// So many quiet rounds, with nothing pending, prove that nothing moves any more.
const CLEAR_ROUNDS: u32 = 3;

impl World {
    /// The servers start one after the other; a token is made, or is on its way, or is to be made after a claim.
    pub(super) fn begin(&mut self) {
        for host in 0..self.hosts.len() {
            let wait = self.draw.milliseconds(0, 5);
            self.put_in(wait, Event::Restart { host });
        }
        self.put_in(Duration::from_millis(10), Event::Phase);
    }

    pub(super) fn next_phase(&mut self) {
        match self.phase {
            Phase::Safety if self.now < Duration::from_millis(20) => {
                self.first_token();
                self.put_in(self.knobs.trouble.every, Event::Fault);
                self.put_in(self.knobs.safety, Event::Phase);
            }
            Phase::Safety => self.calm_down(),
            Phase::Calm => self.lose_the_token(),
            Phase::Lost | Phase::Over => self.phase = Phase::Over,
        }
    }

    fn first_token(&mut self) {
        if self.knobs.start.seq > 0 {
            return self.old_token();
        }
        if self.draw.chance(700) {
            let host = self.draw.below(self.hosts.len());
            let vms = self.truth.vms.keys().copied().collect();
            self.handle(host, Input::Mint { vms });
        }
    }

    /// A token that has gone round for ever comes from a server that has forgotten it.
    fn old_token(&mut self) {
        let Some(mark) = self.knobs.start.next() else {
            return;
        };
        let vms: Vec<VmId> = self.truth.vms.keys().copied().collect();
        let policy = &*self.hosts[0].config.policy;
        let Ok(token) = Token::new(&vms, policy, mark, Limits::default()) else {
            return;
        };
        let home = self.truth.vms[&token.holder_id()].home;
        let from = (home + 1) % self.hosts.len();
        let message = Message::Token(Bytes::from(token.encode()));
        self.send(from, Destination::Server(self.hosts[home].id), &message);
    }

    fn calm_down(&mut self) {
        self.phase = Phase::Calm;
        self.weather = Weather::default();
        self.faults_end = self.faults_end.max(self.now);
        self.note_calm();
        for host in 0..self.hosts.len() {
            self.faults_end = self.faults_end.max(self.hosts[host].paused_until);
            // Whoever has been told to stop does so, and comes back.
            self.put_in(Duration::from_millis(1), Event::Restart { host });
        }
    }

    fn note_calm(&mut self) {
        if self.net.heal_all() {
            self.phase = Phase::Safety;
            self.note_healed();
            self.phase = Phase::Calm;
        }
        self.trace
            .line(self.now, "world", || "no more faults".into());
    }

    pub(super) fn is_calm(&self) -> bool {
        self.phase == Phase::Calm && self.now > self.faults_end
    }

    pub(super) fn visited(&mut self, vm: VmId) {
        if self.is_calm() {
            self.settling.hops += 1;
            self.settling.visited.insert(vm, self.settling.hops);
            let one = self.epochs_held() == 1;
            let since = self.settling.one_token_since.unwrap_or(self.now);
            self.settling.one_token_since = one.then_some(since);
        }
        if self.phase == Phase::Lost {
            self.phase = Phase::Over;
        }
    }

    pub(super) fn round_ended(&mut self, quiet_rounds: u16) {
        if !self.is_calm() || self.settling.clear_rounds >= CLEAR_ROUNDS {
            return;
        }
        let clear = quiet_rounds > 0 && self.pending().is_none();
        self.settling.clear_rounds = if clear {
            self.settling.clear_rounds + 1
        } else {
            0
        };
        if self.settling.clear_rounds == CLEAR_ROUNDS {
            self.marks.hit(Sometimes::Settled);
            self.trace.line(self.now, "world", || "settled".into());
            self.observe(&Seen::Settled);
            let wait = self.draw.milliseconds(1, 500);
            self.put_in(wait, Event::Phase);
        }
    }

    /// What is still to come that may let a VM move, or that has not had its turn.
    pub(super) fn pending(&self) -> Option<String> {
        for host in &self.hosts {
            let server = host.id;
            let Some(node) = host.node() else {
                return Some(format!("{server} does not run"));
            };
            if let Some((vm, _)) = node.reservations().next() {
                return Some(format!("{server} keeps room for {vm}"));
            }
            if let Some(open) = host.durable.migrations.first() {
                return Some(format!("{server} does not know where {} is", open.vm));
            }
        }
        if let Some((_, migration)) = self.truth.under_way().next() {
            return Some(format!("{} is on its way", migration.vm));
        }
        if self.now < self.truth.changed_at + self.knobs.list_every * 2 {
            return Some("agents have yet to list their VMs".into());
        }
        if !self.is_undisturbed() {
            return Some("tokens come and go".into());
        }
        let visited = |vm: &&VmId| self.settling.visited.contains_key(vm);
        let waits = self.truth.vms.keys().find(|vm| !visited(vm))?;
        Some(format!("{waits} has not been visited"))
    }

    /// One token is left, and nothing has happened to it for as long as it takes to notice a loss.
    pub(super) fn is_undisturbed(&self) -> bool {
        self.is_calm()
            && self.settling.one_token_since.is_some_and(|since| {
                self.now.saturating_sub(since) > self.bound(Obstacles::default()).second_line
            })
    }

    /// How long a run may take to settle: tokens to be made again, reservations and migrations to end, and then
    /// forty rounds, each with an idle rest and with the VMs visited once at each level.
    pub(super) fn settle_limit(&self) -> Duration {
        let timing = &self.knobs.timing;
        let vms = (self.knobs.vms + self.knobs.births) as u32;
        let obstacles = Obstacles {
            servers: self.hosts.len() as u32,
            unreachable_vms: vms,
            dead_servers: 0,
        };
        let bound = self.bound(obstacles);
        let levels = u32::from(self.knobs.weights.max_level().get());
        let visit = timing.rest + Duration::from_millis(30);
        let round = timing.idle + visit * vms * (levels + 1);
        let pending = timing.reservation + timing.migration * 8 + timing.beacon * 8;
        (bound.first_line + bound.second_line) * 2 + pending * 2 + round * 40
    }

    /// The holder dies and does not come back, and so does, now and then, whoever keeps the copy.
    fn lose_the_token(&mut self) {
        let Some(holder) = self.hosts.iter().position(super::host::Host::holds) else {
            // It is on its way: a moment later, then.
            return self.put_in(Duration::from_millis(1), Event::Phase);
        };
        let custodian = self.custodian(holder);
        let both = self.draw.chance(400);
        let mut dead = vec![holder];
        dead.extend(custodian.filter(|_| both));
        let homes = self.truth.vms.values().map(|vm| vm.home);
        let dead_vms = homes.clone().filter(|home| dead.contains(home)).count();
        self.phase = Phase::Lost;
        if dead_vms == self.truth.vms.len() {
            // Nobody is left whom the token could go to.
            self.phase = Phase::Over;
            return;
        }
        let obstacles = Obstacles {
            servers: self.hosts.len() as u32,
            unreachable_vms: dead_vms as u32,
            dead_servers: dead.len() as u32,
        };
        let bound = self.bound(obstacles);
        let first_line = custodian.is_some() && !both;
        let bound = if first_line {
            bound.first_line
        } else {
            bound.second_line
        };
        self.settling.lost = Some((self.now, bound));
        for host in dead {
            self.crash(host, "for good");
        }
    }

    /// Who keeps a copy of the token that is held there, if anybody does.
    fn custodian(&self, holder: usize) -> Option<usize> {
        let (by, process, to) = self.notes.passed?;
        (to == holder && self.is_process(by, process)).then_some(by)
    }

    /// The bound of L1 on the slowest clock, with frames that take their time.
    pub(super) fn bound(&self, obstacles: Obstacles) -> RecoveryBound {
        let config = &self.hosts[0].config;
        let bound = recovery_bound(&config.timing, &config.bounds, obstacles);
        let slowest = *RATE.start() as u32;
        let frames = Duration::from_millis(20) * (obstacles.unreachable_vms + 3);
        let real = |span: Duration| span * 1000 / slowest + frames;
        RecoveryBound {
            first_line: real(bound.first_line),
            second_line: real(bound.second_line),
        }
    }
}
