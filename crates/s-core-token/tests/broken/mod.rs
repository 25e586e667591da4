//! Two readings of Algorithm 1 that starve VMs, to prove that the tests see it.

use s_core_model::Level;
use s_core_token::{PassingPolicy, SlotKind, Statistic, Token, VisitOrder, VisitReport};

/// The first VM after the holder at exactly this level, wrapping if told to; else the first VM at
/// the next lower level that occurs.
fn scan(token: &Token, c1: Level, wrap: bool) -> Option<usize> {
    let holder = token.holder();
    let at_level = |&position: &usize| token.level(position) == c1;
    let lower = (0..token.len()).filter(|&p| token.level(p) < c1);
    (holder + 1..token.len())
        .find(at_level)
        .or_else(|| (0..holder).find(|p| wrap && at_level(p)))
        .or_else(|| lower.min_by_key(|&p| (std::cmp::Reverse(token.level(p)), p)))
}

macro_rules! broken_policy {
    ($(#[$doc:meta])* $name:ident, $next:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name;

        impl PassingPolicy for $name {
            fn code(&self) -> u8 {
                255
            }
            fn name(&self) -> &str {
                stringify!($name)
            }
            fn slot_kind(&self) -> SlotKind {
                SlotKind::Basic
            }
            fn ascending(&self) -> bool {
                true
            }
            fn statistic(&self, _: &VisitReport) -> Option<Statistic> {
                None
            }
            fn next(&self, token: &mut Token) -> Option<usize> {
                $next(token)
            }
            fn begin_round(&self, token: &mut Token) -> usize {
                token.first(VisitOrder::Level)
            }
        }
    };
}

broken_policy! {
    /// Continues from the level that the holder has just written.
    C1AfterUpdate, |token: &Token| scan(token, token.level(token.holder()), false)
}

broken_policy! {
    /// Goes round within a level as long as it has VMs, as line 8's ⊕ suggests.
    WrapWithinLevel, |token: &Token| scan(token, token.visit().level, true)
}
