//! Making a token; births, deaths, and a new order of the slots.

use alloc::vec;
use alloc::vec::Vec;

use s_core_model::{Level, VmId};

use super::order::Index;
use super::{Token, Visit};
use crate::{Limits, Mark, PassingPolicy, SlotKind, SlotsError, Statistic};

impl Token {
    /// The first token of a data centre: all levels and statistics zero (thesis 4.1), held by the VM
    /// that the policy begins with.
    ///
    /// The slots stand in the order of `ids`, or ascending if the policy asks for that.
    ///
    /// # Errors
    ///
    /// [`SlotsError`] if `ids` is empty, holds an id twice, or exceeds `limits`, which should be
    /// those of the hosts that will receive the token.
    pub fn new(
        ids: &[VmId],
        policy: &dyn PassingPolicy,
        mark: Mark,
        limits: Limits,
    ) -> Result<Self, SlotsError> {
        if ids.is_empty() {
            return Err(SlotsError::Empty);
        }
        check_count(ids.len(), limits)?;
        let mut ids = ids.to_vec();
        if policy.ascending() {
            ids.sort_unstable();
        }
        let by_id = positions_by_id(&ids);
        let kind = policy.slot_kind();
        let mut token = Self {
            policy: policy.code(),
            kind,
            mark,
            round: 0,
            quiet_rounds: 0,
            migrations: 0,
            unsettled: false,
            holder: 0,
            visit: Visit::default(),
            levels: vec![Level::ZERO; ids.len()],
            statistics: match kind {
                SlotKind::Basic => Vec::new(),
                SlotKind::Extended => vec![Statistic::ZERO; ids.len()],
            },
            by_id,
            ids,
            index: Index::default(),
        };
        token.check_distinct()?;
        token.start_round(policy);
        Ok(token)
    }

    /// Gives a new VM a slot, at level zero: in its place if the ids ascend, else as the last. Its
    /// position. The round becomes [unsettled](Token::is_unsettled). O(n).
    ///
    /// # Errors
    ///
    /// [`SlotsError`] if the VM has a slot or the token would exceed `limits`.
    pub fn insert(&mut self, id: VmId, limits: Limits) -> Result<usize, SlotsError> {
        check_count(self.len() + 1, limits)?;
        if self.position_of(id).is_some() {
            return Err(SlotsError::Duplicate(id));
        }
        let position = if self.is_ascending() {
            self.ids.partition_point(|&other| other < id)
        } else {
            let rank = self.by_id.partition_point(|&p| self.ids[p as usize] < id);
            self.by_id.insert(rank, self.len() as u32);
            self.len()
        };
        self.ids.insert(position, id);
        self.levels.insert(position, Level::ZERO);
        match self.kind {
            SlotKind::Basic => {}
            SlotKind::Extended => self.statistics.insert(position, Statistic::ZERO),
        }
        self.index.forget();
        if position <= self.holder {
            self.holder += 1;
        }
        self.unsettled = true;
        Ok(position)
    }

    /// Takes a VM's slot out of the token. O(n).
    ///
    /// # Errors
    ///
    /// [`SlotsError`] if the VM has no slot, or if it holds the token: pass it on first.
    pub fn remove(&mut self, id: VmId) -> Result<(), SlotsError> {
        let position = self.position_of(id).ok_or(SlotsError::Unknown(id))?;
        if position == self.holder {
            return Err(SlotsError::Holder(id));
        }
        self.index.forget();
        self.ids.remove(position);
        self.levels.remove(position);
        match self.kind {
            SlotKind::Basic => {}
            SlotKind::Extended => {
                self.statistics.remove(position);
            }
        }
        if position < self.holder {
            self.holder -= 1;
        }
        if !self.is_ascending() {
            self.by_id = positions_by_id(&self.ids);
        }
        Ok(())
    }

    /// Puts the slots into the order of `ids`, which lists every VM of the token once. The holder
    /// keeps the token; the round becomes [unsettled](Token::is_unsettled). O(n log n).
    ///
    /// # Errors
    ///
    /// [`SlotsError`] if `ids` is not a permutation of the token's.
    pub fn reorder(&mut self, ids: &[VmId]) -> Result<(), SlotsError> {
        if ids.len() != self.len() {
            return Err(SlotsError::Incomplete {
                listed: ids.len(),
                count: self.len(),
            });
        }
        let mut listed = vec![false; self.len()];
        let mut order = Vec::with_capacity(self.len());
        for &id in ids {
            let position = self.position_of(id).ok_or(SlotsError::Unknown(id))?;
            if core::mem::replace(&mut listed[position], true) {
                return Err(SlotsError::Duplicate(id));
            }
            order.push(position as u32);
        }
        self.permute(&order);
        Ok(())
    }

    /// Puts at position *i* the slot that was at `order[i]`; `order` lists every position once. O(n).
    pub(crate) fn permute(&mut self, order: &[u32]) {
        let mut moved_to = vec![0; order.len()];
        for (to, from) in (0..).zip(order) {
            moved_to[*from as usize] = to;
        }
        let from = |from: &u32| *from as usize;
        self.ids = order.iter().map(|p| self.ids[from(p)]).collect();
        self.levels = order.iter().map(|p| self.levels[from(p)]).collect();
        if self.kind == SlotKind::Extended {
            self.statistics = order.iter().map(|p| self.statistics[from(p)]).collect();
        }
        self.holder = moved_to[self.holder] as usize;
        if !self.is_ascending() {
            for position in &mut self.by_id {
                *position = moved_to[*position as usize];
            }
        } else {
            self.by_id = moved_to;
        }
        if self.ids.is_sorted() {
            self.by_id = Vec::new();
        }
        self.index.forget();
        self.unsettled = true;
    }

    fn check_distinct(&self) -> Result<(), SlotsError> {
        // Ids that ascend strictly need no list of positions, and are distinct.
        let pairs = self
            .by_id
            .windows(2)
            .map(|pair| (self.id(pair[0] as usize), self.id(pair[1] as usize)));
        match pairs.into_iter().find(|(a, b)| a == b) {
            Some((id, _)) => Err(SlotsError::Duplicate(id)),
            None => Ok(()),
        }
    }
}

fn check_count(count: usize, limits: Limits) -> Result<(), SlotsError> {
    if u32::try_from(count).is_ok_and(|count| count <= limits.max_slots) {
        Ok(())
    } else {
        Err(SlotsError::TooMany {
            count,
            limit: limits.max_slots,
        })
    }
}

/// The positions sorted by id, or none if the ids ascend strictly. There are at most `u32::MAX`.
pub(super) fn positions_by_id(ids: &[VmId]) -> Vec<u32> {
    if ids.is_sorted_by(|a, b| a < b) {
        return Vec::new();
    }
    let mut positions: Vec<u32> = (0..ids.len() as u32).collect();
    positions.sort_unstable_by_key(|&position| ids[position as usize]);
    positions
}
