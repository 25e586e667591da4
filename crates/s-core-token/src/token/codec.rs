//! The owned token to and from its frame.

use alloc::vec::Vec;

use bytes::BytesMut;
use s_core_model::{Level, VmId};

use super::edit::positions_by_id;
use super::order::Index;
use super::{Token, Visit};
use crate::wire::{HEADER_LEN, MAGIC, VERSION, field, flag, frame_len};
use crate::{Slot, SlotKind, TokenView};

impl Token {
    /// The token of a checked frame. The holder is taken as visited at the level and the statistic
    /// that its slot has there.
    ///
    /// O(n), or O(n log n) if the ids do not ascend.
    pub fn decode<T: AsRef<[u8]>>(view: &TokenView<T>) -> Self {
        let kind = view.slot_kind();
        let ids: Vec<VmId> = view.slots().map(|slot| slot.id).collect();
        let levels: Vec<Level> = view.slots().map(|slot| slot.level).collect();
        let statistics = match kind {
            SlotKind::Basic => Vec::new(),
            SlotKind::Extended => view.slots().map(|slot| slot.statistic).collect(),
        };
        let holder = view.holder_position();
        let mut token = Self {
            policy: view.policy_code(),
            kind,
            mark: view.mark(),
            round: view.round(),
            quiet_rounds: view.quiet_rounds(),
            migrations: view.migrations(),
            unsettled: view.is_unsettled(),
            holder,
            visit: Visit::default(),
            by_id: positions_by_id(&ids),
            ids,
            levels,
            statistics,
            index: Index::default(),
        };
        token.hand_to(holder);
        token
    }

    /// Bytes of the token's frame.
    pub fn encoded_len(&self) -> usize {
        // The slots are in memory, so their number fits.
        frame_len(self.kind, self.len() as u32) as usize
    }

    /// The frame of the token, to be sent when it has been [passed](Token::pass) on: the frame has no
    /// place for the way the holder was found, other than the holder's own slot.
    pub fn encode(&self) -> BytesMut {
        let mut frame = BytesMut::new();
        self.encode_into(&mut frame);
        frame
    }

    /// Appends the frame of the token to `out`, as [`encode`](Token::encode) makes it.
    pub fn encode_into(&self, out: &mut BytesMut) {
        let start = out.len();
        out.resize(start + self.encoded_len(), 0);
        let (header, slots) = out[start..].split_at_mut(HEADER_LEN);
        self.emit_header(header);
        for (position, bytes) in slots.chunks_exact_mut(self.kind.len()).enumerate() {
            let slot = Slot {
                id: self.ids[position],
                level: self.levels[position],
                statistic: self.statistic(position),
            };
            slot.emit(self.kind, bytes);
        }
    }

    fn emit_header(&self, header: &mut [u8]) {
        let ascending = if self.is_ascending() {
            flag::ASCENDING
        } else {
            0
        };
        let unsettled = if self.unsettled { flag::UNSETTLED } else { 0 };
        header[field::MAGIC].copy_from_slice(&MAGIC);
        header[field::VERSION] = VERSION;
        header[field::SLOT_KIND] = self.kind.code();
        header[field::POLICY] = self.policy;
        header[field::FLAGS] = ascending | unsettled;
        header[field::TOKEN_NUMBER].fill(0);
        header[field::MARK].copy_from_slice(&self.mark.to_bytes());
        header[field::ROUND].copy_from_slice(&self.round.to_be_bytes());
        header[field::QUIET_ROUNDS].copy_from_slice(&self.quiet_rounds.to_be_bytes());
        header[field::MIGRATIONS].copy_from_slice(&self.migrations.to_be_bytes());
        header[field::SLOT_COUNT].copy_from_slice(&(self.len() as u32).to_be_bytes());
        header[field::HOLDER_POSITION].copy_from_slice(&(self.holder as u32).to_be_bytes());
        header[field::HOLDER_ID].copy_from_slice(&self.holder_id().get().to_be_bytes());
    }
}
