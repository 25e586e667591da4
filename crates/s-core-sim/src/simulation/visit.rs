//! One VM's turn: thesis 4.2.5, and lines 3 to 7 of Algorithm 1.

use std::cell::Cell;

use s_core_model::{Level, Levels, Rate, ServerIndex, VmIndex};
use s_core_token::{SlotKind, VisitReport};

use super::{Decision, Migration, Simulation, WhyStayed};

impl<L: Levels> Simulation<'_, L> {
    pub(super) fn visit(&mut self, holder: VmIndex) -> Decision {
        if self.nothing_to_gain.contains(holder) {
            // Its level, its peers' levels and its statistic stand in the token already.
            self.stayed.insert(holder);
            self.pass_time(holder, 0, false);
            return Decision::Stayed(WhyStayed::NoGain);
        }
        let source = self.allocation.host(holder);
        let (choice, asked) = self.choose(holder, source);
        let decision = match choice {
            Ok((target, gain)) => Decision::Migrated(self.migrate(holder, source, target, gain)),
            Err(why) => {
                if why == WhyStayed::NoGain {
                    self.nothing_to_gain.insert(holder);
                }
                self.stayed.insert(holder);
                Decision::Stayed(why)
            }
        };
        self.pass_time(holder, asked, choice.is_ok());
        self.write_into_token(holder);
        decision
    }

    /// Where the holder goes with which gain, by the agents' own code, and how many servers it asks for room;
    /// that is counted only if it takes time.
    fn choose(
        &mut self,
        holder: VmIndex,
        source: ServerIndex,
    ) -> (Result<(ServerIndex, f64), WhyStayed>, u32) {
        let allocation = &self.allocation;
        let peers = self.traffic.peers(holder);
        let peers = peers.map(|(peer, rate)| (allocation.host(peer), rate));
        let memory_mib = allocation.memory_mib(holder);
        let has_room = |server| allocation.free(server).admits(memory_mib);
        let (model, rules) = (self.model, &self.rules);
        let asked = Cell::new(0);
        let target = if self.timing.is_some() {
            let has_room = |server| {
                asked.set(asked.get() + 1);
                has_room(server)
            };
            (self.evaluation).choose_by_asking(model, source, peers, rules, has_room)
        } else {
            (self.evaluation).choose(model, source, peers, rules, has_room)
        };
        (
            target.map(|target| (target.server, target.gain)),
            asked.get(),
        )
    }

    fn migrate(
        &mut self,
        vm: VmIndex,
        source: ServerIndex,
        target: ServerIndex,
        gain: f64,
    ) -> Migration {
        self.allocation
            .migrate(vm, target)
            .expect("the target has just been asked for room");
        self.cost.add(-gain);
        self.migrations += 1;
        self.stayed.clear();
        for (peer, _) in self.traffic.peers(vm) {
            self.nothing_to_gain.remove(peer);
        }
        Migration {
            step: self.hops + 1,
            vm,
            source,
            target,
            gain,
            total_cost: self.cost.get(),
        }
    }

    fn pass_time(&mut self, holder: VmIndex, asked: u32, migrates: bool) {
        if let Some(timing) = &self.timing {
            let peers = self.traffic.peers(holder).len();
            let hop = timing.of_hop(peers, asked, migrates);
            self.elapsed = self.elapsed.saturating_add(hop);
        }
    }

    /// The holder's own level and statistic and its peers' levels, where it is now.
    fn write_into_token(&mut self, holder: VmIndex) {
        let here = self.allocation.host(holder);
        let reports = self.token.slot_kind() == SlotKind::Extended;
        let mut own = Level::ZERO;
        let mut report = VisitReport::default();
        for (peer, rate) in self.traffic.peers(holder) {
            let there = self.allocation.host(peer);
            let level = self.model.level(here, there);
            own = own.max(level);
            let position = self.token.position_of_rank(peer.usize());
            self.token.raise_level(position, level);
            if reports {
                report = self.report_pair(report, rate, here, there);
            }
        }
        self.token.set_own_level(own);
        if let Some(statistic) = self.policy.statistic(&report) {
            self.token.set_own_statistic(statistic);
        }
    }

    /// What a VM reports about itself, with one more peer.
    pub(super) fn report_pair(
        &self,
        report: VisitReport,
        rate: Rate,
        here: ServerIndex,
        there: ServerIndex,
    ) -> VisitReport {
        let reduction = 2.0 * self.model.pair_cost(rate, here, there);
        VisitReport {
            load: report.load + rate,
            greatest_pair_reduction: report.greatest_pair_reduction.max(reduction),
        }
    }
}
