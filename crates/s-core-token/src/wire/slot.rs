//! Slots on the wire: Fig. 4.1, and its extension by a statistic.

use s_core_model::{Level, VmId};

use crate::{Statistic, TokenError};

/// How much a slot carries. All slots of a token are of one kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SlotKind {
    /// Id and level: the 5 bytes of Fig. 4.1.
    Basic,
    /// The basic slot and a [`Statistic`]: 9 bytes.
    Extended,
}

impl SlotKind {
    /// The byte that names this kind in the header.
    pub const fn code(self) -> u8 {
        match self {
            Self::Basic => 0,
            Self::Extended => 1,
        }
    }

    /// Bytes of one slot.
    #[expect(
        clippy::len_without_is_empty,
        reason = "the size of a slot, which is never empty"
    )]
    pub const fn len(self) -> usize {
        match self {
            Self::Basic => 5,
            Self::Extended => 9,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Result<Self, TokenError> {
        match code {
            0 => Ok(Self::Basic),
            1 => Ok(Self::Extended),
            _ => Err(TokenError::UnknownSlotKind(code)),
        }
    }
}

/// One VM in the token (Fig. 4.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Slot {
    /// ID_u.
    pub id: VmId,
    /// l_u: the highest level that the VM is known to communicate over.
    pub level: Level,
    /// The VM's statistic; [`Statistic::ZERO`] in a basic slot, which does not carry it.
    pub statistic: Statistic,
}

impl Slot {
    /// Reads the `kind.len()` bytes of a slot. A statistic that [`TokenView`](crate::TokenView)
    /// would have refused reads as zero.
    pub(crate) fn parse(kind: SlotKind, bytes: &[u8]) -> Self {
        let statistic = match kind {
            SlotKind::Basic => Statistic::ZERO,
            SlotKind::Extended => Statistic::from_bits(statistic_bits(bytes)).unwrap_or_default(),
        };
        Self {
            id: slot_id(bytes),
            level: Level::new(bytes[4]),
            statistic,
        }
    }

    /// Writes the `kind.len()` bytes of a slot.
    pub(crate) fn emit(self, kind: SlotKind, bytes: &mut [u8]) {
        bytes[..4].copy_from_slice(&self.id.get().to_be_bytes());
        bytes[4] = self.level.get();
        match kind {
            SlotKind::Basic => {}
            SlotKind::Extended => {
                bytes[5..9].copy_from_slice(&self.statistic.to_bits().to_be_bytes());
            }
        }
    }
}

pub(crate) fn slot_id(slot: &[u8]) -> VmId {
    VmId::new(u32::from_be_bytes([slot[0], slot[1], slot[2], slot[3]]))
}

pub(crate) fn statistic_bits(slot: &[u8]) -> u32 {
    u32::from_be_bytes([slot[5], slot[6], slot[7], slot[8]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let slot = Slot {
            id: "10.0.1.11".parse().unwrap(),
            level: Level::new(3),
            statistic: Statistic::from_f64(1.0),
        };
        let mut bytes = [0; 9];
        slot.emit(SlotKind::Basic, &mut bytes[..5]);
        assert_eq!(bytes, [10, 0, 1, 11, 3, 0, 0, 0, 0]);
        assert_eq!(
            Slot::parse(SlotKind::Basic, &bytes[..5]),
            Slot {
                statistic: Statistic::ZERO,
                ..slot
            }
        );
        slot.emit(SlotKind::Extended, &mut bytes);
        assert_eq!(bytes, [10, 0, 1, 11, 3, 0x3f, 0x80, 0, 0]);
        assert_eq!(Slot::parse(SlotKind::Extended, &bytes), slot);
    }
}
