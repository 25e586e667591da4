//! Global: an order computed centrally.

use alloc::vec::Vec;

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
        // The statistic, falling, above the rank by id: sorted as whole numbers, without looking anything up.
        let key = |rank: u32| {
            let statistic = token.statistic(token.position_of_rank(rank as usize));
            u64::from(!statistic.to_bits()) << u32::BITS | u64::from(rank)
        };
        let mut keys: Vec<u64> = (0..token.len() as u32).map(key).collect();
        keys.sort_unstable();
        let position =
            |key: u64| token.position_of_rank((key & u64::from(u32::MAX)) as usize) as u32;
        let order: Vec<u32> = keys.into_iter().map(position).collect();
        token.permute(&order);
        0
    }
}
