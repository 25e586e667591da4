//! Receiving the token, updating it, and passing it on (thesis 4.1, 4.2.3).

use alloc::vec::Vec;

use bytes::Bytes;
use s_core_model::{Level, Levels, Rate, ServerId, VmId};
use s_core_token::{Mark, Token, TokenView, VisitReport};

use super::Node;
use super::holding::{Attempt, Holding, Phase, Predecessor};
use super::io::{Action, BadToken, Destination, Report, WhySkipped};
use super::locate::location_request;
use crate::message::{Message, TokenVerdict};
use crate::mutation::Mutation;
use crate::time::Instant;

impl<L: Levels> Node<L> {
    /// The token is here, resting.
    pub(super) fn hold(&mut self, token: Token, from: Option<Predecessor>, now: Instant) {
        self.state.holding = Some(Holding {
            base: token.mark(),
            token,
            peers: Vec::new(),
            uncounted: Rate::ZERO,
            from,
            phase: Phase::Resting { until: now },
        });
    }

    /// Rules R1 and R4: a token is acted on only if its mark is above all that were seen, and
    /// the mark is durable first. A stale one is acknowledged and not acted on.
    pub(super) fn receive_token(&mut self, now: Instant, sender: ServerId, bytes: &Bytes) {
        let ack = |mark, verdict| Message::TokenAck { mark, verdict };
        let view = match TokenView::new_checked(bytes.clone(), self.config.token_limits) {
            Ok(view) if self.is_for_our_policy(&view) => view,
            bad => {
                let (mark, why) = match bad {
                    Ok(view) => (view.mark(), BadToken::OtherPolicy(view.policy_code())),
                    Err(_) => (Mark::default(), BadToken::Malformed),
                };
                let from = sender;
                self.report(Report::BadToken { from, why });
                return self.answer(sender, ack(mark, TokenVerdict::Malformed));
            }
        };
        let mark = view.mark();
        if !self.is_plausible(sender, mark) {
            return;
        }
        let again = self.config.has(Mutation::StaleTokenActedOn) && mark == self.state.highest;
        if mark <= self.state.highest && !again {
            let verdict = self.verdict_on(mark);
            return self.answer(sender, ack(mark, verdict));
        }
        if self.state.leaving || !self.state.hosted.contains_key(&view.holder_id()) {
            // Its mark is not taken over: the VM may be found elsewhere and get it there.
            self.actions.push_back(Action::ListHosted);
            return self.answer(sender, ack(mark, TokenVerdict::NotHosted));
        }
        let token = Token::decode(&view);
        self.raise(mark);
        self.answer(sender, ack(mark, TokenVerdict::Accepted));
        self.drop_token(mark);
        self.alive(now, sender);
        self.state.custody = None;
        let tell_at = now + self.config.timing.keep_alive;
        let from = Predecessor {
            server: sender,
            mark,
            tell_at,
        };
        self.hold(token, Some(from), now);
        self.begin_visit(now);
    }

    /// The code alone does not tell: users number their own policies as they like.
    fn is_for_our_policy(&self, view: &TokenView<Bytes>) -> bool {
        let policy = &self.config.policy;
        view.policy_code() == policy.code()
            && view.slot_kind() == policy.slot_kind()
            && (view.is_ascending() || !policy.ascending())
    }

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

