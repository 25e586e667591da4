//! A checked view over a received frame.

use s_core_model::VmId;

use super::check::check_frame;
use super::{HEADER_LEN, Limits, Slot, SlotKind, bytes_at, field, flag, u32_at};
use crate::{Mark, TokenError};

/// A token frame, read where it lies and, over a mutable buffer, patched where it lies.
///
/// [`new_checked`](TokenView::new_checked) is the only way to a view; after it no accessor panics
/// and every setter leaves a frame that would pass the check again. The buffer must show the same
/// bytes at each `as_ref`, as slices, vectors, `Bytes` and `BytesMut` do.
///
/// ```
/// use s_core_model::{Level, VmId};
/// use s_core_token::{Limits, Mark, PolicyKind, Token, TokenView};
///
/// let policy = PolicyKind::RoundRobin.build();
/// let vms = [VmId::new(1), VmId::new(2)];
/// let token = Token::new(&vms, policy.as_ref(), Mark::default(), Limits::default())?;
///
/// let mut view = TokenView::new_checked(token.encode(), Limits::default())?;
/// view.set_level(0, Level::new(2))?;
/// view.set_holder(1)?;
/// let forwarded = view.into_inner().freeze();
/// assert_eq!(forwarded[54..59], [0, 0, 0, 1, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenView<T> {
    pub(super) buffer: T,
    kind: SlotKind,
    count: u32,
}

impl<T: AsRef<[u8]>> TokenView<T> {
    /// Checks a whole frame: header, length, holder, ids, statistics.
    ///
    /// Costs O(n) in the number of slots; O(n log n) and 4 bytes of memory per slot when ids do not
    /// ascend. Nothing is allocated before the count has passed `limits`.
    ///
    /// The policy's code is not checked: see [`PolicyKind::from_code`](crate::PolicyKind::from_code).
    ///
    /// # Errors
    ///
    /// The [`TokenError`] that names the first thing found wrong.
    pub fn new_checked(buffer: T, limits: Limits) -> Result<Self, TokenError> {
        let (kind, count) = check_frame(buffer.as_ref(), limits)?;
        Ok(Self {
            buffer,
            kind,
            count,
        })
    }

    /// The kind of all slots.
    pub const fn slot_kind(&self) -> SlotKind {
        self.kind
    }

    /// The number of slots, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a token is never empty")]
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// The code of the passing policy.
    pub fn policy_code(&self) -> u8 {
        self.header()[field::POLICY]
    }

    /// Whether the ids ascend from slot to slot, by the sender's promise and the check.
    pub fn is_ascending(&self) -> bool {
        self.header()[field::FLAGS] & flag::ASCENDING != 0
    }

    /// Whether the round may pass a VM over: see [`Token::is_unsettled`](crate::Token::is_unsettled).
    pub fn is_unsettled(&self) -> bool {
        self.header()[field::FLAGS] & flag::UNSETTLED != 0
    }

    /// The mark.
    pub fn mark(&self) -> Mark {
        Mark::from_bytes(bytes_at(self.header(), field::MARK))
    }

    /// The number of rounds begun before this one.
    pub fn round(&self) -> u32 {
        u32_at(self.header(), field::ROUND)
    }

    /// The whole rounds in a row that proved quiet: see [`Token::quiet_rounds`](crate::Token::quiet_rounds).
    pub fn quiet_rounds(&self) -> u16 {
        u16::from_be_bytes(bytes_at(self.header(), field::QUIET_ROUNDS))
    }

    /// The migrations of this round so far.
    pub fn migrations(&self) -> u32 {
        u32_at(self.header(), field::MIGRATIONS)
    }

    /// The position of the slot of the VM that holds the token or is to receive it.
    pub fn holder_position(&self) -> usize {
        u32_at(self.header(), field::HOLDER_POSITION) as usize
    }

    /// The VM that holds the token or is to receive it.
    pub fn holder_id(&self) -> VmId {
        VmId::new(u32_at(self.header(), field::HOLDER_ID))
    }

    /// The slot at a position, or `None` if there are not so many.
    pub fn slot(&self, position: usize) -> Option<Slot> {
        let at = self.slot_range(position)?;
        Some(Slot::parse(self.kind, &self.buffer.as_ref()[at]))
    }

    /// All slots, in slot order.
    pub fn slots(&self) -> impl ExactSizeIterator<Item = Slot> + '_ {
        let kind = self.kind;
        let slots = &self.buffer.as_ref()[HEADER_LEN..];
        slots
            .chunks_exact(kind.len())
            .map(move |slot| Slot::parse(kind, slot))
    }

    /// The frame.
    pub fn as_bytes(&self) -> &[u8] {
        self.buffer.as_ref()
    }

    /// The buffer, to be forwarded.
    pub fn into_inner(self) -> T {
        self.buffer
    }

    fn header(&self) -> &[u8] {
        &self.buffer.as_ref()[..HEADER_LEN]
    }

    pub(super) fn slot_range(&self, position: usize) -> Option<core::ops::Range<usize>> {
        let start = HEADER_LEN + position.checked_mul(self.kind.len())?;
        (position < self.len()).then(|| start..start + self.kind.len())
    }
}
