//! The fault world: nothing bad happens under faults, something good does after them, and every run can be had again.

use s_core_sim::fault_world::{Batch, Harm, Options, Size, run};

#[test]
fn a_few_hundred_seeds_break_no_invariant() {
    let options = Options::default();
    let mut batch = Batch::default();
    for seed in 0..300 {
        let outcome = run(seed, &options);
        let violation = outcome.violation.as_ref();
        assert!(
            violation.is_none(),
            "seed {seed}: {}; see cargo run --release --example fault-world -- --seed {seed} --trace",
            violation.map_or(String::new(), ToString::to_string)
        );
        batch.add(&outcome);
    }
    for harm in Harm::ALL {
        assert!(batch.tally.of(harm) > 0, "no {harm}");
    }
    // What is rare is asked for of the 2,000 seeds that the example runs.
    let missed: Vec<_> = batch.marks.missed().collect();
    assert!(missed.len() <= 2, "never happened: {missed:?}");
    assert!(batch.hops > 30_000, "{} hops only", batch.hops);
}

#[test]
fn the_same_seed_does_the_same_with_and_without_a_trace() {
    let mut hashes = Vec::new();
    for seed in 0..30 {
        let outcome = run(seed, &Options::default());
        let traced = Options {
            trace: true,
            ..Options::default()
        };
        let again = run(seed, &traced);
        assert_eq!(outcome.trace_hash, again.trace_hash, "seed {seed}");
        assert_eq!(outcome.events, again.events);
        assert!(outcome.trace.is_empty() && !again.trace.is_empty());
        hashes.push(outcome.trace_hash);
    }
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 30, "another seed is another run");
}

#[test]
fn sizes_are_as_asked_for() {
    for (servers, vms) in [(2, 2), (3, 5), (16, 60)] {
        let size = Size {
            servers: Some(servers),
            vms: Some(vms),
        };
        for seed in 0..5 {
            let options = Options {
                size,
                ..Options::default()
            };
            let outcome = run(seed, &options);
            assert_eq!(outcome.violation, None, "{servers} × {vms}, seed {seed}");
        }
    }
}

/// When, where and what, a line each, in the order of time.
#[test]
fn a_trace_is_for_people() {
    let options = Options {
        trace: true,
        ..Options::default()
    };
    let trace = run(1, &options).trace;
    let mut last = 0.0;
    for line in &trace {
        let mut words = line.split_whitespace();
        let time: f64 = words.next().and_then(|word| word.parse().ok()).expect(line);
        assert!(time >= last, "{line}");
        last = time;
        assert!(words.count() >= 2, "{line}");
    }
    assert!(trace.iter().any(|line| line.contains("token")));
}
