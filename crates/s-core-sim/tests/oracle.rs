//! The simulation against a plain oracle: the same decisions, in the same order, to the last number.
//!
//! Rates and link weights are whole numbers, so that sums are exact in whatever order they are made.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use s_core_model::{
    Allocation, Capacity, CostModel, LinkWeights, MigrationCost, Placement, Rate, ServerId,
    TrafficMatrix, VmId, VmIndex,
};
use s_core_proto::TargetChoice;
use s_core_sim::{Decision, Ended, Rules, RunLimits, Simulation, WhyStayed};
use s_core_token::PolicyKind;
use s_core_topology::CanonicalTree;

/// A small data centre, as plain numbers.
#[derive(Clone, Debug)]
struct Plain {
    fan_outs: Vec<u32>,
    servers_per_rack: usize,
    weights: Vec<f64>,
    /// VM slots and MiB per server.
    rooms: Vec<(u32, u64)>,
    /// Server and MiB per VM; they fit.
    vms: Vec<(usize, u32)>,
    /// λ by VM and VM, symmetric.
    rates: Vec<Vec<f64>>,
}

impl Plain {
    /// From numbers that proptest draws: 12 servers in 6 racks under two or three levels of links.
    fn new(deep: bool, vms: &[(usize, u32)], pairs: &[(usize, usize, u32)], spare: u32) -> Self {
        let (fan_outs, weights) = if deep {
            (vec![2, 1, 3], vec![1.0, 4.0, 16.0])
        } else {
            (vec![2, 3], vec![1.0, 8.0])
        };
        let mut plain = Self {
            fan_outs,
            servers_per_rack: 2,
            weights,
            rooms: vec![(0, 0); 12],
            vms: vms.to_vec(),
            rates: vec![vec![0.0; vms.len()]; vms.len()],
        };
        for (server, memory) in vms {
            plain.rooms[*server].0 += 1;
            plain.rooms[*server].1 += u64::from(*memory);
        }
        for (server, room) in plain.rooms.iter_mut().enumerate() {
            room.0 += (spare >> (server % 8)) % 3;
            room.1 += u64::from(spare >> (server % 5)) % 7;
        }
        for (a, b, rate) in pairs {
            let (a, b) = (a % vms.len(), b % vms.len());
            if a != b {
                plain.rates[a][b] += f64::from(*rate);
                plain.rates[b][a] += f64::from(*rate);
            }
        }
        plain
    }

    fn level(&self, a: usize, b: usize) -> usize {
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
    fn vm_cost(&self, u: usize, server: usize) -> f64 {
        let pair = |v: usize| self.rates[u][v] * self.path_cost(server, self.vms[v].0);
        (0..self.vms.len()).map(pair).sum()
    }

    fn total_cost(&self) -> f64 {
        (0..self.vms.len())
            .map(|u| self.vm_cost(u, self.vms[u].0))
            .sum()
    }

    fn has_room(&self, server: usize, memory: u32) -> bool {
        let there = || self.vms.iter().filter(|vm| vm.0 == server);
        let taken: u64 = there().map(|vm| u64::from(vm.1)).sum();
        there().count() < self.rooms[server].0 as usize
            && taken + u64::from(memory) <= self.rooms[server].1
    }

    /// Each server with a peer of u, other than u's own: the highest cost of a peer there, and the gain.
    fn candidates(&self, u: usize) -> Vec<(usize, f64, f64)> {
        let here = self.vms[u].0;
        let mut candidates = Vec::new();
        for server in (0..self.rooms.len()).filter(|server| *server != here) {
            let peers = (0..self.vms.len()).filter(|v| self.vms[*v].0 == server);
            let costs = peers.filter(|v| self.rates[u][*v] > 0.0);
            let cost = costs.map(|v| self.rates[u][v] * self.path_cost(here, server));
            if let Some(highest) = cost.reduce(f64::max) {
                let gain = 2.0 * (self.vm_cost(u, here) - self.vm_cost(u, server));
                candidates.push((server, highest, gain));
            }
        }
        candidates
    }

    /// Where u goes with which gain, or why it stays.
    fn decide(&self, u: usize, rules: Rules) -> Result<(usize, f64), WhyStayed> {
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

    fn load(&self, u: usize) -> f32 {
        self.rates[u].iter().sum::<f64>() as f32
    }

    fn greatest_pair_reduction(&self, u: usize) -> f32 {
        let reduction =
            |v: usize| 2.0 * self.rates[u][v] * self.path_cost(self.vms[u].0, self.vms[v].0);
        (0..self.vms.len()).map(reduction).fold(0.0, f64::max) as f32
    }

    fn build(&self) -> (CostModel<CanonicalTree>, Allocation, TrafficMatrix) {
        let per_rack = self.servers_per_rack as u32;
        let tree = CanonicalTree::new(&self.fan_outs, per_rack).unwrap();
        let server = |index: usize| ServerId::new(0x0a00_0001 + index as u32);
        let rooms = self
            .rooms
            .iter()
            .enumerate()
            .map(|(index, (vm_slots, memory_mib))| {
                let (vm_slots, memory_mib) = (*vm_slots, *memory_mib);
                (
                    server(index),
                    Capacity {
                        vm_slots,
                        memory_mib,
                    },
                )
            });
        let vms = self
            .vms
            .iter()
            .enumerate()
            .map(|(vm, (host, memory_mib))| Placement {
                vm: VmId::new(100 + vm as u32),
                server: server(*host),
                memory_mib: *memory_mib,
            });
        let index = |vm: usize| VmIndex::new(vm as u32);
        let count = self.vms.len();
        let pairs = (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b)));
        let rated = pairs.map(|(a, b)| (index(a), index(b), Rate::new(self.rates[a][b]).unwrap()));
        (
            CostModel::new(LinkWeights::new(self.weights.as_slice()).unwrap(), tree).unwrap(),
            Allocation::new(rooms, vms).unwrap(),
            TrafficMatrix::from_pairs(count, rated).unwrap(),
        )
    }
}

