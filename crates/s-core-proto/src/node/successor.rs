//! What becomes of a token that was sent: the successor takes it, or the token goes on without it.

use bytes::Bytes;
use s_core_model::{Levels, ServerId, VmId};
use s_core_token::Mark;

use super::Node;
use super::holding::{Holding, Phase};
use super::io::{BadToken, Destination, Report, WhySkipped};
use crate::message::{Message, TokenVerdict};
use crate::mutation::Mutation;
use crate::time::Instant;

impl<L: Levels> Node<L> {
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
    pub(super) fn handed_on(&mut self, now: Instant, server: ServerId, watch: bool) {
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
        let (server, first) = (*server, attempt.number == 1);
        if attempt.again(until, attempts) {
            let token = Bytes::from(holding.token.encode());
            let mark = holding.token.mark();
            self.send(Destination::Server(server), Message::Token(token));
            if first {
                self.report(Report::SentAgain { server, mark });
            }
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
        // It would park others, and never come to a token.
        self.state.claim = None;
        let resting = |holding: &Holding| matches!(holding.phase, Phase::Resting { .. });
        if self.state.holding.as_ref().is_some_and(resting) {
            self.hand_on(now);
        }
    }

    /// On to the next VM that runs elsewhere; if there is none, the token ends here.
    pub(super) fn leave_behind(&mut self, now: Instant) {
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
