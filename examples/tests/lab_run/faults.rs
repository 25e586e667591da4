//! Agents at real switches go on after faults, as docs/protocol.md promises.

use std::time::Instant;

use s_core_lab::run::{Heard, Said};
use s_core_lab::{
    Cable, HostNumber, Link, Shape, cut, hang_switch, mend, restart_switch, resume_switch,
};

use crate::agents::Agents;
use crate::support::is_possible;

#[test]
#[ignore = "takes minutes"]
fn agents_go_on_after_faults() {
    if !is_possible("agents_go_on_after_faults") {
        return;
    }
    let shape = Shape {
        vms_per_host: 2,
        ..Shape::default()
    };
    let mut agents = Agents::start('f', shape);
    let first = agents.token_at(&[1, 2, 3, 4]);

    // The token is lost with the agent that has it.
    let killed = agents.holder();
    agents.cluster.kill(killed).unwrap();
    agents.forget();
    let second = agents.token_at(&agents.others(killed));
    assert!(second > first, "a new epoch");
    agents.cluster.restart(killed).unwrap();
    agents.token_at(&[1, 2, 3, 4]);

    // Two racks are cut off from the other two: each side has a token of its own, and one is left afterwards.
    let core = Cable::Link(Link {
        level: 2,
        number: 1,
    });
    cut(&agents.layout, core).unwrap();
    agents.forget();
    let sides = [&[1, 2][..], &[3, 4]].map(|side| agents.token_at(side));
    assert_ne!(sides[0], sides[1]);
    mend(&agents.layout, core).unwrap();
    agents.forget();
    let healed = agents.token_at(&[1, 2, 3, 4]);
    assert!(sides.iter().all(|side| *side <= healed));
    agents.one_token(healed);

    // A switch that hangs cuts its host off; when it goes on, the host is served again.
    let hung = HostNumber(2);
    hang_switch(&agents.layout, hung).unwrap();
    agents.forget();
    agents.token_at(&agents.others(hung));
    resume_switch(&agents.layout, hung).unwrap();
    agents.forget();
    agents.token_at(&[1, 2, 3, 4]);

    // A switch that is started again has lost its rules and counters.
    restart_switch(&agents.layout, hung).unwrap();
    agents.forget();
    agents.token_at(&[1, 2, 3, 4]);
    agents.cluster.stop().unwrap();
}

/// Whether a VM of this host stays, and its rates were known when that was decided.
fn stayed(heard: &Heard, host: HostNumber) -> Option<bool> {
    match &heard.said {
        Some(Said::Stayed { informed, .. }) if heard.host == host => Some(*informed),
        Some(Said::Migrating { .. }) => panic!("nobody exchanges anything: {heard:?}"),
        _ => None,
    }
}

/// The agents speak over a network of their own, so that the token still comes to the host whose switch hangs.
#[test]
#[ignore = "takes a minute"]
fn nothing_is_decided_on_stale_rates() {
    if !is_possible("nothing_is_decided_on_stale_rates") {
        return;
    }
    let shape = Shape {
        hosts: 2,
        vms_per_host: 2,
        vm_slots: 4,
        fan_out: vec![2],
        management: true,
        ..Shape::default()
    };
    let mut agents = Agents::start('s', shape);
    let hung = HostNumber(2);
    let until = |informed: bool| {
        let what = format!("host 2 decides, informed: {informed}");
        agents.hear(&what, |heard| {
            (stayed(heard, hung) == Some(informed)).then_some(())
        });
    };
    until(true);
    hang_switch(&agents.layout, hung).unwrap();
    agents.forget();
    until(false);
    let began = Instant::now();
    let mut decisions = 0;
    agents.hear("ten visits with nothing but stale rates", |heard| {
        if let Some(informed) = stayed(heard, hung) {
            assert!(!informed, "after {:?}: {heard:?}", began.elapsed());
            decisions += 1;
        }
        (decisions == 10).then_some(())
    });
    resume_switch(&agents.layout, hung).unwrap();
    agents.forget();
    until(true);
    agents.cluster.stop().unwrap();
}
