//! Load-aware: Algorithm 1 with the busiest VM of a level first.

use super::{PassingPolicy, PolicyKind, VisitReport};
use crate::{SlotKind, Statistic, Token, VisitOrder};

/// Like [`Distributed`](crate::Distributed), but within a level the VM with the highest aggregate
/// load comes first, and the id only decides among equals (thesis 4.1).
///
/// A VM's load in the token is the one it reported when it last held it; zero before. A holder that
/// reports a lower load than it was found with stands ahead of the cursor again, and is visited
/// once more in the same round.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct LoadAware;

impl PassingPolicy for LoadAware {
    fn code(&self) -> u8 {
        PolicyKind::LoadAware.code()
    }

    fn name(&self) -> &str {
        PolicyKind::LoadAware.name()
    }

    fn slot_kind(&self) -> SlotKind {
        SlotKind::Extended
    }

    fn ascending(&self) -> bool {
        true
    }

    fn statistic(&self, report: &VisitReport) -> Option<Statistic> {
        Some(Statistic::from(report.load))
    }

    fn next(&self, token: &mut Token) -> Option<usize> {
        token.following(VisitOrder::LevelThenStatistic)
    }

    fn begin_round(&self, token: &mut Token) -> usize {
        token.first(VisitOrder::LevelThenStatistic)
    }
}
