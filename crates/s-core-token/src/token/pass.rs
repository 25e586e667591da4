//! Handing the token on.

use s_core_model::VmId;

use super::Token;
use super::order::Index;
use crate::{PassingPolicy, SlotKind, Statistic};

/// Where the token goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Step {
    /// The position of the new holder's slot.
    pub position: usize,
    /// The new holder.
    pub id: VmId,
    /// Whether the new holder begins a new round.
    pub new_round: bool,
}

impl Token {
    /// Hands the token from its holder to the next VM by the policy, and keeps the rounds' books.
    ///
    /// `migrated` says whether the holder migrated. When the policy has exhausted the round, the
    /// round number rises, the round is judged quiet or not, and the policy begins the next. The
    /// mark stays: it is the node's to set.
    ///
    /// To skip a successor that cannot be found, pass again with `migrated` false: the token goes on
    /// from there as if it had been visited.
    pub fn pass(&mut self, policy: &dyn PassingPolicy, migrated: bool) -> Step {
        if migrated {
            self.migrations = self.migrations.saturating_add(1);
            self.quiet_rounds = 0;
        }
        let next = policy.next(self);
        match next {
            Some(position) => self.hand_to(position),
            None => {
                if self.migrations == 0 && !self.unsettled {
                    self.quiet_rounds = self.quiet_rounds.saturating_add(1);
                } else {
                    self.quiet_rounds = 0;
                }
                self.round = self.round.saturating_add(1);
                self.start_round(policy);
            }
        }
        Step {
            position: self.holder,
            id: self.holder_id(),
            new_round: next.is_none(),
        }
    }

    /// Begins the round anew with these statistics, which were gathered centrally (thesis 4.1,
    /// global), in slot order. Basic slots have no place for them.
    ///
    /// # Panics
    ///
    /// Unless there are as many statistics as slots.
    pub fn restart_round(&mut self, policy: &dyn PassingPolicy, statistics: &[Statistic]) {
        assert_eq!(statistics.len(), self.len(), "one statistic per slot");
        if self.kind == SlotKind::Extended {
            self.statistics.copy_from_slice(statistics);
            self.index = Index::default();
        }
        self.start_round(policy);
    }
}
