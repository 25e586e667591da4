//! Updating the token and passing it on (thesis 4.1, 4.2.3).

use bytes::Bytes;
use s_core_model::{Level, Levels, ServerId};
use s_core_token::{Mark, VisitReport};

use super::Node;
use super::holding::{Attempt, Holding, Phase};
use super::io::{BadToken, Destination, Report, WhySkipped};
use super::locate::location_request;
use crate::message::Message;
use crate::time::Instant;

impl<L: Levels> Node<L> {
    /// The holder's own level and statistic and its peers' levels (4.1), and then the next VM.
    pub(super) fn finish_visit(&mut self, now: Instant, server: ServerId, migrated: bool) {
        let config = &*self.config;
        let levels = config.model.levels();
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        let here = levels.index_of(server).unwrap_or(self.here);
        let token = &mut holding.token;
        let mut own = Level::ZERO;
        let mut report = VisitReport {
            load: holding.uncounted,
            greatest_pair_reduction: 0.0,
        };
        for peer in &holding.peers {
            report.load = report.load + peer.rate;
            if let Some(there) = peer.server.and_then(|server| levels.index_of(server)) {
                let level = levels.level(here, there);
                own = own.max(level);
                if let Some(position) = token.position_of(peer.vm) {
                    token.raise_level(position, level);
                }
                let reduction = 2.0 * config.model.pair_cost(peer.rate, here, there);
                report.greatest_pair_reduction = report.greatest_pair_reduction.max(reduction);
            } else {
                // How far away it is, is unknown: the level recorded before stands.
                own = own.max(token.level(token.holder()));
            }
        }
        token.set_own_level(own);
        if let Some(statistic) = config.policy.statistic(&report) {
            token.set_own_statistic(statistic);
        }
        self.go_on(now, migrated);
    }

    /// Chooses the next VM; the token rests a while before it goes there.
    pub(super) fn go_on(&mut self, now: Instant, migrated: bool) {
        let new_round = self.choose_next(migrated);
        self.rest(now, new_round);
    }

    pub(super) fn rest(&mut self, now: Instant, new_round: bool) {
        let quiet = |holding: &Holding| {
            holding.token.quiet_rounds() >= self.config.bounds.quiet_rounds && new_round
        };
        let timing = &self.config.timing;
        let idle = !self.state.leaving && self.state.holding.as_ref().is_some_and(quiet);
        let rest = if idle { timing.idle } else { timing.rest };
        if let Some(holding) = &mut self.state.holding {
            holding.phase = Phase::Resting { until: now + rest };
        }
        if rest.is_zero() {
            self.hand_on(now);
        }
    }

    /// Whether a new round begins.
    pub(super) fn choose_next(&mut self, migrated: bool) -> bool {
        let Some(holding) = &mut self.state.holding else {
            return false;
        };
        let token = &mut holding.token;
        let round = token.round();
        let migrations = token.migrations().saturating_add(migrated.into());
        let step = token.pass(&*self.config.policy, migrated);
        let quiet_rounds = token.quiet_rounds();
        if step.new_round {
            self.report(Report::RoundEnded {
                round,
                migrations,
                quiet_rounds,
            });
        }
        step.new_round
    }

    /// To the next VM: in this process if it runs here, else to its server once that is known.
    pub(super) fn hand_on(&mut self, now: Instant) {
        let Some(holding) = &self.state.holding else {
            return;
        };
        let vm = holding.token.holder_id();
        if self.state.hosted.contains_key(&vm) {
            if self.state.leaving {
                self.leave_behind(now);
            } else if let Some(mark) = self.advance_mark() {
                self.raise(mark);
                self.begin_visit(now);
            }
        } else if let Some(server) = self.state.locations.get(vm) {
            self.send_token(now, server, 0);
        } else {
            self.seek(now, 0);
        }
    }

    /// Asks everybody for the next VM, which was `moved` times not where it was sought.
    pub(super) fn seek(&mut self, now: Instant, moved: u8) {
        let next = self
            .state
            .holding
            .as_ref()
            .map(|holding| holding.token.holder_id());
        if next.is_some_and(|vm| self.state.hosted.contains_key(&vm)) {
            // It has come here meanwhile.
            return self.hand_on(now);
        }
        let query = self.next_query();
        let until = now + self.config.timing.answer;
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        holding.phase = Phase::Seeking {
            query,
            redirects: 0,
            moved,
            attempt: Attempt { number: 1, until },
        };
        let (to, message) = location_request(query, holding.token.holder_id(), None);
        self.send(to, message);
    }

    pub(super) fn seek_again(&mut self, now: Instant) {
        let (attempts, answer) = (self.config.bounds.attempts, self.config.timing.answer);
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        let vm = holding.token.holder_id();
        let Phase::Seeking { query, attempt, .. } = &mut holding.phase else {
            return;
        };
        if attempt.again(now + answer, attempts) {
            let (to, message) = location_request(*query, vm, None);
            self.send(to, message);
        } else {
            // No token with this mark has left: the mark need not be given up.
            self.skip(now, WhySkipped::NotFound);
        }
    }

    /// A mark of its own for each hop (rule R2), durable before the token leaves.
    pub(super) fn send_token(&mut self, now: Instant, server: ServerId, moved: u8) {
        if server == self.config.server {
            return self.seek(now, moved);
        }
        let Some(mark) = self.advance_mark() else {
            return;
        };
        self.raise(mark);
        let until = now + self.config.timing.acknowledgement;
        if let Some(holding) = &mut self.state.holding {
            holding.phase = Phase::Handing {
                server,
                moved,
                attempt: Attempt { number: 1, until },
            };
            let token = Bytes::from(holding.token.encode());
            self.send(Destination::Server(server), Message::Token(token));
        }
    }

    /// The next mark, set in the token; drops the token when a higher one was seen, or none is left.
    fn advance_mark(&mut self) -> Option<Mark> {
        let highest = self.state.highest;
        let holding = self.state.holding.as_mut()?;
        let mark = holding.token.mark();
        if mark < highest {
            self.drop_token(highest);
            return None;
        }
        let next = mark.next().or_else(|| mark.new_epoch(self.config.server));
        match next {
            Some(next) => holding.token.set_mark(next),
            None => {
                self.state.holding = None;
                let from = self.config.server;
                let why = BadToken::MarksExhausted;
                self.report(Report::BadToken { from, why });
            }
        }
        next
    }
}