/// The token of thesis 4.1 as four lists.
struct PlainToken {
    kind: PolicyKind,
    levels: Vec<usize>,
    loads: Vec<f32>,
    order: Vec<usize>,
    holder: usize,
    /// The holder's level and load when it got the token.
    visit: (usize, f32),
}

impl PlainToken {
    fn new(kind: PolicyKind, plain: &Plain) -> Self {
        let count = plain.vms.len();
        let mut token = Self {
            kind,
            levels: vec![0; count],
            loads: vec![0.0; count],
            order: (0..count).collect(),
            holder: 0,
            visit: (0, 0.0),
        };
        token.begin_round(plain);
        token
    }

    /// All VMs in the order of the policy, as their slots are now.
    fn sorted(&self) -> Vec<usize> {
        let mut vms: Vec<usize> = (0..self.levels.len()).collect();
        vms.sort_by(|a, b| {
            let level = self.levels[*b].cmp(&self.levels[*a]);
            match self.kind {
                PolicyKind::LoadAware => level.then(self.loads[*b].total_cmp(&self.loads[*a])),
                _ => level,
            }
        });
        vms
    }

    fn begin_round(&mut self, plain: &Plain) {
        let first = match self.kind {
            PolicyKind::RoundRobin => 0,
            PolicyKind::Global => {
                let key = |u: &usize| plain.greatest_pair_reduction(*u);
                self.order = (0..self.levels.len()).collect();
                self.order.sort_by(|a, b| key(b).total_cmp(&key(a)));
                self.order[0]
            }
            PolicyKind::Distributed | PolicyKind::LoadAware => self.sorted()[0],
        };
        self.hand_to(first);
    }

    fn hand_to(&mut self, vm: usize) {
        self.holder = vm;
        self.visit = (self.levels[vm], self.loads[vm]);
    }

