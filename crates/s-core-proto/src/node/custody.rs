//! Custody: the predecessor keeps its copy of the token until the successor has handed it on (rule R5).

use s_core_model::{Levels, ServerId, VmId};
use s_core_token::Mark;

use super::Node;
use super::holding::Attempt;
use super::io::{Report, WhySkipped};
use crate::message::{Message, TokenVerdict};
use crate::mutation::Mutation;
use crate::time::Instant;

/// A token that is with another server while a copy of it is kept here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Custody {
    pub(super) server: ServerId,
    pub(super) vm: VmId,
    /// The mark under which it was handed over.
    pub(super) mark: Mark,
    /// The mark under which the server last said that it holds it.
    pub(super) current: Mark,
    /// Questions after a long silence; number 0 while none was asked.
    pub(super) attempt: Attempt,
}

impl<L: Levels> Node<L> {
    /// The successor has the token: from now on it is watched.
    pub(super) fn take_custody(&mut self, now: Instant, server: ServerId, vm: VmId, mark: Mark) {
        self.state.custody = Some(Custody {
            server,
            vm,
            mark,
            current: mark,
            attempt: self.first_doubt(now),
        });
    }

    fn first_doubt(&self, now: Instant) -> Attempt {
        Attempt {
            number: 0,
            until: now + self.config.timing.custody,
        }
    }

    pub(super) fn custody_at(&self) -> Option<Instant> {
        self.state.custody.map(|custody| custody.attempt.until)
    }

    /// The copy is of the newest token that is known of.
    pub(super) fn is_custodian(&self) -> bool {
        let highest = self.state.highest;
        let current = |custody: &Custody| custody.current.epoch >= highest.epoch;
        self.state.custody.as_ref().is_some_and(current)
    }

    pub(super) fn custody_timeout(&mut self, now: Instant) {
        let again = now + self.config.timing.answer;
        let attempts = self.config.bounds.attempts;
        let highest = self.state.highest;
        if !self.is_custodian() {
            self.state.custody = None;
            return;
        }
        let Some(custody) = &mut self.state.custody else {
            return;
        };
        let (server, mark, vm) = (custody.server, custody.mark, custody.vm);
        let first = custody.attempt.number == 0;
        if !custody.attempt.again(again, attempts) {
            return self.recover(now, WhySkipped::NoAcknowledgement(server));
        }
        if first {
            self.report(Report::InDoubt { server, mark });
        }
        self.answer(server, Message::CustodyRequest { mark, highest, vm });
    }

    /// The token goes on from the copy, in a new epoch (rule R2), after the VM that it was lost with.
    fn recover(&mut self, now: Instant, why: WhySkipped) {
        let Some(custody) = self.state.custody.take() else {
            return;
        };
        let Some(token) = self.state.copy.take() else {
            return;
        };
        if self.state.holding.is_some() {
            return;
        }
        self.hold(token, None, now);
        if self.config.has(Mutation::RecoveryKeepsEpoch) || self.new_epoch(now) {
            let (from, mark) = (custody.server, self.state.highest);
            self.report(Report::Recovered { from, mark });
            self.forget_silent(why);
            self.skip(now, why);
        }
    }

    /// What a predecessor is told of a token that it sent under this mark, and that is not news here.
    pub(super) fn verdict_on(&self, mark: Mark) -> TokenVerdict {
        let highest = self.state.highest;
        let before = |later: Mark| mark.epoch == later.epoch && mark < later;
        if let Some(holding) = &self.state.holding
            && holding.token.mark() >= highest
            && let Some(from) = holding.from
        {
            if mark == from.mark {
                return TokenVerdict::Accepted;
            }
            if before(from.mark) {
                return TokenVerdict::HandedOn;
            }
        }
        let handed_on = self.state.handed_on;
        if mark == handed_on || before(handed_on) {
            TokenVerdict::HandedOn
        } else {
            TokenVerdict::Stale(highest)
        }
    }

    pub(super) fn custody_request(&mut self, sender: ServerId, mark: Mark, highest: Mark) {
        self.raise(highest);
        let message = match (self.verdict_on(mark), &self.state.holding) {
            (TokenVerdict::Accepted, Some(holding)) => {
                let current = holding.base;
                Message::KeepAlive { mark, current }
            }
            (verdict, _) => Message::TokenAck { mark, verdict },
        };
        self.answer(sender, message);
    }

    /// The successor says that it still has the token.
    pub(super) fn keep_alive(&mut self, now: Instant, sender: ServerId, mark: Mark, current: Mark) {
        if current.epoch < self.state.highest.epoch {
            let mark = self.state.highest;
            return self.answer(sender, Message::Yield { mark, vm: None });
        }
        self.raise(current);
        self.alive(now, sender);
        let doubt = self.first_doubt(now);
        let watched = |custody: &&mut Custody| custody.server == sender && custody.mark == mark;
        if let Some(custody) = self.state.custody.as_mut().filter(watched)
            && !self.config.has(Mutation::KeepAliveIgnored)
        {
            custody.current = current;
            custody.attempt = doubt;
        }
    }

    /// What the successor says of a token that it had accepted.
    pub(super) fn custody_ack(
        &mut self,
        now: Instant,
        sender: ServerId,
        mark: Mark,
        verdict: TokenVerdict,
    ) {
        let watched = |custody: &Custody| custody.server == sender && custody.mark == mark;
        if !self.state.custody.as_ref().is_some_and(watched) {
            return;
        }
        match verdict {
            TokenVerdict::HandedOn => {
                self.state.custody = None;
                self.alive(now, sender);
            }
            // It was started again and does not have the token any more.
            TokenVerdict::Stale(highest) if highest.epoch == mark.epoch => {
                self.recover(now, WhySkipped::Forgotten(sender));
            }
            TokenVerdict::Stale(highest) => {
                self.raise(highest);
                self.state.custody = None;
            }
            // A second copy of the acknowledgement that began the custody, or one of another try.
            TokenVerdict::Accepted | TokenVerdict::NotHosted | TokenVerdict::Malformed => {}
        }
    }

    pub(super) fn keep_alive_at(&self) -> Option<Instant> {
        let holding = self.state.holding.as_ref()?;
        Some(holding.from?.tell_at)
    }

    pub(super) fn send_keep_alive(&mut self, now: Instant) {
        let again = now + self.config.timing.keep_alive;
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        let Some(from) = &mut holding.from else {
            return;
        };
        from.tell_at = again;
        let (server, mark, current) = (from.server, from.mark, holding.base);
        if holding.token.mark() >= self.state.highest {
            self.answer(server, Message::KeepAlive { mark, current });
        }
    }
}
