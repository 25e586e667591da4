//! What a run has seen, for the marks that a batch has to hit.

use s_core_model::VmId;
use s_core_proto::{Action, Arrival, CapacityAnswer, Durable, Input, Message, Report, WhySkipped};
use s_core_token::Mark;

use super::describe;
use super::phases::Phase;
use super::setting;
use super::sometimes::Sometimes;
use super::truth::Migration;
use super::world::World;

/// What is remembered to recognise a mark of [`Sometimes`].
#[derive(Clone, Debug)]
pub(super) struct Notes {
    /// The mark of the last token that each server acted on.
    acted_on: Vec<Mark>,
    /// The VM whose rates each server's node has asked for last.
    pub(super) measuring: Vec<Option<VmId>>,
    in_doubt: Vec<bool>,
    claiming: Vec<bool>,
    /// The process of each server that has been told to stop while it held the token.
    pub(super) leaving: Vec<Option<u64>>,
    /// A token with the last sequence number was seen.
    last_number: Option<Mark>,
    /// Who handed the token over last, by which process, and to whom.
    pub(super) passed: Option<(usize, u64, usize)>,
}

impl Notes {
    pub(super) fn new(servers: usize) -> Self {
        Self {
            acted_on: vec![Mark::default(); servers],
            measuring: vec![None; servers],
            in_doubt: vec![false; servers],
            claiming: vec![false; servers],
            leaving: vec![None; servers],
            last_number: None,
            passed: None,
        }
    }
}

impl World {
    pub(super) fn trace_input(&mut self, host: usize, input: &Input) {
        if let Input::Received { message, .. } = input {
            let doubt = &mut self.notes.in_doubt[host];
            if matches!(message, Message::KeepAlive { .. }) && std::mem::take(doubt) {
                self.marks.hit(Sometimes::DoubtEnded);
            }
        } else if self.trace.is_on()
            && let Some(text) = describe::input(input)
        {
            self.line(host, || format!("← {text}"));
        }
    }

    /// Whether these rates are the first that come for the VM that the node waits for.
    pub(super) fn is_measuring(&self, host: usize, vm: VmId) -> bool {
        self.notes.measuring[host] == Some(vm)
    }

    pub(super) fn trace_action(&mut self, host: usize, action: &Action) {
        self.line(host, || describe::action(action));
        if let Action::Measure(vm) = action {
            self.notes.measuring[host] = Some(*vm);
        }
        if let Action::Send { message, .. } = action {
            match message {
                Message::Join { .. } => self.marks.hit(Sometimes::JoinAsked),
                Message::CapacityResponse {
                    answer: CapacityAnswer::Stale(_),
                    ..
                } => self.marks.hit(Sometimes::CapacityFenced),
                Message::OutcomeResponse {
                    arrival: Arrival::Arriving,
                    ..
                } => self.marks.hit(Sometimes::ToldArriving),
                _ => {}
            }
        }
    }

    pub(super) fn note_report(&mut self, host: usize, report: &Report) {
        let mark = match report {
            Report::Holding { vm, mark } => {
                if vm.get() >= setting::vm_id(self.knobs.vms).get() {
                    self.marks.hit(Sometimes::NewcomerJoined);
                }
                return self.note_holding(host, *vm, *mark);
            }
            Report::Superseded { .. } => Sometimes::TokenFenced,
            Report::Skipped { why, .. } => match why {
                WhySkipped::NoAcknowledgement(_) => Sometimes::SuccessorSkipped,
                WhySkipped::Forgotten(_) => Sometimes::SuccessorForgot,
                WhySkipped::NotFound => Sometimes::SlotRemoved,
                WhySkipped::Refused(_) => return,
            },
            Report::Recovered { .. } => Sometimes::CustodyRecovered,
            Report::Minted { .. } if std::mem::take(&mut self.notes.claiming[host]) => {
                Sometimes::ClaimMinted
            }
            Report::Parked { .. } => {
                self.notes.claiming[host] = false;
                Sometimes::ClaimParked
            }
            Report::OutcomeKnown { moved: true, .. } => Sometimes::UnknownMoved,
            Report::OutcomeKnown { .. } => Sometimes::UnknownStayed,
            Report::RoundEnded { quiet_rounds, .. } => {
                self.round_ended(*quiet_rounds);
                if *quiet_rounds < self.knobs.quiet_rounds {
                    return;
                }
                Sometimes::TokenRested
            }
            Report::Claiming { .. } => {
                self.notes.claiming[host] = true;
                return;
            }
            Report::InDoubt { .. } => {
                self.notes.in_doubt[host] = true;
                return;
            }
            Report::Passed { server, .. } => {
                let to = self.hosts.iter().position(|host| host.id == *server);
                let process = self.hosts[host].process;
                if self.notes.leaving[host].take() == Some(process) {
                    self.marks.hit(Sometimes::TokenGivenAway);
                }
                self.notes.passed = to.map(|to| (host, process, to));
                return;
            }
            _ => return,
        };
        self.marks.hit(mark);
    }

    fn note_holding(&mut self, host: usize, vm: VmId, mark: Mark) {
        self.hops += 1;
        self.notes.acted_on[host] = mark;
        self.notes.in_doubt[host] = false;
        if self.epochs_held() > 1 {
            self.marks.hit(Sometimes::TwoTokens);
        }
        if mark.seq == u64::MAX {
            self.notes.last_number = Some(mark);
        } else if self.notes.last_number.is_some_and(|last| last < mark) {
            self.notes.last_number = None;
            self.marks.hit(Sometimes::SequenceWrapped);
        }
        self.visited(vm);
    }

    /// How many tokens there are, told apart by the epochs in which they were acted on last.
    pub(super) fn epochs_held(&self) -> usize {
        let held = self.hosts.iter().zip(&self.notes.acted_on);
        let mut epochs: Vec<_> = held
            .filter(|(host, _)| host.holds())
            .map(|(_, mark)| mark.epoch)
            .collect();
        epochs.sort_unstable();
        epochs.dedup();
        epochs.len()
    }

    pub(super) fn note_crash(&mut self, host: usize) {
        self.notes.in_doubt[host] = false;
        self.notes.claiming[host] = false;
        if self.hosts[host].holds() {
            self.marks.hit(Sometimes::TokenLost);
        }
    }

    pub(super) fn note_start(&mut self, durable: &Durable) {
        if !durable.migrations.is_empty() {
            self.marks.hit(Sometimes::AskedAfterRestart);
        }
    }

    pub(super) fn note_healed(&mut self) {
        if self.epochs_held() > 1 && self.phase == Phase::Safety {
            self.marks.hit(Sometimes::PartitionHealed);
        }
    }

    pub(super) fn note_end(&mut self, migration: &Migration) {
        if migration.told {
            self.marks.hit(if migration.moves {
                Sometimes::MovedAfterDeadline
            } else {
                Sometimes::FailedAfterDeadline
            });
        }
    }
}
