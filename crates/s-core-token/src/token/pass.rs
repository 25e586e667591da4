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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Mark, PolicyKind};
    use alloc::vec::Vec;

    #[test]
    fn a_restarted_round_goes_by_the_statistics_gathered() {
        let ids: Vec<VmId> = (1..=3).map(VmId::new).collect();
        let statistics = [1.0, 3.0, 2.0].map(Statistic::from_f64);
        for (kind, wanted) in [
            (PolicyKind::RoundRobin, [1, 2, 3]),
            (PolicyKind::Global, [2, 3, 1]),
            (PolicyKind::Distributed, [1, 2, 3]),
            (PolicyKind::LoadAware, [2, 3, 1]),
        ] {
            let policy = kind.build();
            let mut token = Token::new(&ids, &*policy, Mark::default(), Limits::default()).unwrap();
            // Far enough for an index to be built, which must not outlive the statistics.
            token.pass(&*policy, false);
            token.pass(&*policy, true);
            token.restart_round(&*policy, &statistics);
            assert_eq!((token.round(), token.migrations()), (0, 0));
            let mut visited = alloc::vec![token.holder_id().get()];
            visited.extend([(); 2].map(|()| token.pass(&*policy, false).id.get()));
            assert_eq!(visited, wanted, "{kind}");
        }
    }
}
