//! The decision in one go, where it is known at once what servers have room for.

use s_core_model::{CostModel, Distances, GainLimits, Levels, Rate, ServerIndex, gain};

use super::{Candidate, Evaluation, Rules, TargetChoice};

/// Why there is no server to migrate to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoTarget {
    /// No other server's gain exceeds the migration cost and reaches the least gain.
    NoGain,
    /// Every server that is worth a migration is full.
    NoRoom,
}

impl Evaluation {
    /// Where a VM on server `source` goes that exchanges data with `peers` at these servers: to the first of the
    /// [`worthwhile`](Self::worthwhile) ones that has room. These are asked in their order, as an agent asks them.
    ///
    /// # Errors
    ///
    /// [`NoTarget`] if the VM stays.
    ///
    /// # Panics
    ///
    /// If a server is not part of the model's data centre.
    pub fn choose_by_asking<L: Levels>(
        &mut self,
        model: &CostModel<L>,
        source: ServerIndex,
        peers: impl IntoIterator<Item = (ServerIndex, Rate)>,
        rules: &Rules,
        mut has_room: impl FnMut(ServerIndex) -> bool,
    ) -> Result<Candidate, NoTarget> {
        self.evaluate(model, source, peers);
        let threshold = rules.migration_cost.threshold(self.cost);
        let worthwhile = self.worthwhile(threshold, rules.target_choice).iter();
        let mut worthwhile = worthwhile
            .filter(|candidate| candidate.gain >= rules.min_gain)
            .peekable();
        if worthwhile.peek().is_none() {
            return Err(NoTarget::NoGain);
        }
        worthwhile
            .find(|candidate| has_room(candidate.server))
            .copied()
            .ok_or(NoTarget::NoRoom)
    }

    /// Chooses as [`choose_by_asking`](Self::choose_by_asking) does, to the last bit, where it costs nothing to
    /// know what has room.
    ///
    /// Gains are found only where they matter: not for servers that [`GainLimits`] excludes, that are full, or
    /// that come after the one taken. What the other methods return afterwards is unspecified.
    ///
    /// # Errors
    ///
    /// [`NoTarget`] if the VM stays.
    ///
    /// # Panics
    ///
    /// If a server is not part of the model's data centre.
    pub fn choose<L: Levels>(
        &mut self,
        model: &CostModel<L>,
        source: ServerIndex,
        peers: impl ExactSizeIterator<Item = (ServerIndex, Rate)> + Clone,
        rules: &Rules,
        has_room: impl Fn(ServerIndex) -> bool,
    ) -> Result<Candidate, NoTarget> {
        if peers.len() > GainLimits::MAX_PEERS {
            return self.choose_by_asking(model, source, peers, rules, has_room);
        }
        let limits = model.gain_limits(source, peers.clone());
        let distances = limits.map_or(Distances::ALL, |limits| promising(&limits, rules));
        if distances.is_empty() {
            return Err(NoTarget::NoGain);
        }
        self.loads.refill(peers);
        self.cost = model.cost_at(&self.loads, source);
        self.collect_candidates(model, source, distances);
        match rules.target_choice {
            TargetChoice::FirstFit => self.first_fit(model, rules, has_room),
            TargetChoice::BestFit => self.best_fit(model, rules, has_room),
        }
    }

    /// The gain of a candidate, if it is worth a migration.
    fn worthwhile_gain<L: Levels>(
        &self,
        model: &CostModel<L>,
        rules: &Rules,
        candidate: &Candidate,
    ) -> Option<f64> {
        let gain = gain(self.cost, model.cost_at(&self.loads, candidate.server));
        let exceeds = rules.migration_cost.is_exceeded_by(gain, self.cost);
        (exceeds && gain >= rules.min_gain).then_some(gain)
    }

    /// Takes one candidate after the other, the highest cost of a pair first, until one is worth a migration and has room.
    fn first_fit<L: Levels>(
        &mut self,
        model: &CostModel<L>,
        rules: &Rules,
        has_room: impl Fn(ServerIndex) -> bool,
    ) -> Result<Candidate, NoTarget> {
        let mut why = NoTarget::NoGain;
        while let Some(next) = greatest(&self.candidates, |candidate| candidate.pair_cost) {
            let candidate = self.candidates.swap_remove(next);
            let room = has_room(candidate.server);
            if !room && why == NoTarget::NoRoom {
                continue;
            }
            match self.worthwhile_gain(model, rules, &candidate) {
                Some(gain) if room => return Ok(Candidate { gain, ..candidate }),
                Some(_) => why = NoTarget::NoRoom,
                None => {}
            }
        }
        Err(why)
    }

    /// Compares all candidates with room; among equal gains the highest cost of a pair decides.
    fn best_fit<L: Levels>(
        &mut self,
        model: &CostModel<L>,
        rules: &Rules,
        has_room: impl Fn(ServerIndex) -> bool,
    ) -> Result<Candidate, NoTarget> {
        let mut why = NoTarget::NoGain;
        let mut best: Option<Candidate> = None;
        for candidate in &self.candidates {
            let room = has_room(candidate.server);
            if !room && why == NoTarget::NoRoom {
                continue;
            }
            let Some(gain) = self.worthwhile_gain(model, rules, candidate) else {
                continue;
            };
            why = NoTarget::NoRoom;
            let better = best.is_none_or(|best| {
                (gain.total_cmp(&best.gain))
                    .then(candidate.pair_cost.total_cmp(&best.pair_cost))
                    .is_gt()
            });
            if room && better {
                best = Some(Candidate { gain, ..*candidate });
            }
        }
        best.ok_or(why)
    }
}

/// The distances at which a migration may satisfy the rules.
fn promising(limits: &GainLimits, rules: &Rules) -> Distances {
    // The cost is approximate, and with it a threshold that is relative to it.
    let threshold = rules.migration_cost.threshold(limits.approximate_cost()) * (1.0 - 1e-12);
    if threshold < 0.0 {
        return Distances::ALL;
    }
    limits.above(threshold.max(rules.min_gain.next_down()))
}

/// The position of the candidate with the greatest number, and among equals the lowest server.
fn greatest(candidates: &[Candidate], number: impl Fn(&Candidate) -> f64) -> Option<usize> {
    let numbered = candidates.iter().enumerate();
    let order = |a: &Candidate, b: &Candidate| {
        (number(a).total_cmp(&number(b))).then(b.server.cmp(&a.server))
    };
    numbered
        .max_by(|(_, a), (_, b)| order(a, b))
        .map(|(position, _)| position)
}
