//! The simulation again, as plainly as can be: lists, loops and f64, and nothing of the engine but names.
//!
//! Every VM is evaluated whenever it holds the token, and every server with a peer of it. Sums have a fixed order:
//! rates to one server by rising VM, what they cost by rising server. The tests compare every decision with
//! it, and the bench its time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use s_core_model::{Allocation, MigrationCost, TrafficMatrix};
use s_core_proto::TargetChoice;
use s_core_sim::{Rules, WhyStayed};
use s_core_token::PolicyKind;

/// A difference of two costs below this part of them is rounding.
const ROUNDING: f64 = 1e-12;

/// A data centre, as plain numbers.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    /// From the core down to the racks.
    pub(crate) fan_outs: Vec<u32>,
    pub(crate) servers_per_rack: usize,
    pub(crate) weights: Vec<f64>,
    /// VM slots and MiB left per server.
    pub(crate) free: Vec<(u32, u64)>,
    /// Server and MiB per VM.
    pub(crate) vms: Vec<(usize, u32)>,
    /// Per VM its peers, ascending, and the rates to them.
    pub(crate) peers: Vec<Vec<(usize, f64)>>,
}

impl Plain {
    /// The same data centre as the engine has it, whose tree is this.
    pub(crate) fn of(
        allocation: &Allocation,
        traffic: &TrafficMatrix,
        fan_outs: &[u32],
        servers_per_rack: usize,
        weights: &[f64],
    ) -> Self {
        let free = |server| {
            (
                allocation.free(server).vm_slots,
                allocation.free(server).memory_mib,
            )
        };
        let place = |vm| (allocation.host(vm).usize(), allocation.memory_mib(vm));
        let row = |vm| {
            let peers = traffic.peers(vm);
            peers
                .map(|(peer, rate)| (peer.usize(), rate.bytes_per_second()))
                .collect()
        };
        Self {
            fan_outs: fan_outs.to_vec(),
            servers_per_rack,
            weights: weights.to_vec(),
            free: allocation.servers().map(free).collect(),
            vms: allocation.vms().map(place).collect(),
            peers: allocation.vms().map(row).collect(),
        }
    }

    pub(crate) fn level(&self, a: usize, b: usize) -> usize {
        let (mut a, mut b, mut level) = (a / self.servers_per_rack, b / self.servers_per_rack, 0);
        for fan_out in self.fan_outs.iter().rev() {
            if a == b {
                break;
            }
            (a, b) = (a / *fan_out as usize, b / *fan_out as usize);
            level += 1;
        }
        level
    }

    fn path_cost(&self, a: usize, b: usize) -> f64 {
        self.weights[..self.level(a, b)].iter().sum()
    }

    /// C(u) if u were at `server`.
    pub(crate) fn vm_cost(&self, u: usize, server: usize) -> f64 {
        let mut loads = BTreeMap::new();
        for (v, rate) in &self.peers[u] {
            *loads.entry(self.vms[*v].0).or_insert(0.0) += rate;
        }
        let cost = |(there, rate): (&usize, &f64)| rate * self.path_cost(server, *there);
        loads.iter().map(cost).sum()
    }

    pub(crate) fn total_cost(&self) -> f64 {
        (0..self.vms.len())
            .map(|u| self.vm_cost(u, self.vms[u].0))
            .sum()
    }

    fn gain(&self, u: usize, server: usize) -> f64 {
        let (before, after) = (self.vm_cost(u, self.vms[u].0), self.vm_cost(u, server));
        let difference = before - after;
        if difference.abs() <= ROUNDING * before.max(after) {
            0.0
        } else {
            2.0 * difference
        }
    }

    fn has_room(&self, server: usize, memory: u32) -> bool {
        let (vm_slots, memory_left) = self.free[server];
        vm_slots >= 1 && memory_left >= u64::from(memory)
    }

