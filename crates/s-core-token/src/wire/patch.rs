//! Changing a checked frame where it lies.

use core::ops::Range;

use s_core_model::Level;

use super::slot::slot_id;
use super::{SlotKind, TokenView, field, flag};
use crate::{Mark, PositionError, Statistic};

impl<T: AsRef<[u8]> + AsMut<[u8]>> TokenView<T> {
    /// Replaces the mark.
    pub fn set_mark(&mut self, mark: Mark) {
        self.write(field::MARK, &mark.to_bytes());
    }

    /// Replaces the number of rounds begun before this one.
    pub fn set_round(&mut self, round: u32) {
        self.write(field::ROUND, &round.to_be_bytes());
    }

    /// Replaces the number of whole rounds in a row that proved quiet.
    pub fn set_quiet_rounds(&mut self, rounds: u16) {
        self.write(field::QUIET_ROUNDS, &rounds.to_be_bytes());
    }

    /// Replaces the number of this round's migrations so far.
    pub fn set_migrations(&mut self, migrations: u32) {
        self.write(field::MIGRATIONS, &migrations.to_be_bytes());
    }

    /// Says whether the round may pass a VM over: see [`Token::is_unsettled`](crate::Token::is_unsettled).
    pub fn set_unsettled(&mut self, unsettled: bool) {
        let flags = &mut self.buffer.as_mut()[field::FLAGS];
        *flags = if unsettled {
            *flags | flag::UNSETTLED
        } else {
            *flags & !flag::UNSETTLED
        };
    }

    /// Names the VM whose slot stands at this position as the holder.
    ///
    /// # Errors
    ///
    /// [`PositionError`] if there is no such slot.
    pub fn set_holder(&mut self, position: usize) -> Result<(), PositionError> {
        let slot = self.range(position)?;
        let id = slot_id(&self.buffer.as_ref()[slot]);
        // A checked position is below a count that is itself a u32.
        self.write(field::HOLDER_POSITION, &(position as u32).to_be_bytes());
        self.write(field::HOLDER_ID, &id.get().to_be_bytes());
        Ok(())
    }

    /// Replaces a VM's level, as the holder does with its own.
    ///
    /// # Errors
    ///
    /// [`PositionError`] if there is no such slot.
    pub fn set_level(&mut self, position: usize, level: Level) -> Result<(), PositionError> {
        let slot = self.range(position)?;
        self.buffer.as_mut()[slot][4] = level.get();
        Ok(())
    }

    /// Raises a VM's level and marks the round unsettled; leaves a level that is as high already.
    /// Whether it rose (lines 4 to 6 of Algorithm 1).
    ///
    /// # Errors
    ///
    /// [`PositionError`] if there is no such slot.
    pub fn raise_level(&mut self, position: usize, level: Level) -> Result<bool, PositionError> {
        let slot = self.range(position)?;
        let rises = self.buffer.as_ref()[slot][4] < level.get();
        if rises {
            self.set_level(position, level)?;
            self.set_unsettled(true);
        }
        Ok(rises)
    }

    /// Replaces a VM's statistic. Basic slots have no place for one and stay as they are.
    ///
    /// # Errors
    ///
    /// [`PositionError`] if there is no such slot.
    pub fn set_statistic(
        &mut self,
        position: usize,
        statistic: Statistic,
    ) -> Result<(), PositionError> {
        let slot = self.range(position)?;
        match self.slot_kind() {
            SlotKind::Basic => {}
            SlotKind::Extended => {
                self.write(slot.start + 5..slot.end, &statistic.to_bits().to_be_bytes());
            }
        }
        Ok(())
    }

    fn range(&self, position: usize) -> Result<Range<usize>, PositionError> {
        self.slot_range(position).ok_or(PositionError {
            position,
            count: self.len(),
        })
    }

    fn write(&mut self, at: Range<usize>, bytes: &[u8]) {
        self.buffer.as_mut()[at].copy_from_slice(bytes);
    }
}
