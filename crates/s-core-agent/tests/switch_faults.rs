//! An agent whose switch, a real Open vSwitch, misbehaves: it says so once, decides nothing on what it no longer
//! knows, and goes on by itself.
//!
//! Needs root and Open vSwitch; without, it says so and passes, unless `S_CORE_REQUIRE_OVS=1`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "../../s-core-backend/tests/ovs_lab/mod.rs"]
mod ovs_lab;

use std::thread;
use std::time::{Duration, Instant};

use common::Bench;
use ovs_lab::Lab;
use ovs_lab::log::Log;
use ovs_lab::traffic::udp_ping_pong;
use rustix::process::Signal;
use s_core_agent::{AgentStatus, FlowSettings};
use s_core_backend::ovs::{IP_PAIR_COOKIE, OvsFlowSource};

const LONG: Duration = Duration::from_secs(20);

fn settings() -> FlowSettings {
    FlowSettings {
        interval: Duration::from_millis(100),
        deadline: Duration::from_millis(400),
        window: Duration::from_secs(2),
        ..FlowSettings::default()
    }
}

/// Waits until the agent's status is so.
fn until(bench: &Bench, what: &str, is_so: impl Fn(&AgentStatus) -> bool) -> AgentStatus {
    let deadline = Instant::now() + LONG;
    loop {
        let status = bench.agent.status().unwrap();
        if is_so(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "{what}: {status:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn has_rule(lab: &Lab) -> bool {
    lab.rules().contains(&format!("{IP_PAIR_COOKIE:#x}"))
}

/// Waits until the rule is there (again).
fn until_rule(lab: &Lab) {
    let deadline = Instant::now() + LONG;
    while !has_rule(lab) {
        assert!(Instant::now() < deadline, "{}", lab.rules());
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_switch_that_hangs_restarts_or_loses_its_bridge() {
    let Some(lab) = Lab::new("an agent and its switch", 2) else {
        return;
    };
    let log = Log::of_all();
    let state = tempfile::tempdir().unwrap();
    let switch = OvsFlowSource::new(lab.run_dir(), 7)
        .with_ovsdb(lab.ovsdb())
        .with_ip_pair_rule("br0".parse().unwrap());
    let change = |config: &mut s_core_agent::AgentConfig| config.flows = settings();
    let bench = Bench::start_with(31, state.path(), change, |_| Box::new(switch));
    let measured = |status: &AgentStatus| status.measured;
    until(&bench, "measured", measured);
    until_rule(&lab);
    udp_ping_pong(&lab, 1, 2, 50);
    let counted = until(&bench, "counted", |status| status.flows.attributed > 50_000);
    assert_eq!(counted.switch.failed, 0);

    // It hangs.
    lab.signal("ovs-vswitchd", Signal::STOP);
    let stale = until(&bench, "stale", |status| !status.measured);
    assert!(stale.switch.failed > 0);
    // Half a window without an answer.
    assert!(stale.switch.last_answer.unwrap() > Duration::from_secs(1));
    assert_eq!(stale.flows.attributed, counted.flows.attributed);
    lab.signal("ovs-vswitchd", Signal::CONT);
    let back = until(&bench, "measured again", measured);
    assert!(back.switch.last_answer.unwrap() < Duration::from_secs(1));
    assert_eq!(log.count("cannot read flows"), 1, "{:?}", log.lines());
    assert_eq!(log.count("the switch answers again"), 1);

    // It is another process, at another socket, and knows no rules.
    lab.stop("ovs-vswitchd");
    until(&bench, "stale", |status| !status.measured);
    lab.start_again("ovs-vswitchd");
    until(&bench, "measured by another process", measured);
    until_rule(&lab);
    assert_eq!(log.count("cannot read flows"), 2, "{:?}", log.lines());

    // Its only bridge goes, and with it the datapath.
    lab.vsctl("del-br br0");
    until(&bench, "stale", |status| !status.measured);
    lab.add_bridge();
    [1, 2].into_iter().for_each(|n| lab.add_port(n, ""));
    until(&bench, "measured on another bridge", measured);
    until_rule(&lab);
    let before = bench.agent.status().unwrap().flows.attributed;
    udp_ping_pong(&lab, 1, 2, 50);
    until(&bench, "counted again", |status| {
        status.flows.attributed > before + 50_000
    });
    assert_eq!(log.count("cannot read flows"), 3, "{:?}", log.lines());
    assert_eq!(log.count("the switch answers again"), 3);

    bench.agent.shutdown();
    bench.agent.join().unwrap();
    assert!(!has_rule(&lab), "{}", lab.rules());
}
