//! Round-robin: strict slot order.

use super::{PassingPolicy, PolicyKind};
use crate::Token;

/// Passes the token in strict slot order, which is that of the token's construction (thesis 4.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct RoundRobin;

impl PassingPolicy for RoundRobin {
    fn code(&self) -> u8 {
        PolicyKind::RoundRobin.code()
    }

    fn name(&self) -> &str {
        PolicyKind::RoundRobin.name()
    }

    fn ascending(&self) -> bool {
        false
    }

    fn next(&self, token: &mut Token) -> Option<usize> {
        slot_after_holder(token)
    }

    fn begin_round(&self, _: &mut Token) -> usize {
        0
    }
}

/// The position after the holder's, if there is one.
pub(super) fn slot_after_holder(token: &Token) -> Option<usize> {
    let next = token.holder() + 1;
    (next < token.len()).then_some(next)
}
