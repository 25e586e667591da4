//! Receiving the token, updating it, and passing it on (thesis 4.1, 4.2.3).

use alloc::vec::Vec;

use bytes::Bytes;
use s_core_model::{Level, Levels, Rate, ServerId, VmId};
use s_core_token::{Mark, Token, TokenView, VisitReport};

use super::Node;
use super::holding::{Attempt, Holding, Phase};
use super::io::{Action, BadToken, Destination, Report, WhySkipped};
use super::locate::location_request;
use crate::message::{Message, TokenVerdict};
use crate::time::Instant;

impl<L: Levels> Node<L> {
    pub(super) fn mint(&mut self, now: Instant, mut vms: Vec<VmId>) {
        let from = self.config.server;
        let refuse = |node: &mut Self, why| node.report(Report::BadToken { from, why });
        if self.state.holding.is_some() {
            return refuse(self, BadToken::HoldingAlready);
        }
        let Some(mark) = self.state.highest.new_epoch(from) else {
            return refuse(self, BadToken::MarksExhausted);
        };
        vms.extend(self.state.hosted.keys());
        vms.sort_unstable();
        vms.dedup();
        let policy = &*self.config.policy;
        let Ok(token) = Token::new(&vms, policy, mark, self.config.token_limits) else {
            return refuse(self, BadToken::NoSlots);
        };
        self.raise(mark);
        let vms = token.len();
        self.report(Report::Minted { mark, vms });
        self.hold(token, Phase::Resting { until: now });
        self.hand_on(now);
    }

    fn hold(&mut self, token: Token, phase: Phase) {
        self.state.holding = Some(Holding {
            token,
            peers: Vec::new(),
            uncounted: Rate::ZERO,
            phase,
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
        if mark <= self.state.highest {
            let verdict = if mark == self.state.accepted {
                TokenVerdict::Accepted
            } else {
                TokenVerdict::Stale(self.state.highest)
            };
            return self.answer(sender, ack(mark, verdict));
        }
        if !self.state.hosted.contains_key(&view.holder_id()) {
            // Its mark is not taken over: the VM may be found elsewhere and get it there.
            self.actions.push_back(Action::ListHosted);
            return self.answer(sender, ack(mark, TokenVerdict::NotHosted));
        }
        let token = Token::decode(&view);
        self.accept(mark);
        self.answer(sender, ack(mark, TokenVerdict::Accepted));
        self.drop_token(mark);
        self.hold(token, Phase::Measuring { until: now });
        self.begin_visit(now);
    }

    /// The code alone does not tell: users number their own policies as they like.
    fn is_for_our_policy(&self, view: &TokenView<Bytes>) -> bool {
        let policy = &self.config.policy;
        view.policy_code() == policy.code()
            && view.slot_kind() == policy.slot_kind()
            && (view.is_ascending() || !policy.ascending())
    }

    fn accept(&mut self, mark: Mark) {
        self.raise(mark);
        self.state.accepted = mark;
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
        self.choose_next(migrated);
        let rest = self.config.timing.rest;
        if let Some(holding) = &mut self.state.holding {
            holding.phase = Phase::Resting { until: now + rest };
        }
        if rest.is_zero() {
            self.hand_on(now);
        }
    }

    fn choose_next(&mut self, migrated: bool) {
        let Some(holding) = &mut self.state.holding else {
            return;
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
    }

    /// To the next VM: in this process if it runs here, else to its server once that is known.
    pub(super) fn hand_on(&mut self, now: Instant) {
        let Some(holding) = &self.state.holding else {
            return;
        };
        let vm = holding.token.holder_id();
        if self.state.hosted.contains_key(&vm) {
            if let Some(mark) = self.advance_mark() {
                self.accept(mark);
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
            self.state.holding = None;
            self.report(Report::Superseded { mark, by: highest });
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
        let Some(holding) = &self.state.holding else {
            return;
        };
        let vm = holding.token.holder_id();
        let Phase::Handing { server, moved, .. } = holding.phase else {
            return;
        };
        let ours = mark == holding.token.mark()
            || (verdict == TokenVerdict::Malformed && mark == Mark::default());
        if server != sender || !ours {
            return;
        }
        match verdict {
            TokenVerdict::Accepted => {
                self.state.holding = None;
                self.report(Report::Passed { vm, server });
            }
            // It saw this very mark before it was started again, and will not act on it.
            TokenVerdict::Stale(highest) if highest == mark => {
                self.give_up(now, WhySkipped::Forgotten(server));
            }
            // It has seen a higher mark than the token's, so the token is dropped.
            TokenVerdict::Stale(highest) => self.raise(highest),
            // A copy of the token may be on its way there, and find the VM arrived: the next one
            // to get the token, if it is the same VM, gets it in a new epoch.
            TokenVerdict::NotHosted if moved < self.config.bounds.attempts => {
                self.state.locations.forget(vm);
                if self.new_epoch() {
                    self.seek(now, moved + 1);
                }
            }
            TokenVerdict::NotHosted => self.give_up(now, WhySkipped::NotFound),
            TokenVerdict::Malformed => self.give_up(now, WhySkipped::Refused(server)),
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
        if let WhySkipped::NoAcknowledgement(server) = why {
            self.state.locations.forget_server(server);
        }
        if self.new_epoch() {
            self.skip(now, why);
        }
    }

    /// Mints a new epoch for the token that is held; drops the token if none is left.
    fn new_epoch(&mut self) -> bool {
        let server = self.config.server;
        let minted = self.state.highest.new_epoch(server);
        let Some(holding) = &mut self.state.holding else {
            return false;
        };
        if let Some(mark) = minted {
            holding.token.set_mark(mark);
            self.raise(mark);
        } else {
            self.state.holding = None;
            let why = BadToken::MarksExhausted;
            self.report(Report::BadToken { from: server, why });
        }
        minted.is_some()
    }

    /// On to the VM after the next, as if the next had been visited; but the round is not quiet.
    fn skip(&mut self, now: Instant, why: WhySkipped) {
        if let Some(holding) = &mut self.state.holding {
            let vm = holding.token.holder_id();
            holding.token.unsettle();
            self.state.locations.forget(vm);
            self.report(Report::Skipped { vm, why });
            self.go_on(now, false);
        }
    }
}
