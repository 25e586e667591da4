//! Distributed: Algorithm 1.

use super::{PassingPolicy, PolicyKind};
use crate::{Token, VisitOrder};

/// Passes the token among the VMs at the highest level, by rising id, then at the next lower level,
/// and so on (Algorithm 1).
///
/// The algorithm as printed does not end: its inner loop has no bound, and its line 13 assigns where
/// it must compare. It is read so: the order is (level falling, id rising), there is no wrap within
/// one level, and `c1` is the level at which the holder was visited, before its own update. When the
/// levels are exhausted, a new round begins with the lowest id at the highest level (line 21).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Distributed;

impl PassingPolicy for Distributed {
    fn code(&self) -> u8 {
        PolicyKind::Distributed.code()
    }

    fn name(&self) -> &str {
        PolicyKind::Distributed.name()
    }

    fn next(&self, token: &mut Token) -> Option<usize> {
        token.following(VisitOrder::Level)
    }

    fn begin_round(&self, token: &mut Token) -> usize {
        token.first(VisitOrder::Level)
    }
}
