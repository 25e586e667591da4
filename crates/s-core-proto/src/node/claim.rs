//! Signs of life of the token, and the claim to make a new one: the second line of recovery (rule R5).

use alloc::vec::Vec;

use s_core_model::{Levels, ServerId, VmId};
use s_core_token::{Mark, Token};

use super::Node;
use super::holding::{Attempt, Phase};
use super::io::{BadToken, Destination, Report};
use crate::message::Message;
use crate::time::Instant;

impl<L: Levels> Node<L> {
    /// A token is alive, as `by` shows: no other is needed.
    pub(super) fn alive(&mut self, now: Instant, by: ServerId) {
        self.state.alive_at = Some(now);
        if self.state.claim.take().is_some() {
            self.report(Report::Parked { by });
        }
    }

    /// The token that this server holds or keeps a copy of: a mark that is not on its way, and its round.
    fn living(&self) -> Option<(Mark, u32)> {
        if let Some(holding) = &self.state.holding
            && holding.token.mark() >= self.state.highest
        {
            return Some((holding.base, holding.token.round()));
        }
        let custody = self.state.custody.filter(|_| self.is_custodian())?;
        let copy = self.state.copy.as_ref()?;
        Some((custody.current, copy.round()))
    }

    pub(super) fn next_beacon_at(&self) -> Option<Instant> {
        let since = self.state.beacon_at;
        let held = self.state.holding.is_some();
        held.then_some(since + self.config.timing.beacon)
    }

    /// Tells all servers of the token that is held here; a lower one that anybody holds is dropped (rule R6).
    pub(super) fn send_beacon(&mut self, now: Instant) {
        self.state.beacon_at = now;
        let Some(holding) = &self.state.holding else {
            return;
        };
        let (mark, round) = (holding.base, holding.token.round());
        if holding.token.mark() >= self.state.highest {
            self.send(Destination::Everybody, Message::Beacon { mark, round });
        }
    }

    pub(super) fn beacon(&mut self, now: Instant, sender: ServerId, mark: Mark, round: u32) {
        if mark.epoch < self.state.highest.epoch {
            let mark = self.state.highest;
            return self.answer(sender, Message::Yield { mark, vm: None });
        }
        self.raise(mark);
        self.alive(now, sender);
        self.state.beacon_at = now;
        if let Some(custody) = &mut self.state.custody
            && custody.server == sender
        {
            custody.current = custody.current.max(mark);
        }
        self.ask_to_join(sender, mark, round);
    }

    /// The token has gone by for two rounds without coming here: none of the VMs here has a slot.
    fn ask_to_join(&mut self, sender: ServerId, mark: Mark, round: u32) {
        let (epoch, since) = &mut self.state.visited;
        if *epoch != mark.epoch || round < *since {
            (*epoch, *since) = (mark.epoch, round);
        }
        let passed_by = round - *since >= 2;
        if passed_by && let Some(vm) = self.one_of_ours() {
            self.answer(sender, Message::Join { vm });
        }
    }

    /// A VM elsewhere gets a slot now, or when the token is here next.
    pub(super) fn join(&mut self, now: Instant, vm: VmId) {
        if self.state.newcomers.len() < self.config.bounds.newcomers {
            self.state.newcomers.insert(vm);
        }
        let rested = now + self.config.timing.rest;
        if let Some(holding) = &mut self.state.holding {
            // What is being sent must stay as it is.
            if !matches!(holding.phase, Phase::Handing { .. }) {
                self.give_slots();
            }
        }
        if let Some(holding) = &mut self.state.holding
            && let Phase::Resting { until } = &mut holding.phase
        {
            *until = rested.min(*until);
        }
    }

    /// VMs that were born here, and those elsewhere that asked for it, get slots.
    pub(super) fn give_slots(&mut self) {
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        let newcomers = core::mem::take(&mut self.state.newcomers);
        let mut full = None;
        for vm in self.state.hosted.keys().chain(&newcomers) {
            if holding.token.position_of(*vm).is_none()
                && holding.token.insert(*vm, self.config.token_limits).is_err()
            {
                full = Some(*vm);
            }
        }
        if let Some(vm) = full {
            self.report(Report::TokenFull { vm });
        }
    }