    /// Each server with a peer of u, other than u's own: the highest cost of a peer there, and the gain.
    fn candidates(&self, u: usize) -> Vec<(usize, f64, f64)> {
        let here = self.vms[u].0;
        let mut dearest = BTreeMap::new();
        for (v, rate) in &self.peers[u] {
            let there = self.vms[*v].0;
            let cost = rate * self.path_cost(here, there);
            let highest = dearest.entry(there).or_insert(cost);
            *highest = cost.max(*highest);
        }
        dearest.remove(&here);
        let candidate = |(server, cost)| (server, cost, self.gain(u, server));
        dearest.into_iter().map(candidate).collect()
    }

    /// Where u goes with which gain, or why it stays.
    pub(crate) fn decide(&self, u: usize, rules: Rules) -> Result<(usize, f64), WhyStayed> {
        let threshold = match rules.migration_cost {
            MigrationCost::Absolute(cost) => cost,
            MigrationCost::RelativeToVm(part) => part * 2.0 * self.vm_cost(u, self.vms[u].0),
        };
        let mut candidates = self.candidates(u);
        candidates.retain(|(_, _, gain)| *gain > threshold && *gain >= rules.min_gain);
        if candidates.is_empty() {
            return Err(WhyStayed::NoGain);
        }
        candidates.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        if rules.target_choice == TargetChoice::BestFit {
            candidates.sort_by(|a, b| b.2.total_cmp(&a.2));
        }
        let with_room = candidates
            .iter()
            .find(|c| self.has_room(c.0, self.vms[u].1));
        with_room.map(|c| (c.0, c.2)).ok_or(WhyStayed::NoRoom)
    }

    fn migrate(&mut self, u: usize, server: usize) {
        let (source, memory) = self.vms[u];
        self.free[source].0 += 1;
        self.free[source].1 += u64::from(memory);
        self.free[server].0 -= 1;
        self.free[server].1 -= u64::from(memory);
        self.vms[u].0 = server;
    }

    fn load(&self, u: usize) -> f32 {
        let sum = self.peers[u].iter().fold(0.0, |sum, (_, rate)| sum + rate);
        sum as f32
    }

    fn greatest_pair_reduction(&self, u: usize) -> f32 {
        let reduction =
            |(v, rate): &(usize, f64)| 2.0 * (rate * self.path_cost(self.vms[u].0, self.vms[*v].0));
        self.peers[u].iter().map(reduction).fold(0.0, f64::max) as f32
    }
}

/// A VM's place in the order of a level-driven policy.
type Place = (Reverse<usize>, Reverse<u32>, usize);

/// The token of thesis 4.1 as lists, and the VMs in the policy's order.
struct PlainToken {
    kind: PolicyKind,
    levels: Vec<usize>,
    loads: Vec<f32>,
    /// Of the policies that go by slots: the VMs, and where each is among them.
    order: Vec<usize>,
    positions: Vec<usize>,
    /// Of the policies that go by levels.
    places: BTreeSet<Place>,
    holder: usize,
    /// The holder's place when it got the token.
    visited: Place,
}

impl PlainToken {
    fn new(kind: PolicyKind, plain: &Plain) -> Self {
        let count = plain.vms.len();
        let mut token = Self {
            kind,
            levels: vec![0; count],
            loads: vec![0.0; count],
            order: (0..count).collect(),
            positions: (0..count).collect(),
            places: BTreeSet::new(),
            holder: 0,
            visited: (Reverse(0), Reverse(0), 0),
        };
        token.places = (0..count).map(|u| token.place(u)).collect();
        token.begin_round(plain);
        token
    }

    fn place(&self, u: usize) -> Place {
        let load = match self.kind {
            PolicyKind::LoadAware => self.loads[u].to_bits(),
            _ => 0,
        };
        (Reverse(self.levels[u]), Reverse(load), u)
    }

    fn set(&mut self, u: usize, level: usize, load: f32) {
        let before = self.place(u);
        self.places.remove(&before);
        (self.levels[u], self.loads[u]) = (level, load);
        self.places.insert(self.place(u));
    }

