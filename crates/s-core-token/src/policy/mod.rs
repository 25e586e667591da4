//! Passing policies: which VM decides next (thesis 4.1).

mod distributed;
mod global;
mod kind;
mod load_aware;
mod round_robin;

use core::fmt;

use s_core_model::Rate;

pub use distributed::Distributed;
pub use global::Global;
pub use kind::PolicyKind;
pub use load_aware::LoadAware;
pub use round_robin::RoundRobin;

use crate::{SlotKind, Statistic, Token};

/// What the node found out about the holder while it held the token.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct VisitReport {
    /// The VM's aggregate load: the sum of λ(u, v) over all v.
    pub load: Rate,
    /// The greatest cost reduction that ending at one server with one of its peers would bring: the
    /// maximum over v of 2 λ(u, v) times the path cost at ℓ(u, v), in bytes per second times link
    /// weight.
    pub greatest_pair_reduction: f64,
}

/// Says which VM gets the token next, and what each holder reports about itself.
///
/// A policy has no state: all it knows stands in the token, since the next call is made on another
/// host. Write one of your own and give it a code of 128 or more:
///
/// ```
/// use s_core_model::{Level, VmId};
/// use s_core_token::{Limits, Mark, PassingPolicy, Token, VisitOrder};
///
/// /// Like Algorithm 1, but ends the round below level 2.
/// #[derive(Debug)]
/// struct CoreOnly;
///
/// impl PassingPolicy for CoreOnly {
///     fn code(&self) -> u8 {
///         200
///     }
///     fn name(&self) -> &str {
///         "core-only"
///     }
///     fn begin_round(&self, token: &mut Token) -> usize {
///         token.first(VisitOrder::Level)
///     }
///     fn next(&self, token: &mut Token) -> Option<usize> {
///         let next = token.following(VisitOrder::Level)?;
///         (token.level(next) >= Level::new(2)).then_some(next)
///     }
/// }
///
/// let vms = [VmId::new(1), VmId::new(2), VmId::new(3)];
/// let mut token = Token::new(&vms, &CoreOnly, Mark::default(), Limits::default())?;
/// token.set_own_level(Level::new(2));
/// let step = token.pass(&CoreOnly, false);
/// assert_eq!((step.id, step.new_round), (vms[0], true));
/// # Ok::<(), s_core_token::SlotsError>(())
/// ```
pub trait PassingPolicy: fmt::Debug + Send + Sync {
    /// The byte that names the policy in the token's header: 0 to 3 are this crate's, 4 to 127 are
    /// reserved, 128 to 255 are users' own.
    fn code(&self) -> u8;

    /// The name in configurations and logs.
    fn name(&self) -> &str;

    /// The kind of slot that the policy needs; [`SlotKind::Extended`] if it uses a [`statistic`](Self::statistic).
    fn slot_kind(&self) -> SlotKind {
        SlotKind::Basic
    }

    /// Whether a new token's slots are sorted by id. Ascending tokens are cheaper to check; say no
    /// only if the order of the slots means something to the policy.
    fn ascending(&self) -> bool {
        true
    }

    /// What the holder writes into its own slot, or `None` if the policy uses no statistic.
    fn statistic(&self, _report: &VisitReport) -> Option<Statistic> {
        None
    }

    /// The position of the VM that gets the token after its holder in the same round, or `None` if
    /// the round is exhausted. The position is below [`Token::len`].
    ///
    /// The holder has written its own slot by now; [`Token::visit`] is how the token found it.
    fn next(&self, token: &mut Token) -> Option<usize>;

    /// Prepares a round, and the position of the VM that it begins with, which is below
    /// [`Token::len`]. Called for a new token too. The one place where a policy may cost O(n log n).
    fn begin_round(&self, token: &mut Token) -> usize;
}
