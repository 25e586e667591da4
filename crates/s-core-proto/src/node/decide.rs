//! The decision: what the holder would gain where, and who has room (thesis 4.2.5).

use alloc::vec::Vec;

use s_core_model::{CpuMismatch, CpuModel, Levels, Rate, ServerId, ServerIndex};

use super::Node;
use super::holding::{Attempt, Cost, Offer, Peer, Phase};
use super::io::{Destination, Report, WhyStayed};
use crate::message::{CapacityAnswer, Demand, Message, QueryId};
use crate::mutation::Mutation;
use crate::time::Instant;

impl<L: Levels> Node<L> {
    /// Eq. 3.1 for the VM here, Eq. 3.2 for each server with a peer.
    ///
    /// Peers that were not found, or not looked for, may be anywhere. A gain counts only if it exceeds the migration
    /// cost even if the move took the VM from beside all of them to the far end of the data centre.
    pub(super) fn decide(&mut self, now: Instant) {
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        let config = &*self.config;
        let levels = config.model.levels();
        let index = |peer: &Peer| levels.index_of(peer.server?);
        let at: Vec<(ServerIndex, Rate)> = holding
            .peers
            .iter()
            .filter_map(|peer| Some((index(peer)?, peer.rate)))
            .collect();
        let lost = holding.peers.iter().filter(|peer| index(peer).is_none());
        let lost = holding.uncounted + lost.map(|peer| peer.rate).sum();
        let farthest = config.model.weights().path_cost(levels.max_level());
        let at_stake = 2.0 * lost.bytes_per_second() * farthest;
        let evaluation = &mut self.evaluation;
        evaluation.evaluate(&config.model, self.here, at.iter().copied());
        let threshold = config.migration_cost.threshold(evaluation.cost()) + at_stake;
        let threshold = if config.has(Mutation::GainNotStrict) {
            threshold.next_down()
        } else {
            threshold
        };
        let mut offers: Vec<Offer> = evaluation
            .worthwhile(threshold, config.target_choice)
            .iter()
            .take(config.bounds.candidates)
            .map(|candidate| Offer {
                server: levels.server_at(candidate.server),
                gain: Cost::new(candidate.gain),
            })
            .collect();
        offers.reverse();
        let cost = evaluation.cost();
        if offers.is_empty() {
            let why = WhyStayed::NoGain {
                best: evaluation
                    .best()
                    .map(|best| (levels.server_at(best.server), best.gain)),
                threshold,
            };
            return self.stay(now, why);
        }
        if self.state.open.contains_key(&holding.token.holder_id()) {
            return self.stay(now, WhyStayed::Blocked);
        }
        let unknown = self.state.open.len() >= self.config.bounds.open_migrations;
        if self.state.in_flight.is_some() || unknown {
            return self.stay(now, WhyStayed::Busy);
        }
        match self.limit(now, offers, at_stake) {
            Ok(offers) => self.ask_for_room(now, offers, Vec::new(), Cost::new(cost)),
            Err(why) => self.stay(now, why),
        }
    }

    fn ask_for_room(
        &mut self,
        now: Instant,
        offers: Vec<Offer>,
        asked: Vec<ServerId>,
        cost_before: Cost,
    ) {
        if offers.is_empty() {
            return self.stay(now, WhyStayed::NoRoom { asked });
        }
        let query = self.next_query();
        let attempt = Attempt {
            number: 1,
            until: now + self.config.timing.answer,
        };
        if let Some(holding) = &mut self.state.holding {
            holding.phase = Phase::Asking {
                offers,
                asked,
                query,
                cost_before,
                attempt,
            };
        }
        self.send_capacity_request();
    }

    fn send_capacity_request(&mut self) {
        let Some(holding) = &self.state.holding else {
            return;
        };
        let Phase::Asking { offers, query, .. } = &holding.phase else {
            return;
        };
        let vm = holding.token.holder_id();
        let (Some(offer), Some(memory_mib)) = (offers.last(), self.state.hosted.get(&vm)) else {
            return;
        };
        let message = Message::CapacityRequest {
            query: *query,
            mark: holding.token.mark(),
            demands: alloc::vec![Demand {
                vm,
                memory_mib: *memory_mib,
            }],
            cpu: self.state.cpu,
        };
        self.send(Destination::Server(offer.server), message);
    }

    pub(super) fn capacity_response(
        &mut self,
        now: Instant,
        sender: ServerId,
        query: QueryId,
        answer: CapacityAnswer,
        cpu: Option<CpuModel>,
    ) {
        let unsuitable = self.unsuitable(answer, cpu);
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        let Phase::Asking {
            offers,
            asked,
            query: current,
            cost_before,
            ..
        } = &mut holding.phase
        else {
            return;
        };
        let cost_before = *cost_before;
        let Some(offer) = offers
            .last()
            .copied()
            .filter(|offer| offer.server == sender && *current == query)
        else {
            return;
        };
        match (answer, unsuitable) {
            (CapacityAnswer::Stale(highest), _) => self.raise(highest),
            (CapacityAnswer::Reserved, None) => self.migrate(now, offer, cost_before),
            (_, unsuitable) => {
                offers.pop();
                asked.push(sender);
                let (offers, asked) = (core::mem::take(offers), core::mem::take(asked));
                let (vm, mark) = (holding.token.holder_id(), holding.token.mark());
                if let Some(why) = unsuitable {
                    self.report(Report::Unsuitable {
                        vm,
                        source: self.config.server,
                        target: sender,
                        why,
                    });
                }
                if answer == CapacityAnswer::Reserved {
                    self.answer(sender, Message::Release { mark, vm });
                }
                self.ask_for_room(now, offers, asked, cost_before);
            }
        }
    }

    /// Whether the processor of the target that answered is in the way, and if so, what of it.
    fn unsuitable(&self, answer: CapacityAnswer, cpu: Option<CpuModel>) -> Option<CpuMismatch> {
        let here = self.state.cpu.as_ref();
        let compared = here.map(|here| cpu.ok_or(CpuMismatch::Unknown)?.offers(here));
        let mismatch = compared.and_then(Result::err);
        let refused = answer == CapacityAnswer::Unsuitable;
        mismatch.or(refused.then_some(CpuMismatch::Refused))
    }

    pub(super) fn capacity_timeout(&mut self, now: Instant) {
        let (attempts, answer) = (self.config.bounds.attempts, self.config.timing.answer);
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        let (vm, mark) = (holding.token.holder_id(), holding.token.mark());
        let Phase::Asking {
            offers,
            asked,
            attempt,
            cost_before,
            ..
        } = &mut holding.phase
        else {
            return;
        };
        if attempt.again(now + answer, attempts) {
            return self.send_capacity_request();
        }
        let cost_before = *cost_before;
        if let Some(silent) = offers.pop() {
            asked.push(silent.server);
            let (offers, asked) = (core::mem::take(offers), core::mem::take(asked));
            // It may have reserved room and its answers were lost.
            self.answer(silent.server, Message::Release { mark, vm });
            self.ask_for_room(now, offers, asked, cost_before);
        }
    }
}