    fn rest(&mut self, now: Instant, new_round: bool) {
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
    fn choose_next(&mut self, migrated: bool) -> bool {
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
    fn seek(&mut self, now: Instant, moved: u8) {
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

    pub(super) fn token_ack(
        &mut self,
        now: Instant,
        sender: ServerId,
        mark: Mark,
        verdict: TokenVerdict,
    ) {
        let handing = |holding: &Holding| match holding.phase {
            Phase::Handing { server, moved, .. } if server == sender => {
                let unnamed = verdict == TokenVerdict::Malformed && mark == Mark::default();
                (mark == holding.token.mark() || unnamed).then_some(moved)
            }
            _ => None,
        };
        let Some(moved) = self.state.holding.as_ref().and_then(handing) else {
            return self.custody_ack(now, sender, mark, verdict);
        };
        match verdict {
            TokenVerdict::Accepted => self.handed_on(now, sender, true),
            TokenVerdict::HandedOn => self.handed_on(now, sender, false),
            // It saw the mark, or a later one of the epoch, before it was started again, and will not act on it.
            TokenVerdict::Stale(highest) if highest.epoch == mark.epoch => {
                self.raise(highest);
                self.give_up(now, WhySkipped::Forgotten(sender));
            }
            // It has seen a higher mark than the token's, so the token is dropped.
            TokenVerdict::Stale(highest) => self.raise(highest),
            // A copy of the token may be on its way there, and find the VM arrived: the next one
            // to get the token, if it is the same VM, gets it in a new epoch.
            TokenVerdict::NotHosted if moved < self.config.bounds.attempts => {
                self.forget_holder();
                if self.new_epoch(now) {
                    self.seek(now, moved + 1);
                }
            }
            TokenVerdict::NotHosted => self.give_up(now, WhySkipped::NotFound),
            TokenVerdict::Malformed => self.give_up(now, WhySkipped::Refused(sender)),
        }
    }

    /// The successor has the token, or had it: the server that it came from need not watch it any more, and this
    /// one keeps a copy (rule R5).
    fn handed_on(&mut self, now: Instant, server: ServerId, watch: bool) {
        let Some(holding) = self.state.holding.take() else {
            return;
        };
        let (vm, mark) = (holding.token.holder_id(), holding.token.mark());
        self.state.copy = Some(holding.token);
        if watch {
            self.take_custody(now, server, vm, mark);
        }
        if let Some(from) = holding.from {
            self.state.handed_on = from.mark;
            let (mark, verdict) = (from.mark, TokenVerdict::HandedOn);
            self.answer(from.server, Message::TokenAck { mark, verdict });
        }
        self.report(Report::Passed { vm, server });
    }

    fn forget_holder(&mut self) {
        if let Some(holding) = &self.state.holding {
            self.state.locations.forget(holding.token.holder_id());
        }
    }

    pub(super) fn acknowledgement_timeout(&mut self, now: Instant) {
        let attempts = self.config.bounds.attempts;
        let until = now + self.config.timing.acknowledgement;
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        let Phase::Handing {
            server, attempt, ..
        } = &mut holding.phase
        else {
            return;
        };
        let server = *server;
        if attempt.again(until, attempts) {
            let token = Bytes::from(holding.token.encode());
            self.send(Destination::Server(server), Message::Token(token));
        } else {
            self.give_up(now, WhySkipped::NoAcknowledgement(server));
        }
    }

    /// Rule R2: the VM may have got the mark and be at work, so the token goes on in a new epoch, which fences it.
    fn give_up(&mut self, now: Instant, why: WhySkipped) {
        self.forget_silent(why);
        if self.config.has(Mutation::SkipKeepsEpoch) || self.new_epoch(now) {
            self.skip(now, why);
        }
    }

    pub(super) fn forget_silent(&mut self, why: WhySkipped) {
        if let WhySkipped::NoAcknowledgement(server) = why {
            self.state.locations.forget_server(server);
        }
    }

    /// Mints a new epoch for the token that is held, and tells all servers; drops the token if none is left.
    pub(super) fn new_epoch(&mut self, now: Instant) -> bool {
        let server = self.config.server;
        let minted = self.state.highest.new_epoch(server);
        let Some(holding) = &mut self.state.holding else {
            return false;
        };
        if let Some(mark) = minted {
            holding.token.set_mark(mark);
            holding.base = mark;
            self.raise(mark);
            self.send_beacon(now);
        } else {
            self.state.holding = None;
            let why = BadToken::MarksExhausted;
            self.report(Report::BadToken { from: server, why });
        }
        minted.is_some()
    }

    /// On to the VM after the next, as if the next had been visited; but the round is not quiet. A VM that nobody
    /// hosts loses its slot: where it turns up again, it gets one.
    pub(super) fn skip(&mut self, now: Instant, why: WhySkipped) {
        self.give_slots();
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        let vm = holding.token.holder_id();
        holding.token.unsettle();
        self.state.locations.forget(vm);
        self.report(Report::Skipped { vm, why });
        let mut new_round = self.choose_next(false);
        if why == WhySkipped::NotFound {
            // A new round may begin with the very VM.
            if self.is_next(vm) {
                new_round |= self.choose_next(false);
            }
            if let Some(holding) = &mut self.state.holding
                && holding.token.remove(vm).is_err()
            {
                // It is the only one that is left.
                self.state.holding = None;
                return self.report(Report::NobodyLeft { vm });
            }
        }
        self.rest(now, new_round);
    }

    fn is_next(&self, vm: VmId) -> bool {
        let holding = self.state.holding.as_ref();
        holding.is_some_and(|holding| holding.token.holder_id() == vm)
    }

    /// The agent is about to stop: the token goes to another server at once, none is taken any more.
    pub(super) fn leave(&mut self, now: Instant) {
        self.state.leaving = true;
        let resting = |holding: &Holding| matches!(holding.phase, Phase::Resting { .. });
        if self.state.holding.as_ref().is_some_and(resting) {
            self.hand_on(now);
        }
    }

    /// On to the next VM that runs elsewhere; if there is none, the token ends here.
    fn leave_behind(&mut self, now: Instant) {
        let slots = self.state.holding.as_ref().map_or(0, |h| h.token.len());
        for _ in 0..slots {
            // The VM that is passed over belongs to the round that may end here.
            if let Some(holding) = &mut self.state.holding {
                holding.token.unsettle();
            }
            self.choose_next(false);
            let Some(holding) = &self.state.holding else {
                return;
            };
            let vm = holding.token.holder_id();
            if !self.state.hosted.contains_key(&vm) {
                return self.hand_on(now);
            }
        }
        if let Some(holding) = self.state.holding.take() {
            let vm = holding.token.holder_id();
            self.state.copy = Some(holding.token);
            self.report(Report::NobodyLeft { vm });
        }
    }
}
