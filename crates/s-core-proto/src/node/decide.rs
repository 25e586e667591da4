//! A visit of the token: measure, locate, decide, migrate (thesis 4.2.5).

use alloc::vec::Vec;
use core::cmp::Reverse;

use s_core_model::{Levels, Rate, ServerId, ServerIndex, VmId};
use s_core_token::VisitReport;

use super::Node;
use super::holding::{Attempt, Cost, InFlight, Offer, Peer, Phase};
use super::io::{Action, Destination, Outcome, Report, WhyStayed};
use crate::message::{CapacityAnswer, Demand, Message, QueryId};
use crate::time::Instant;

impl<L: Levels> Node<L> {
    /// The token is with a VM that runs here: its rates first.
    pub(super) fn begin_visit(&mut self, now: Instant) {
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        for vm in self.state.hosted.keys() {
            if holding.token.position_of(*vm).is_none() {
                // A VM that was born here. It fails only when the token is full.
                let _ = holding.token.insert(*vm, self.config.token_limits);
            }
        }
        let (vm, mark) = (holding.token.holder_id(), holding.token.mark());
        holding.peers.clear();
        holding.phase = Phase::Measuring {
            until: now + self.config.timing.measurement,
        };
        self.report(Report::Holding { vm, mark });
        self.actions.push_back(Action::Measure(vm));
    }

    /// "Calculate the aggregate load between that VM and all the neighbours" (4.2.5), then find the neighbours.
    pub(super) fn measured(&mut self, now: Instant, vm: VmId, peers: Vec<(VmId, Rate)>) {
        let here = self.config.server;
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        let waited_for =
            matches!(holding.phase, Phase::Measuring { .. }) && holding.token.holder_id() == vm;
        if !waited_for {
            return;
        }
        holding.peers = known_peers(peers, self.config.bounds.peers, |peer| {
            peer != vm && holding.token.position_of(peer).is_some()
        });
        for peer in &mut holding.peers {
            if self.state.hosted.contains_key(&peer.vm) {
                peer.server = Some(here);
            }
        }
        if holding.peers.is_empty() {
            return self.stay(now, WhyStayed::NoTraffic);
        }
        let first_query = QueryId::new(self.state.last_query + 1);
        self.state.last_query += holding.peers.len() as u64;
        holding.phase = Phase::Locating {
            first_query,
            attempt: Attempt {
                number: 1,
                until: now + self.config.timing.answer,
            },
        };
        self.ask_for_locations(first_query, true);
        self.decide_if_located(now);
    }

    /// All at once: a visit waits for one round trip, not for one per peer.
    fn ask_for_locations(&mut self, first_query: QueryId, use_hints: bool) {
        let Some(holding) = &self.state.holding else {
            return;
        };
        let requests: Vec<_> = (first_query.get()..)
            .zip(&holding.peers)
            .filter(|(_, peer)| peer.server.is_none())
            .map(|(query, peer)| {
                let hint = self.state.locations.get(peer.vm).filter(|_| use_hints);
                location_request(QueryId::new(query), peer.vm, hint)
            })
            .collect();
        for (to, message) in requests {
            self.send(to, message);
        }
    }

    pub(super) fn location_response(
        &mut self,
        now: Instant,
        sender: ServerId,
        query: QueryId,
        vm: VmId,
        server: Option<ServerId>,
    ) {
        if server == Some(sender) {
            let bound = self.config.bounds.locations;
            self.state.locations.learn(vm, sender, bound);
        } else if self.state.locations.get(vm) == Some(sender) {
            self.state.locations.forget(vm);
        }
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        let bound = self.config.bounds.attempts;
        let again = match &mut holding.phase {
            Phase::Locating { first_query, .. } => {
                let index = query.get().wrapping_sub(first_query.get());
                let peer = usize::try_from(index)
                    .ok()
                    .and_then(|index| holding.peers.get_mut(index))
                    .filter(|peer| peer.vm == vm && peer.server.is_none());
                let Some(peer) = peer else { return };
                if server == Some(sender) {
                    peer.server = server;
                    return self.decide_if_located(now);
                }
                peer.redirects += 1;
                peer.redirects < bound
            }
            Phase::Seeking {
                query: asked,
                redirects,
                moved,
                ..
            } if *asked == query && holding.token.holder_id() == vm => {
                if server == Some(sender) {
                    let moved = *moved;
                    return self.send_token(now, sender, moved);
                }
                *redirects += 1;
                *redirects < bound
            }
            _ => return,
        };
        // The sender does not host it: follow its hint, or ask everybody; the timeout does when hints run in circles.
        if again {
            let hint = server.filter(|hint| *hint != self.config.server);
            let (to, message) = location_request(query, vm, hint);
            self.send(to, message);
        }
    }

