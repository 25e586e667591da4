//! A visit of the token ends: the holder migrates, or stays.

use s_core_model::{Levels, VmId};

use super::Node;
use super::holding::{Cost, InFlight, Offer, Phase};
use super::io::{Action, Outcome, Report, WhyStayed};
use crate::message::Message;
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
