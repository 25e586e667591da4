//! Model check: every state of three real nodes that can be reached within some steps keeps the rules.
//!
//! A step delivers any message that was ever sent (so messages are lost, doubled and out of order), lets a server's timers fire, lets
//! a server crash (in the middle of what it does, too) and start again, or lets a migration go on. What is left out, so that
//! the steps reach far: rates are read, VMs listed when the node asks for it, and (but in one scenario) servers of VMs found within the
//! step; messages are tried once, which is no loss, since one that was sent can always be delivered again.
//!
//! It stands beside the node, in the tests of its crate, because it is of the node and the messages alone.
//!
//! `S_CORE_MODEL_STEPS=2 cargo test --release -p s-core-proto --test model_check` goes two steps further; a step takes
//! about five times as long as all before it. A violation is shown as the shortest list of steps that leads to it.
#![expect(unreachable_pub, reason = "the files of one test see each other")]

#[path = "../common/mod.rs"]
mod common;
mod model;
mod rules;
mod scenario;
mod shared;
mod world;

use std::fmt::Write as _;

use s_core_token::PolicyKind;
use scenario::{Scenario, Setup, Start};
use stateright::{Checker, HasDiscoveries, Model, Path};

/// The others differ from it in what they say.
const HAND_OVER: Scenario = Scenario {
    start: Start::Minted,
    traffic: &[],
    policy: PolicyKind::RoundRobin,
    recovers: false,
    expires: false,
    unknown: false,
    slow_locations: false,
    crashes: 1,
    steps: 7,
    reaches: &[
        "a stale token is acknowledged",
        "a token goes on in a second epoch",
        "a restarted server acts on a token",
    ],
};

/// The first two VMs want to go to the third one's server, which has room for one.
const MIGRATION: Scenario = Scenario {
    traffic: &[(0, 2), (1, 2)],
    steps: 8,
    reaches: &["a VM has moved", "a target is full"],
    ..HAND_OVER
};

fn further() -> usize {
    #[expect(
        clippy::disallowed_methods,
        reason = "the test reads it, not the crate"
    )]
    let steps = std::env::var("S_CORE_MODEL_STEPS");
    steps.map_or(0, |steps| {
        steps.parse().expect("S_CORE_MODEL_STEPS is a number")
    })
}

/// Breadth first, in one thread: the first violation is one of the shortest.
fn explore(setup: Setup, steps: usize) -> impl Checker<Setup> {
    let violation = HasDiscoveries::AnyFailures;
    // The checker counts states, not steps, and does not look at the last.
    let checker = setup.checker().target_max_depth(steps + 2);
    checker.finish_when(violation).threads(1).spawn_bfs().join()
}

fn steps_of(path: Path<world::World, model::Step>) -> String {
    let mut text = String::new();
    for (number, step) in (1..).zip(path.into_actions()) {
        writeln!(text, "{number:4}. {step:?}").expect("a string takes all");
    }
    text
}

fn keeps_the_rules(scenario: Scenario) {
    let checker = explore(Setup::new(scenario), scenario.steps + further());
    let mut found = checker.discoveries();
    for (rule, _) in rules::KEPT {
        if let Some(path) = found.remove(rule.name()) {
            panic!("broken: {}\n{}", rule.name(), steps_of(path));
        }
    }
    for name in scenario.reaches {
        assert!(found.contains_key(name), "never: {name}");
    }
    println!(
        "{} states, {} steps",
        checker.unique_state_count(),
        checker.max_depth() - 2
    );
}

#[test]
fn a_token_is_handed_over() {
    keeps_the_rules(HAND_OVER);
}

#[test]
fn vms_migrate() {
    keeps_the_rules(MIGRATION);
}

#[test]
fn a_superseded_token_is_fenced() {
    keeps_the_rules(Scenario {
        crashes: 0,
        steps: 9,
        reaches: &["a capacity request is fenced", "a target is full"],
        ..MIGRATION
    });
}

#[test]
fn a_migration_ends_in_the_dark() {
    keeps_the_rules(Scenario {
        start: Start::Arriving,
        unknown: true,
        expires: true,
        steps: 6,
        reaches: &[
            "a VM has moved",
            "a target says that the VM has come",
            "a target says that the VM is not let in",
        ],
        ..MIGRATION
    });
}

#[test]
fn a_lost_token_is_made_again() {
    keeps_the_rules(Scenario {
        recovers: true,
        steps: 6,
        reaches: &[
            "a predecessor asks its successor",
            "a server claims",
            "two servers mint the same counter",
        ],
        ..HAND_OVER
    });
}

#[test]
fn all_at_once() {
    keeps_the_rules(Scenario {
        policy: PolicyKind::Distributed,
        recovers: true,
        expires: true,
        unknown: true,
        slow_locations: true,
        steps: 6,
        reaches: &["a server claims"],
        ..MIGRATION
    });
}

#[cfg(feature = "mutations")]
mod defects {
    use s_core_proto::Mutation;

    use super::*;
    use rules::Rule;

    /// That the rule is broken after this many steps and not before.
    fn is_found(
        mutation: Mutation,
        unwatched: Option<Rule>,
        scenario: Scenario,
        rule: Rule,
        after: usize,
    ) {
        let mut setup = Setup::new(scenario).with(mutation);
        setup.unwatched = unwatched;
        let checker = explore(setup, after);
        let Some(path) = checker.discovery(rule.name()) else {
            panic!(
                "{mutation:?} does not break {} within {after} steps: {:?}",
                rule.name(),
                checker.discoveries().keys()
            );
        };
        let steps = path.into_actions();
        assert_eq!(steps.len(), after, "{mutation:?}: {steps:#?}");
    }

    #[test]
    fn each_is_found() {
        let quiet = Scenario {
            crashes: 0,
            ..HAND_OVER
        };
        let busy = Scenario {
            crashes: 0,
            ..MIGRATION
        };
        let by_level = Scenario {
            policy: PolicyKind::Distributed,
            ..busy
        };
        for (mutation, unwatched, scenario, rule, after) in [
            (Mutation::MarkNotPersisted, None, HAND_OVER, Rule::R1, 0),
            (
                Mutation::MarkNotPersisted,
                Some(Rule::R1),
                HAND_OVER,
                Rule::S1,
                3,
            ),
            (Mutation::StaleTokenActedOn, None, quiet, Rule::R4, 6),
            (
                Mutation::StaleTokenActedOn,
                Some(Rule::R4),
                quiet,
                Rule::S1,
                6,
            ),
            (Mutation::SkipKeepsEpoch, None, by_level, Rule::R2, 8),
            (
                Mutation::CapacityRequestWithoutMark,
                Some(Rule::R1),
                busy,
                Rule::R3,
                6,
            ),
            (
                Mutation::CapacityWithoutReservation,
                None,
                busy,
                Rule::S3,
                6,
            ),
        ] {
            is_found(mutation, unwatched, scenario, rule, after);
        }
    }
}