    /// Hands the token on; whether a new round began.
    fn pass(&mut self, plain: &Plain) -> bool {
        let (level, load) = self.visit;
        let holder = self.holder;
        let beyond = |u: &usize| match self.kind {
            PolicyKind::Distributed => {
                self.levels[*u] < level || (self.levels[*u] == level && *u > holder)
            }
            _ => {
                let same_level = self.levels[*u] == level;
                let lower = self.loads[*u] < load;
                let same_load = self.loads[*u] == load;
                self.levels[*u] < level || same_level && (lower || same_load && *u > holder)
            }
        };
        let next = match self.kind {
            PolicyKind::RoundRobin | PolicyKind::Global => {
                let position = self.order.iter().position(|u| *u == holder).unwrap();
                self.order.get(position + 1).copied()
            }
            PolicyKind::Distributed | PolicyKind::LoadAware => {
                self.sorted().into_iter().find(beyond)
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
struct Event {
    holder: usize,
    /// Where it went with which gain, or why it stayed.
    decision: Result<(usize, f64), WhyStayed>,
    new_round: bool,
    /// The levels in the token afterwards.
    levels: Vec<usize>,
}

/// Runs the oracle until every VM has stayed since the last migration.
fn oracle(mut plain: Plain, kind: PolicyKind, rules: Rules) -> (Vec<Event>, Plain) {
    let mut token = PlainToken::new(kind, &plain);
    let mut events = Vec::new();
    let mut stayed = vec![false; plain.vms.len()];
    let mut new_round = true;
    while stayed.contains(&false) {
        let u = token.holder;
        token.loads[u] = plain.load(u);
        let decision = plain.decide(u, rules);
        match decision {
            Ok((server, _)) => {
                plain.vms[u].0 = server;
                stayed.fill(false);
            }
            Err(_) => stayed[u] = true,
        }
        let mut own = 0;
        for v in (0..plain.vms.len()).filter(|v| plain.rates[u][*v] > 0.0) {
            let level = plain.level(plain.vms[u].0, plain.vms[v].0);
            own = own.max(level);
            token.levels[v] = token.levels[v].max(level);
        }
        token.levels[u] = own;
        events.push(Event {
            holder: u,
            decision,
            new_round,
            levels: token.levels.clone(),
        });
        new_round = token.pass(&plain);
    }
    (events, plain)
}

fn check(plain: &Plain, kind: PolicyKind, rules: Rules) {
    let (wanted, settled) = oracle(plain.clone(), kind, rules);
    let (model, allocation, traffic) = plain.build();
    let policy = kind.build();
    let mut simulation =
        Simulation::new(&model, &traffic, allocation, policy.as_ref(), rules).unwrap();
    assert_eq!(simulation.total_cost(), plain.total_cost());
    for (number, event) in wanted.iter().enumerate() {
        assert!(
            !simulation.is_settled(),
            "{kind}: settled before hop {number}"
        );
        let hop = simulation.step();
        let decision = match hop.decision {
            Decision::Migrated(migration) => Ok((migration.target.usize(), migration.gain)),
            Decision::Stayed(why) => Err(why),
        };
        let did = (hop.holder.usize(), decision, hop.new_round);
        let should = (event.holder, event.decision, event.new_round);
        assert_eq!(did, should, "{kind}, hop {number}");
        assert_eq!(levels(&simulation), event.levels, "{kind}, hop {number}");
    }
    assert!(simulation.is_settled());
    assert_eq!(simulation.total_cost(), settled.total_cost());
    let rounds = wanted.iter().filter(|event| event.new_round).count() as u64;
    let outcome = simulation.run_until_settled(RunLimits::default());
    assert_eq!((outcome.ended, outcome.rounds), (Ended::Settled, rounds));
    assert_eq!(outcome.token_hops, wanted.len() as u64);
    is_local_optimum(&settled, &simulation, rules);
}

/// The levels in the token by VM.
fn levels(simulation: &Simulation<'_, CanonicalTree>) -> Vec<usize> {
    let (token, allocation) = (simulation.token(), simulation.allocation());
    let position = |vm| token.position_of(allocation.vm_at(vm)).unwrap();
    let level = |vm| usize::from(token.level(position(vm)).get());
    allocation.vms().map(level).collect()
}

/// No VM has a gain that satisfies the rules at a server with room.
fn is_local_optimum(plain: &Plain, simulation: &Simulation<'_, CanonicalTree>, rules: Rules) {
    for (vm, (host, _)) in plain.vms.iter().enumerate() {
        let index = VmIndex::new(vm as u32);
        assert_eq!(simulation.allocation().host(index).usize(), *host);
        assert!(plain.decide(vm, rules).is_err(), "VM {vm} could still move");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn decides_like_the_oracle(
        deep in any::<bool>(),
        vms in prop::collection::vec((0..12usize, 1..4u32), 2..24),
        pairs in prop::collection::vec((0..24usize, 0..24usize, 1..50u32), 0..60),
        spare in any::<u32>(),
        migration_cost in prop_oneof![
            3 => Just(MigrationCost::ZERO),
            1 => (0..200u32).prop_map(|cost| MigrationCost::Absolute(f64::from(cost))),
            1 => (0..8u32).prop_map(|eighths| MigrationCost::RelativeToVm(f64::from(eighths) / 8.0)),
        ],
        min_gain in prop_oneof![3 => Just(0.0), 1 => (0..100u32).prop_map(f64::from)],
    ) {
        let plain = Plain::new(deep, &vms, &pairs, spare);
        for kind in PolicyKind::ALL {
            for target_choice in [TargetChoice::FirstFit, TargetChoice::BestFit] {
                check(&plain, kind, Rules { migration_cost, target_choice, min_gain });
            }
        }
    }
}
