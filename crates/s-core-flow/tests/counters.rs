//! Counters to deltas: a table of cases, a naive model, and the bytes that a switch really carried.

use std::collections::BTreeMap;

use proptest::prelude::*;
use s_core_flow::{CounterDeltas, Delta};

/// One poll: readings (id, packets, bytes) with the bytes wanted as delta, and whether the poll is
/// ended.
type Poll<'a> = (&'a [(u64, u64, u64, u64)], bool);

#[track_caller]
fn check(limit: usize, polls: &[Poll<'_>], overflowed: u64, remembered: usize) {
    let mut counters = CounterDeltas::new(limit, 1);
    for (number, (readings, ends)) in polls.iter().enumerate() {
        let mut poll = counters.begin_poll();
        for &(id, packets, bytes, want) in *readings {
            let delta = poll.delta(id, packets, bytes);
            assert_eq!(delta.bytes, want, "poll {number}, id {id}");
        }
        if *ends {
            poll.end();
        }
    }
    assert_eq!(counters.overflowed(), overflowed);
    assert_eq!(counters.len(), remembered);
}

#[test]
fn the_first_poll_sets_the_baseline() {
    check(9, &[], 0, 0);
    check(
        9,
        &[(&[(1, 5, 500, 0)], true), (&[(1, 6, 560, 60)], true)],
        0,
        1,
    );
    // An empty poll is a poll: what comes later is new.
    check(9, &[(&[], true), (&[(1, 5, 500, 500)], true)], 0, 1);
    // A failed one is none, but what it read is read.
    check(9, &[(&[], false), (&[(1, 5, 500, 0)], true)], 0, 1);
    check(
        9,
        &[
            (&[(1, 5, 500, 0)], false),
            (&[(1, 6, 560, 60), (2, 1, 100, 0)], true),
            (&[(3, 1, 100, 100)], true),
        ],
        0,
        1,
    );
}

#[test]
fn a_counter_that_falls_started_again() {
    let seen: Poll<'_> = (&[(1, 5, 500, 0)], true);
    check(9, &[seen, (&[(1, 1, 60, 60)], true)], 0, 1);
    check(9, &[seen, (&[(1, 4, 600, 600)], true)], 0, 1);
    check(9, &[seen, (&[(1, 6, 400, 400)], true)], 0, 1);
    check(
        9,
        &[seen, (&[(1, 0, 0, 0)], true), (&[(1, 1, 60, 60)], true)],
        0,
        1,
    );
    check(
        9,
        &[seen, (&[(1, 5, 500, 0)], true), (&[(1, 5, 501, 1)], true)],
        0,
        1,
    );
    check(
        9,
        &[seen, (&[(1, u64::MAX, u64::MAX, u64::MAX - 500)], true)],
        0,
        1,
    );
}

#[test]
fn a_flow_that_vanishes_and_returns_loses_nothing() {
    let seen: Poll<'_> = (&[(1, 5, 500, 0)], true);
    check(9, &[seen, (&[], true), (&[(1, 9, 900, 900)], true)], 0, 1);
    // A failed poll does not show that it vanished.
    check(9, &[seen, (&[], false), (&[(1, 9, 900, 400)], true)], 0, 1);
    check(
        9,
        &[
            seen,
            (&[(1, 6, 600, 100)], false),
            (&[(1, 9, 900, 300)], true),
        ],
        0,
        1,
    );
    check(
        9,
        &[seen, (&[(2, 1, 60, 60)], false), (&[(2, 2, 90, 30)], true)],
        0,
        1,
    );
}

#[test]
fn a_counter_read_twice_in_one_poll_is_one_counter() {
    let seen: Poll<'_> = (&[(1, 5, 500, 0)], true);
    check(
        9,
        &[seen, (&[(1, 6, 600, 100), (1, 6, 600, 0)], true)],
        0,
        1,
    );
    check(
        9,
        &[seen, (&[(1, 6, 600, 100), (1, 7, 650, 50)], true)],
        0,
        1,
    );
    // Out of date: neither a restart, nor what the next reading is compared with.
    check(
        9,
        &[
            seen,
            (&[(1, 7, 650, 150), (1, 6, 600, 0)], true),
            (&[(1, 8, 700, 50)], true),
        ],
        0,
        1,
    );
}

#[test]
fn counters_beyond_the_limit_are_never_counted_twice() {
    let full: Poll<'_> = (&[(1, 1, 10, 0), (2, 1, 10, 0)], true);
    check(0, &[full, (&[(1, 2, 20, 0)], true)], 3, 0);
    check(
        2,
        &[
            full,
            (&[(1, 1, 10, 0), (2, 1, 10, 0), (3, 1, 10, 0)], true),
            (&[(3, 2, 20, 0), (2, 2, 20, 10), (1, 1, 10, 0)], true),
        ],
        2,
        2,
    );
    // Room again: the baseline first, as 3 may have been counting all along.
    let overflow: Poll<'_> = (&[(1, 1, 10, 0), (2, 1, 10, 0), (3, 1, 99, 0)], true);
    check(
        2,
        &[
            full,
            overflow,
            (&[(1, 2, 20, 10)], true),
            (&[(1, 2, 20, 0), (3, 5, 500, 500)], true),
        ],
        1,
        2,
    );
    check(
        2,
        &[
            full,
            overflow,
            (&[(1, 2, 20, 10)], false),
            (&[(1, 2, 20, 0)], true),
            (&[(1, 2, 20, 0), (3, 5, 500, 500)], true),
        ],
        1,
        2,
    );
    check(
        2,
        &[
            full,
            (&[(1, 1, 10, 0), (3, 9, 900, 0)], true),
            (&[(1, 1, 10, 0), (3, 9, 950, 0)], true),
            (&[(1, 1, 10, 0), (3, 9, 999, 49)], true),
        ],
        1,
        2,
    );
}

#[test]
fn the_printed_form_keeps_the_seed_to_itself() {
    let text = format!("{:?}", CounterDeltas::new(5, 123_456_789));
    assert!(
        text.contains("limit: 5") && !text.contains("123456789"),
        "{text}"
    );
}

/// The rules of the documentation, one by one, on a list.
#[derive(Default)]
struct Model {
    known: Vec<(u64, u64, u64)>,
    this_poll: Vec<u64>,
    began: bool,
    overflow_before: bool,
    overflow_now: bool,
}

impl Model {
    fn delta(&mut self, limit: usize, id: u64, packets: u64, bytes: u64) -> Delta {
        let whole = Delta { packets, bytes };
        let again = self.this_poll.contains(&id);
        let room = self.known.len() < limit;
        let Some(old) = self.known.iter_mut().find(|old| old.0 == id) else {
            if !room {
                self.overflow_now = true;
                return Delta::default();
            }
            self.known.push((id, packets, bytes));
            self.this_poll.push(id);
            return if self.began && !self.overflow_before {
                whole
            } else {
                Delta::default()
            };
        };
        let fell = packets < old.1 || bytes < old.2;
        if fell && again {
            return Delta::default();
        }
        let rise = Delta {
            packets: packets.wrapping_sub(old.1),
            bytes: bytes.wrapping_sub(old.2),
        };
        *old = (id, packets, bytes);
        self.this_poll.push(id);
        if fell { whole } else { rise }
    }

    fn end(&mut self) {
        let Self {
            known, this_poll, ..
        } = self;
        known.retain(|k| this_poll.contains(&k.0));
        self.began = true;
        self.overflow_before = self.overflow_now;
    }
}

#[test]
fn what_an_incomplete_poll_does_not_show_is_not_counted_again() {
    let mut counters = CounterDeltas::new(100, 3);
    let look = |counters: &mut CounterDeltas, rows: &[(u64, u64)], complete| -> Vec<u64> {
        let mut poll = counters.begin_poll();
        let told = rows
            .iter()
            .map(|&(id, bytes)| poll.delta(id, bytes, bytes).bytes);
        let told = told.collect();
        if complete {
            poll.end();
        } else {
            poll.end_incomplete();
        }
        told
    };
    look(&mut counters, &[(1, 1000), (2, 50)], true);
    // Flow 1 cannot be read, nor can flow 3, which is new; flow 4 is new and can.
    assert_eq!(look(&mut counters, &[(2, 60), (4, 7)], false), [10, 7]);
    // All can be read: of flow 3 nobody knows since when it counts.
    let rows = [(1, 1200), (2, 60), (3, 5000), (4, 8)];
    assert_eq!(look(&mut counters, &rows, true), [200, 0, 0, 1]);
    assert_eq!(look(&mut counters, &[(3, 5001), (5, 9)], true), [1, 9]);
    // What polls never show again goes, though none of them is complete.
    for _ in 0..4 {
        look(&mut counters, &[], false);
        assert_eq!(counters.len(), 2);
    }
    look(&mut counters, &[], false);
    assert!(counters.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn deltas_follow_the_rules(
        limit in 0usize..6,
        seed: u64,
        polls in prop::collection::vec(
            (prop::collection::vec((0u64..8, 0u64..5, 0u64..400), 0..12), prop::bool::weighted(0.8)),
            0..12,
        ),
    ) {
        let mut counters = CounterDeltas::new(limit, seed);
        let mut model = Model::default();
        for (readings, ends) in polls {
            let mut poll = counters.begin_poll();
            model.this_poll.clear();
            model.overflow_now = false;
            for (id, packets, bytes) in readings {
                prop_assert_eq!(
                    poll.delta(id, packets, bytes),
                    model.delta(limit, id, packets, bytes)
                );
            }
            if ends {
                poll.end();
                model.end();
            }
            prop_assert_eq!(counters.len(), model.known.len());
            prop_assert!(counters.len() <= limit);
        }
    }

    /// Flows send, end after they were read, return at once or later; polls fail half-way and show
    /// flows twice.
    #[test]
    fn no_byte_is_lost_or_doubled(
        before in prop::collection::btree_map(0u64..6, 1u64..5000, 0..6),
        steps in prop::collection::vec(
            (
                prop::collection::vec((0u64..6, 0u64..5000), 0..10),
                prop::bool::weighted(0.8),
                prop::collection::vec(0u64..6, 0..3),
            ),
            1..20,
        ),
    ) {
        let mut counters = CounterDeltas::new(100, 3);
        let mut switch = before;
        // The last reading of flows that ended since the last complete poll.
        let mut ended = BTreeMap::new();
        let (mut sent, mut told) = (0, 0);
        poll(&mut counters, &switch, true);
        for (sends, complete, ends) in steps {
            for (id, bytes) in sends {
                let value = switch.get(&id).unwrap_or(&0) + bytes;
                // A flow that is back before a poll has missed it shows by its counter being lower.
                if ended.get(&id).is_none_or(|&last| value < last) {
                    switch.insert(id, value);
                    sent += bytes;
                }
            }
            told += poll(&mut counters, &switch, complete);
            if complete {
                ended = ends.into_iter().filter_map(|id| switch.remove_entry(&id)).collect();
            }
        }
        told += poll(&mut counters, &switch, true);
        prop_assert_eq!(told, sent);
    }
}

/// Reads every counter of the switch, the first of them twice, or only half of them; the bytes
/// told.
fn poll(counters: &mut CounterDeltas, switch: &BTreeMap<u64, u64>, complete: bool) -> u64 {
    let reach = if complete {
        switch.len()
    } else {
        switch.len() / 2
    };
    let mut poll = counters.begin_poll();
    let told = switch
        .iter()
        .take(reach)
        .chain(switch.first_key_value())
        .map(|(&id, &bytes)| poll.delta(id, bytes / 100, bytes).bytes)
        .sum();
    if complete {
        poll.end();
    }
    told
}