    pub(super) fn location_timeout(&mut self, now: Instant) {
        let (attempts, answer) = (self.config.bounds.attempts, self.config.timing.answer);
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        match &mut holding.phase {
            Phase::Locating {
                first_query,
                attempt,
            } => {
                let first_query = *first_query;
                if attempt.again(now + answer, attempts) {
                    self.ask_for_locations(first_query, false);
                } else {
                    let vm = holding.token.holder_id();
                    let lost = holding.peers.iter().filter(|peer| peer.server.is_none());
                    let count = lost.count();
                    self.report(Report::PeersNotFound { vm, count });
                    self.decide(now);
                }
            }
            Phase::Seeking { .. } => self.seek_again(now),
            _ => {}
        }
    }

    fn decide_if_located(&mut self, now: Instant) {
        let located = |peer: &Peer| peer.server.is_some();
        if let Some(holding) = &self.state.holding
            && holding.peers.iter().all(located)
        {
            self.decide(now);
        }
    }

    /// Eq. 3.1 for the VM here, Eq. 3.2 for each server with a peer.
    fn decide(&mut self, now: Instant) {
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        let config = &*self.config;
        let levels = config.model.levels();
        let at: Vec<(ServerIndex, Rate)> = holding
            .peers
            .iter()
            .filter_map(|peer| Some((levels.index_of(peer.server?)?, peer.rate)))
            .collect();
        let evaluation = &mut self.evaluation;
        evaluation.evaluate(&config.model, self.here, at.iter().copied());
        let report = VisitReport {
            load: evaluation.load(),
            greatest_pair_reduction: evaluation.greatest_pair_reduction(),
        };
        if let Some(statistic) = config.policy.statistic(&report) {
            holding.token.set_own_statistic(statistic);
        }
        let mut offers: Vec<Offer> = evaluation
            .worthwhile(config.migration_cost, config.target_choice)
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
                threshold: config.migration_cost.threshold(cost),
            };
            return self.stay(now, why);
        }
        if self.state.in_flight.is_some() {
            return self.stay(now, WhyStayed::Busy);
        }
        if self.state.blocked.contains(&holding.token.holder_id()) {
            return self.stay(now, WhyStayed::Blocked);
        }
        self.ask_for_room(now, offers, Vec::new(), Cost::new(cost));
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
        };
        self.send(Destination::Server(offer.server), message);
    }

    pub(super) fn capacity_response(
        &mut self,
        now: Instant,
        sender: ServerId,
        query: QueryId,
        answer: CapacityAnswer,
    ) {
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
        match answer {
            CapacityAnswer::Reserved => self.migrate(now, offer, cost_before),
            CapacityAnswer::Full(_) => {
                offers.pop();
                asked.push(sender);
                let (offers, asked) = (core::mem::take(offers), core::mem::take(asked));
                self.ask_for_room(now, offers, asked, cost_before);
            }
            CapacityAnswer::Stale(highest) => self.raise(highest),
        }
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

    fn migrate(&mut self, now: Instant, offer: Offer, cost_before: Cost) {
        let deadline = self.config.timing.migration;
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        let vm = holding.token.holder_id();
        self.state.in_flight = Some(InFlight {
            vm,
            target: offer.server,
            mark: holding.token.mark(),
        });
        holding.phase = Phase::Migrating {
            offer,
            cost_before,
            // The driver ends it at the deadline; this is for a driver that does not.
            until: now + deadline + deadline / 10,
        };
        let target = offer.server;
        let gain = offer.gain.get();
        self.report(Report::Migrating { vm, target, gain });
        self.actions.push_back(Action::Migrate {
            vm,
            target,
            deadline,
        });
    }

    pub(super) fn migration_ended(&mut self, now: Instant, vm: VmId, outcome: Outcome) {
        let ended = |flight: &mut InFlight| flight.vm == vm;
        let Some(flight) = self.state.in_flight.take_if(ended) else {
            return;
        };
        match outcome {
            Outcome::Moved => {
                self.state.hosted.remove(&vm);
                let bound = self.config.bounds.locations;
                self.state.locations.learn(vm, flight.target, bound);
            }
            Outcome::StayedHere => {
                let mark = flight.mark;
                self.answer(flight.target, Message::Release { mark, vm });
            }
            Outcome::Unknown => {
                self.state.blocked.insert(vm);
            }
        }
        self.actions.push_back(Action::ListHosted);
        self.end_of_migration_visit(now, flight, outcome);
    }

    /// Goes on with the visit that decided the migration, unless another token has come since.
    fn end_of_migration_visit(&mut self, now: Instant, flight: InFlight, outcome: Outcome) {
        let Some(holding) = &self.state.holding else {
            return;
        };
        let (vm, target) = (flight.vm, flight.target);
        let Phase::Migrating {
            offer, cost_before, ..
        } = &holding.phase
        else {
            return;
        };
        if holding.token.holder_id() != vm {
            return;
        }
        match outcome {
            Outcome::Moved => {
                let report = Report::Migrated {
                    vm,
                    source: self.config.server,
                    target,
                    gain: offer.gain.get(),
                    cost_before: cost_before.get(),
                };
                self.report(report);
                self.finish_visit(now, target, true);
            }
            Outcome::StayedHere => self.stay(now, WhyStayed::MigrationFailed { target }),
            Outcome::Unknown => self.stay(now, WhyStayed::OutcomeUnknown { target }),
        }
    }

    /// The driver never said how it ended.
    pub(super) fn migration_timeout(&mut self, now: Instant) {
        if let Some(flight) = self.state.in_flight {
            self.migration_ended(now, flight.vm, Outcome::Unknown);
        }
    }

    pub(super) fn stay(&mut self, now: Instant, why: WhyStayed) {
        if let Some(holding) = &self.state.holding {
            let vm = holding.token.holder_id();
            let measured = why != WhyStayed::NotMeasured;
            self.report(Report::Stayed { vm, why });
            if measured {
                self.finish_visit(now, self.config.server, false);
            } else {
                self.go_on(now, false);
            }
        }
    }
}

