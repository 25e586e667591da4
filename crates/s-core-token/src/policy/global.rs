//! Global: an order computed centrally.

use alloc::vec::Vec;
use core::cmp::Reverse;

use super::round_robin::slot_after_holder;
use super::{PassingPolicy, PolicyKind, VisitReport};
use crate::{SlotKind, Statistic, Token};

/// Passes the token in slot order, which is computed anew for each round at the host where the round
/// begins: the VMs with the greatest pairwise cost reductions first (thesis 4.1), by id among equals.
///
/// The reductions are those that each VM reported when it last held the token; a VM that never held
/// it counts as zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Global;

impl PassingPolicy for Global {
    fn code(&self) -> u8 {
        PolicyKind::Global.code()
    }

    fn name(&self) -> &str {
        PolicyKind::Global.name()
    }

    fn slot_kind(&self) -> SlotKind {
        SlotKind::Extended
    }

    fn ascending(&self) -> bool {
        false
    }

    fn statistic(&self, report: &VisitReport) -> Option<Statistic> {
        Some(Statistic::from_f64(report.greatest_pair_reduction))
    }

    fn next(&self, token: &mut Token) -> Option<usize> {
        slot_after_holder(token)
    }

    fn begin_round(&self, token: &mut Token) -> usize {
        let mut order: Vec<usize> = (0..token.len()).collect();
        order.sort_unstable_by_key(|&position| {
            (Reverse(token.statistic(position)), token.id(position))
        });
        token.permute(&order);
        0
    }
}
