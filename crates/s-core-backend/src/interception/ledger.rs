//! Sums of counters that come and go with their rules.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::InterceptionState;

/// What a rule does with packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Intercept,
    Drop,
}

/// The counter of one rule, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Count {
    /// What tells the rule from others.
    pub(super) rule: u64,
    pub(super) verdict: Verdict,
    pub(super) packets: u64,
}

/// Takes the counters of all rules that there are now, and returns the sums beside what differed.
pub(super) fn state_after(
    ledger: &Mutex<Ledger>,
    counts: &[Count],
    differing: (usize, usize),
) -> InterceptionState {
    // Counters are cumulative: the next reading makes good for one that was broken off.
    let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
    ledger.read(counts);
    ledger.state(differing)
}

/// All that was counted, also by rules that are gone.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    last: BTreeMap<(Verdict, u64), u64>,
    intercepted: u64,
    dropped: u64,
}

impl Ledger {
    /// Takes the counters of all rules that there are now. One that is below its last reading has started again.
    fn read(&mut self, counts: &[Count]) {
        let mut now = BTreeMap::new();
        for count in counts {
            let key = (count.verdict, count.rule);
            let last = self.last.get(&key).copied().unwrap_or(0);
            let new = count.packets.checked_sub(last).unwrap_or(count.packets);
            let sum = match count.verdict {
                Verdict::Intercept => &mut self.intercepted,
                Verdict::Drop => &mut self.dropped,
            };
            *sum = sum.saturating_add(new);
            now.insert(key, count.packets);
        }
        self.last = now;
    }

    /// The sums beside what differed.
    const fn state(&self, (missing, unwanted): (usize, usize)) -> InterceptionState {
        InterceptionState {
            missing,
            unwanted,
            intercepted: self.intercepted,
            dropped: self.dropped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_outlive_their_rules() {
        let count = |rule, verdict, packets| Count {
            rule,
            verdict,
            packets,
        };
        let (i, d) = (Verdict::Intercept, Verdict::Drop);
        let mut ledger = Ledger::default();
        let mut check = |counts: &[Count], intercepted, dropped| {
            ledger.read(counts);
            let state = ledger.state((0, 0));
            assert_eq!((state.intercepted, state.dropped), (intercepted, dropped));
        };
        check(&[count(1, i, 5), count(2, d, 1)], 5, 1);
        // One goes on, one is gone, one of the same number but another kind is new.
        check(&[count(1, i, 7), count(1, d, 2)], 7, 3);
        // Set again since: it counts from 0.
        check(&[count(1, i, 3)], 10, 3);
        check(&[], 10, 3);
    }
}