impl Attempt {
    /// Whether to try once more; if so, until when.
    pub(super) fn again(&mut self, until: Instant, attempts: u8) -> bool {
        let more = self.number < attempts;
        if more {
            self.number += 1;
            self.until = until;
        }
        more
    }
}

/// The VMs among `peers` with their rates added up, ascending; the `bound` busiest if there are more.
fn known_peers(
    mut peers: Vec<(VmId, Rate)>,
    bound: usize,
    known: impl Fn(VmId) -> bool,
) -> Vec<Peer> {
    peers.retain(|(vm, rate)| !rate.is_zero() && known(*vm));
    peers.sort_by_key(|(vm, _)| *vm);
    peers.dedup_by(|next, first| {
        let same = next.0 == first.0;
        if same {
            first.1 = first.1 + next.1;
        }
        same
    });
    if peers.len() > bound {
        peers.sort_unstable_by_key(|(vm, rate)| (Reverse(*rate), *vm));
        peers.truncate(bound);
        peers.sort_unstable_by_key(|(vm, _)| *vm);
    }
    let peer = |(vm, rate)| Peer {
        vm,
        rate,
        server: None,
        redirects: 0,
    };
    peers.into_iter().map(peer).collect()
}

/// To one server if there is a hint, else to whichever hosts the VM.
pub(super) fn location_request(
    query: QueryId,
    vm: VmId,
    hint: Option<ServerId>,
) -> (Destination, Message) {
    let to = hint.map_or(Destination::HostOf(vm), Destination::Server);
    let directed = hint.is_some();
    (
        to,
        Message::LocationRequest {
            query,
            vm,
            directed,
        },
    )
}
