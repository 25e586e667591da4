//! Receiving the token (thesis 4.2.3).

use alloc::vec::Vec;

use bytes::Bytes;
use s_core_model::{Levels, Rate, ServerId};
use s_core_token::{Mark, Token, TokenView};

use super::Node;
use super::holding::{Holding, Phase, Predecessor};
use super::io::{Action, BadToken, Report};
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
}
