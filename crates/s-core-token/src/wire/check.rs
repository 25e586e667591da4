//! The checks that stand between a received frame and everything else.

use alloc::vec::Vec;

use s_core_model::VmId;

use super::slot::{slot_id, statistic_bits};
use super::{
    HEADER_LEN, Limits, MAGIC, SlotKind, VERSION, bytes_at, field, flag, frame_len, u32_at,
};
use crate::{Statistic, TokenError};

/// Checks a whole frame; its slot kind and slot count.
///
/// O(n), or O(n log n) and 4 bytes per slot of memory if the ids do not ascend.
pub(super) fn check_frame(frame: &[u8], limits: Limits) -> Result<(SlotKind, u32), TokenError> {
    let kind = check_constants(frame)?;
    let count = u32_at(frame, field::SLOT_COUNT);
    if count > limits.max_slots {
        return Err(TokenError::TooManySlots {
            count,
            limit: limits.max_slots,
        });
    }
    if count == 0 {
        return Err(TokenError::Empty);
    }
    check_length(frame.len(), kind, count)?;
    let slots = &frame[HEADER_LEN..];
    check_holder(frame, slots, kind, count)?;
    check_ids(slots, kind, frame[field::FLAGS] & flag::ASCENDING != 0)?;
    if kind == SlotKind::Extended {
        check_statistics(slots)?;
    }
    Ok((kind, count))
}

fn check_constants(frame: &[u8]) -> Result<SlotKind, TokenError> {
    if frame.len() < HEADER_LEN {
        return Err(TokenError::Truncated {
            needed: HEADER_LEN as u64,
            found: frame.len(),
        });
    }
    let magic = bytes_at(frame, field::MAGIC);
    if magic != MAGIC {
        return Err(TokenError::BadMagic { found: magic });
    }
    if frame[field::VERSION] != VERSION {
        return Err(TokenError::UnknownVersion(frame[field::VERSION]));
    }
    let kind = SlotKind::from_code(frame[field::SLOT_KIND])?;
    if frame[field::FLAGS] & !flag::ALL != 0 {
        return Err(TokenError::ReservedFlags(frame[field::FLAGS]));
    }
    match u32_at(frame, field::TOKEN_NUMBER) {
        0 => Ok(kind),
        number => Err(TokenError::UnknownTokenNumber(number)),
    }
}

fn check_length(found: usize, kind: SlotKind, count: u32) -> Result<(), TokenError> {
    let needed = frame_len(kind, count);
    if found as u64 == needed {
        Ok(())
    } else if (found - HEADER_LEN).is_multiple_of(kind.len()) {
        Err(TokenError::WrongCount {
            count,
            found: (found - HEADER_LEN) / kind.len(),
        })
    } else if (found as u64) < needed {
        Err(TokenError::Truncated { needed, found })
    } else {
        Err(TokenError::OverLong { needed, found })
    }
}

fn check_holder(frame: &[u8], slots: &[u8], kind: SlotKind, count: u32) -> Result<(), TokenError> {
    let position = u32_at(frame, field::HOLDER_POSITION);
    if position >= count {
        return Err(TokenError::HolderOutOfRange { position, count });
    }
    let header = VmId::new(u32_at(frame, field::HOLDER_ID));
    let slot = slot_id(&slots[position as usize * kind.len()..]);
    if header != slot {
        return Err(TokenError::HolderMismatch {
            position,
            header,
            slot,
        });
    }
    Ok(())
}

/// No id twice; and each above the one before it, if the header promises so.
fn check_ids(slots: &[u8], kind: SlotKind, promised_ascending: bool) -> Result<(), TokenError> {
    let ids = || slots.chunks_exact(kind.len()).map(slot_id);
    let descent = ids()
        .zip(ids().skip(1))
        .position(|(previous, id)| previous >= id);
    let Some(before) = descent else { return Ok(()) };
    let mut pair = ids().skip(before).take(2);
    if let (true, Some(previous), Some(id)) = (promised_ascending, pair.next(), pair.next()) {
        return Err(if previous == id {
            TokenError::DuplicateId { id }
        } else {
            TokenError::NotAscending {
                position: before + 1,
                id,
                previous,
            }
        });
    }
    let mut sorted: Vec<VmId> = ids().collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(TokenError::DuplicateId { id: pair[0] }),
        None => Ok(()),
    }
}

fn check_statistics(slots: &[u8]) -> Result<(), TokenError> {
    let bad = slots
        .chunks_exact(SlotKind::Extended.len())
        .map(statistic_bits)
        .enumerate()
        .find(|&(_, bits)| Statistic::from_bits(bits).is_none());
    match bad {
        Some((position, bits)) => Err(TokenError::BadStatistic { position, bits }),
        None => Ok(()),
    }
}