    /// When this server has heard of no token for so long that it does something about it.
    pub(super) fn silence_at(&self) -> Option<Instant> {
        let state = &self.state;
        let nothing_to_mint_for = state.hosted.is_empty() && state.newcomers.is_empty();
        if state.holding.is_some() || state.custody.is_some() || state.leaving {
            return None;
        }
        if nothing_to_mint_for && state.copy.is_none() {
            return None;
        }
        match &state.claim {
            Some(attempt) => Some(attempt.until),
            None => {
                let timing = &self.config.timing;
                let stagger = timing.stagger.saturating_mul(self.here.get());
                Some(state.alive_at? + timing.silence + stagger)
            }
        }
    }

    pub(super) fn silence_timeout(&mut self, now: Instant) {
        let until = now + self.config.timing.answer;
        let attempts = self.config.bounds.attempts;
        let mark = self.state.highest;
        if let Some(claim) = &mut self.state.claim {
            if !claim.again(until, attempts) {
                return self.mint(now, Vec::new());
            }
        } else {
            self.state.claim = Some(Attempt { number: 1, until });
            self.report(Report::Claiming { mark });
        }
        self.send_claim(Destination::Everybody);
    }

    fn send_claim(&mut self, to: Destination) {
        let mark = self.state.highest;
        let round = self.state.copy.as_ref().map_or(0, Token::round);
        self.send(to, Message::Claim { mark, round });
    }

    /// Whoever knows of a living token says so. Of several servers that claim, the one that has seen the highest mark
    /// goes first, and among these the one with the highest address.
    pub(super) fn claim(&mut self, now: Instant, sender: ServerId, theirs: Mark, _round: u32) {
        let ours = self.state.highest;
        self.raise(theirs);
        if let Some((mark, round)) = self.living() {
            return self.answer(sender, Message::Beacon { mark, round });
        }
        if self.state.claim.is_some() && (ours, self.config.server) > (theirs, sender) {
            return self.send_claim(Destination::Server(sender));
        }
        self.alive(now, sender);
        // The new token shall come here: of the VMs that the claimant knows, none may be left.
        let vm = self.one_of_ours();
        if ours > theirs || vm.is_some() {
            let mark = self.state.highest;
            self.answer(sender, Message::Yield { mark, vm });
        }
    }

    /// A VM by which this server gets the token, unless it wants none.
    fn one_of_ours(&self) -> Option<VmId> {
        let first = self.state.hosted.first_key_value();
        first.filter(|_| !self.state.leaving).map(|(vm, _)| *vm)
    }

    /// Makes a token in a new epoch: for `vms`, for those of the last token that was here, and for those that run here.
    pub(super) fn mint(&mut self, now: Instant, mut vms: Vec<VmId>) {
        let from = self.config.server;
        let refuse = |node: &mut Self, why| node.report(Report::BadToken { from, why });
        self.state.claim = None;
        self.state.alive_at = Some(now);
        if self.state.holding.is_some() {
            return refuse(self, BadToken::HoldingAlready);
        }
        let Some(mark) = self.state.highest.new_epoch(from) else {
            return refuse(self, BadToken::MarksExhausted);
        };
        let copy = self.state.copy.take();
        let before = copy.as_ref().map_or(&[][..], Token::ids);
        vms.extend(before.iter().chain(self.state.hosted.keys()));
        vms.extend(core::mem::take(&mut self.state.newcomers));
        vms.sort_unstable();
        vms.dedup();
        let policy = &*self.config.policy;
        let Ok(token) = Token::new(&vms, policy, mark, self.config.token_limits) else {
            return refuse(self, BadToken::NoSlots);
        };
        self.state.custody = None;
        self.raise(mark);
        let vms = token.len();
        self.report(Report::Minted { mark, vms });
        self.hold(token, None, now);
        self.send_beacon(now);
        self.hand_on(now);
    }
}