    fn begin_round(&mut self, plain: &Plain) {
        let first = match self.kind {
            PolicyKind::RoundRobin => 0,
            PolicyKind::Global => {
                let count = self.levels.len();
                let keys: Vec<_> = (0..count)
                    .map(|u| plain.greatest_pair_reduction(u))
                    .collect();
                self.order = (0..count).collect();
                self.order.sort_by(|a, b| keys[*b].total_cmp(&keys[*a]));
                for (position, u) in self.order.iter().enumerate() {
                    self.positions[*u] = position;
                }
                self.order[0]
            }
            PolicyKind::Distributed | PolicyKind::LoadAware => {
                self.places.first().expect("there is a VM").2
            }
        };
        self.hand_to(first);
    }

    fn hand_to(&mut self, vm: usize) {
        self.holder = vm;
        self.visited = self.place(vm);
    }

    /// Hands the token on; whether a new round began.
    fn pass(&mut self, plain: &Plain) -> bool {
        let next = match self.kind {
            PolicyKind::RoundRobin | PolicyKind::Global => {
                let position = self.positions[self.holder] + 1;
                self.order.get(position).copied()
            }
            PolicyKind::Distributed | PolicyKind::LoadAware => {
                let beyond = (Bound::Excluded(self.visited), Bound::Unbounded);
                self.places.range(beyond).next().map(|place| place.2)
            }
        };
        match next {
            Some(vm) => self.hand_to(vm),
            None => self.begin_round(plain),
        }
        next.is_none()
    }
}

/// What happened at a hop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) holder: usize,
    /// Where it went with which gain, or why it stayed.
    pub(crate) decision: Result<(usize, f64), WhyStayed>,
    pub(crate) new_round: bool,
}

/// The token going round.
pub(crate) struct Oracle {
    pub(crate) plain: Plain,
    token: PlainToken,
    rules: Rules,
    /// With which hop, from 1, each VM last held the token and stayed.
    stayed: Vec<u64>,
    /// How many have since the last migration.
    stays: usize,
    last_migration: u64,
    hops: u64,
    new_round: bool,
}

impl Oracle {
    pub(crate) fn new(plain: Plain, kind: PolicyKind, rules: Rules) -> Self {
        Self {
            token: PlainToken::new(kind, &plain),
            stayed: vec![0; plain.vms.len()],
            plain,
            rules,
            stays: 0,
            last_migration: 0,
            hops: 0,
            new_round: true,
        }
    }

    /// The level of each VM in the token.
    pub(crate) fn levels(&self) -> &[usize] {
        &self.token.levels
    }

    /// Whether every VM has stayed since the last migration.
    pub(crate) fn is_settled(&self) -> bool {
        self.stays == self.stayed.len()
    }

    pub(crate) fn step(&mut self) -> Event {
        let u = self.token.holder;
        let decision = self.plain.decide(u, self.rules);
        self.hops += 1;
        match decision {
            Ok((server, _)) => {
                self.plain.migrate(u, server);
                self.last_migration = self.hops;
                self.stays = 0;
            }
            Err(_) => {
                let before = std::mem::replace(&mut self.stayed[u], self.hops);
                self.stays += usize::from(before <= self.last_migration);
            }
        }
        self.write_into_token(u);
        let event = Event {
            holder: u,
            decision,
            new_round: self.new_round,
        };
        self.new_round = self.token.pass(&self.plain);
        event
    }

    fn write_into_token(&mut self, u: usize) {
        let mut own = 0;
        for (v, _) in &self.plain.peers[u] {
            let level = self.plain.level(self.plain.vms[u].0, self.plain.vms[*v].0);
            own = own.max(level);
            if self.token.levels[*v] < level {
                self.token.set(*v, level, self.token.loads[*v]);
            }
        }
        self.token.set(u, own, self.plain.load(u));
    }
}
