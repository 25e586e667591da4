//! What an operator sets against traffic that is made in order to have VMs moved (docs/security.md).
//!
//! Limits only forbid: no migration happens because of one, so Eq. 3.2 holds for every migration with them as without.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use s_core_model::{Capacity, Levels, Rate, ServerId, ServerIndex, VmId};

use super::Node;
use super::holding::{Offer, Peer};
use super::io::WhyStayed;
use crate::decision::Evaluation;
use crate::time::Instant;

/// Limits on migrations; by default none.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct MigrationLimits {
    /// How much of a VM's load one pair may make up where the VM's move is decided. Default [`PairShare::WHOLE`].
    pub pair_share: PairShare,
    /// VMs that are never migrated from here. Default none.
    pub pinned: BTreeSet<VmId>,
    /// Whether this server takes no VMs: whoever asks for room is told that there is none. Default no.
    pub takes_none: bool,
    /// For how long a VM that was migrated here is not migrated again. Default zero.
    ///
    /// A VM that was here already when the node first heard of VMs, or came without a reservation, does not wait.
    pub cool_down: Duration,
}

/// A part of the whole: above 0, at most 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct PairShare(f64);

impl PairShare {
    /// All of it: no limit.
    pub const WHOLE: Self = Self(1.0);

    /// This part of the whole.
    ///
    /// # Errors
    ///
    /// [`InvalidPairShare`] if it is not above 0 and at most 1.
    pub fn new(share: f64) -> Result<Self, InvalidPairShare> {
        if share > 0.0 && share <= 1.0 {
            Ok(Self(share))
        } else {
            Err(InvalidPairShare(share))
        }
    }

    /// Lowers the highest rates to one height, the greatest at which none is more than this part of the sum of
    /// all. Where there are so few that some must be more, all are lowered to the lowest; so a single rate stays as it is.
    ///
    /// Takes O(n log n) for n rates.
    ///
    /// ```
    /// use s_core_model::Rate;
    /// use s_core_proto::PairShare;
    ///
    /// let mut rates = [10.0, 1000.0, 20.0].map(|rate| Rate::new(rate).expect("a rate"));
    /// PairShare::new(0.5)?.cap(&mut rates);
    /// assert_eq!(rates.map(Rate::bytes_per_second), [10.0, 30.0, 20.0]); // 30 of 60
    /// # Ok::<(), s_core_proto::InvalidPairShare>(())
    /// ```
    pub fn cap(self, rates: &mut [Rate]) {
        if let Some(height) = self.height(rates) {
            for rate in rates {
                *rate = (*rate).min(height);
            }
        }
    }

    /// Where to cut, if anywhere. With the k highest cut to h and a sum S of the others, h = share × (k h + S).
    fn height(self, rates: &[Rate]) -> Option<Rate> {
        let mut rising: Vec<f64> = rates.iter().map(|rate| rate.bytes_per_second()).collect();
        rising.sort_unstable_by(f64::total_cmp);
        let mut others: Vec<f64> = Vec::with_capacity(rising.len());
        for rate in &rising {
            others.push(rate + others.last().unwrap_or(&0.0));
        }
        let mut cut = 0.0;
        for (highest, others) in rising.iter().zip(&others).rev() {
            let left = 1.0 - self.0 * cut;
            if left <= 0.0 {
                break;
            }
            let height = self.0 * others / left;
            if height >= *highest {
                return (cut > 0.0).then(|| Rate::new(height).ok()).flatten();
            }
            cut += 1.0;
        }
        Rate::new(*rising.first()?).ok()
    }
}

impl Default for PairShare {
    fn default() -> Self {
        Self::WHOLE
    }
}

/// A number that is no part of a whole.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{0} is no share of a VM's load; choose above 0 and at most 1, which is no limit")]
pub struct InvalidPairShare(pub f64);

/// Until when each VM that was migrated here stays.
pub(super) type Arrivals = BTreeMap<VmId, Instant>;

impl<L: Levels> Node<L> {
    /// Room for whoever asks, beside what is promised.
    pub(super) fn room(&self) -> Capacity {
        if self.config.limits.takes_none {
            Capacity::default()
        } else {
            self.state.free
        }
    }

    /// Call it when the hosted VMs are listed, while their reservations still stand.
    pub(super) fn note_arrivals(&mut self, now: Instant) {
        let state = &mut self.state;
        let (hosted, reservations) = (&state.hosted, &state.reservations);
        let arrivals = &mut state.arrivals;
        arrivals.retain(|vm, until| *until > now && hosted.contains_key(vm));
        let until = now + self.config.limits.cool_down;
        let arrived = hosted.keys().filter(|vm| reservations.expects(**vm));
        if until > now {
            arrivals.extend(arrived.map(|vm| (*vm, until)));
        }
    }

    /// The offers that the limits leave, or why the holder stays in spite of them.
    pub(super) fn limit(
        &self,
        now: Instant,
        offers: Vec<Offer>,
        at_stake: f64,
    ) -> Result<Vec<Offer>, WhyStayed> {
        let limits = &self.config.limits;
        let Some(holding) = &self.state.holding else {
            return Ok(offers);
        };
        let vm = holding.token.holder_id();
        if limits.pinned.contains(&vm) {
            return Err(WhyStayed::Excluded);
        }
        if let Some(until) = self.state.arrivals.get(&vm).filter(|until| **until > now) {
            return Err(WhyStayed::CoolingDown { until: *until });
        }
        if limits.pair_share == PairShare::WHOLE {
            return Ok(offers);
        }
        let worth = self.worthwhile_when_capped(&holding.peers, at_stake);
        let (left, capped): (Vec<_>, Vec<_>) = offers
            .into_iter()
            .partition(|offer| worth.contains(&offer.server));
        match capped.last() {
            Some(best) if left.is_empty() => Err(WhyStayed::PairShare {
                target: best.server,
            }),
            _ => Ok(left),
        }
    }

    /// The servers that Eq. 3.2 allows when no pair counts for more than its share.
    fn worthwhile_when_capped(&self, peers: &[Peer], at_stake: f64) -> BTreeSet<ServerId> {
        let config = &*self.config;
        let levels = config.model.levels();
        let mut rates: Vec<Rate> = peers.iter().map(|peer| peer.rate).collect();
        config.limits.pair_share.cap(&mut rates);
        let located = peers.iter().zip(rates);
        let at: Vec<(ServerIndex, Rate)> = located
            .filter_map(|(peer, rate)| Some((levels.index_of(peer.server?)?, rate)))
            .collect();
        let mut evaluation = Evaluation::default();
        evaluation.evaluate(&config.model, self.here, at.iter().copied());
        let threshold = config.migration_cost.threshold(evaluation.cost()) + at_stake;
        let worth = evaluation.worthwhile(threshold, config.target_choice);
        worth
            .iter()
            .map(|candidate| levels.server_at(candidate.server))
            .collect()
    }
}
