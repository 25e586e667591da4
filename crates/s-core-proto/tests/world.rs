//! Many nodes together: the cost falls until no VM wants to move, and the rules hold all the way.

mod common;

use std::time::Duration;

use common::{Pairs, Settings, World, server};
use s_core_model::Levels;
use s_core_proto::TargetChoice;
use s_core_token::PolicyKind;

const POLICIES: [PolicyKind; 4] = [
    PolicyKind::RoundRobin,
    PolicyKind::Global,
    PolicyKind::Distributed,
    PolicyKind::LoadAware,
];

/// No VM has a peer's server with room where Eq. 3.1 would be lower (invariant L3).
fn is_local_optimum(world: &mut World) -> bool {
    let cost = world.cost();
    let homes = world.homes.clone();
    let pairs: Vec<_> = world.pairs.keys().copied().collect();
    for (vm, home) in &homes {
        let peers = pairs.iter().filter_map(|(a, b)| match vm {
            _ if a == vm => Some(b),
            _ if b == vm => Some(a),
            _ => None,
        });
        for target in peers.map(|peer| &homes[peer]) {
            if target == home || world.vms_on(*target) >= world.slots {
                continue;
            }
            world.homes.insert(*vm, *target);
            let after = world.cost();
            world.homes.insert(*vm, *home);
            if after < cost * (1.0 - 1e-9) {
                return false;
            }
        }
    }
    true
}

#[test]
fn every_policy_settles_in_a_local_optimum() {
    let mut migrations = 0;
    for seed in 0..30 {
        for policy in POLICIES {
            for choice in [TargetChoice::FirstFit, TargetChoice::BestFit] {
                let mut world = World::new(&Settings {
                    seed,
                    servers: 4,
                    vms: 12,
                    slots: 5,
                    policy,
                    choice,
                });
                let before = world.cost();
                world.mint(server(0));
                let settled = world.run(Duration::from_secs(600), World::settled);
                assert!(settled, "seed {seed} {policy}: does not settle");
                assert!(world.cost() <= before);
                assert!(
                    is_local_optimum(&mut world),
                    "seed {seed} {policy} {choice}: a VM could still gain"
                );
                migrations += world.migrations();
            }
        }
    }
    assert!(
        migrations > 1000,
        "only {migrations} migrations: the test tests nothing"
    );
}

/// Loss, duplication and reordering cost time, never a rule; the harness checks the rules at every step.
#[test]
fn loss_duplication_and_reordering_stop_nothing() {
    for seed in 0..40 {
        for policy in POLICIES {
            let mut world = World::new(&Settings {
                seed,
                servers: 4,
                vms: 8,
                slots: 4,
                policy,
                choice: TargetChoice::FirstFit,
            });
            world.loss = 15;
            world.duplication = 15;
            world.reordering = 30;
            world.mint(server(1));
            let settled = world.run(Duration::from_secs(3600), World::settled);
            assert!(settled, "seed {seed} {policy}: the token did not go on");
        }
    }
}

#[test]
fn the_harness_topology_keeps_its_promises() {
    let levels = Pairs { servers: 6 };
    for a in (0..6).map(s_core_model::ServerIndex::new) {
        assert_eq!(levels.level(a, a).get(), 0);
        for b in (0..6).map(s_core_model::ServerIndex::new) {
            assert_eq!(levels.level(a, b), levels.level(b, a));
        }
    }
}
