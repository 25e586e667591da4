//! A visit of the token ends: the holder migrates, or stays.

use s_core_model::{Levels, VmId};

use super::Node;
use super::holding::{Cost, Holding, InFlight, Offer, Phase};
use super::io::{Action, Outcome, Report, WhyStayed};
use super::open::Open;
use crate::message::Message;
use crate::mutation::Mutation;
use crate::time::Instant;

impl<L: Levels> Node<L> {
    pub(super) fn migrate(&mut self, now: Instant, offer: Offer, cost_before: Cost) {
        let deadline = self.config.timing.migration;
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        let vm = holding.token.holder_id();
        self.state.in_flight = Some(InFlight {
            vm,
            offer,
            cost_before,
            mark: holding.token.mark(),
        });
        holding.phase = Phase::Migrating {
            // The driver ends it at the deadline; this is for a driver that does not.
            until: now + deadline + deadline / 10,
        };
        // After a crash, the VM may be there or here.
        self.persist();
        let (target, gain) = (offer.server, offer.gain.get());
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
            if self.config.has(Mutation::LateAnswerTrusted) {
                self.state.open.remove(&vm);
            }
            return;
        };
        let target = flight.offer.server;
        match outcome {
            Outcome::Moved => {
                self.state.hosted.remove(&vm);
                let bound = self.config.bounds.locations;
                self.state.locations.learn(vm, target, bound);
                self.report(Report::Migrated {
                    vm,
                    source: self.config.server,
                    target,
                    gain: flight.offer.gain.get(),
                    cost_before: flight.cost_before.get(),
                });
            }
            Outcome::StayedHere if self.config.has(Mutation::ReservationNotReleased) => {}
            Outcome::Unknown if self.config.has(Mutation::OutcomeGuessed) => {}
            Outcome::StayedHere => {
                let mark = flight.mark;
                self.answer(target, Message::Release { mark, vm });
            }
            Outcome::Unknown => self.state.open.extend([Open::new(flight.open())]),
        }
        // What was made durable before it began is closed with the next mark.
        self.actions.push_back(Action::ListHosted);
        // The visit that decided it goes on, unless another token has come or time has run out.
        let visit = |holding: &Holding| holding.is_migrating() && holding.token.holder_id() == vm;
        if self.state.holding.as_ref().is_some_and(visit) {
            match outcome {
                Outcome::Moved => self.finish_visit(now, target, true),
                Outcome::StayedHere => self.stay(now, WhyStayed::MigrationFailed { target }),
                Outcome::Unknown => self.stay(now, WhyStayed::OutcomeUnknown { target }),
            }
        }
    }

    /// The driver has not said how it ended. The visit is over; the migration is not, and no other
    /// one begins here before it is.
    pub(super) fn migration_timeout(&mut self, now: Instant) {
        if let Some(flight) = self.state.in_flight {
            let target = flight.offer.server;
            self.stay(now, WhyStayed::OutcomeUnknown { target });
        }
    }

    pub(super) fn stay(&mut self, now: Instant, why: WhyStayed) {
        let Some(holding) = &mut self.state.holding else {
            return;
        };
        let vm = holding.token.holder_id();
        // Whether the VM was asked at all: if not, the round says nothing about it.
        let (seen, asked) = match why {
            WhyStayed::NotMeasured | WhyStayed::Gone => (false, false),
            WhyStayed::Busy | WhyStayed::CoolingDown { .. } => (true, false),
            _ => (true, true),
        };
        if !asked {
            holding.token.unsettle();
        }
        self.report(Report::Stayed { vm, why });
        if seen {
            self.finish_visit(now, self.config.server, false);
        } else {
            self.go_on(now, false);
        }
    }
}
