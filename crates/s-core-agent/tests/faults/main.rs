//! Agents under real faults: each is a process in a network namespace of its own, over emulated hypervisors that
//! outlive it. Shows how long the token was away beside the bound of docs/protocol.md (L1).
//!
//! Needs root and iproute2; without, it says so and passes, unless `S_CORE_REQUIRE_NETNS=1`. The flood of strangers lasts
//! `S_CORE_FLOOD_SECONDS`, 5 if that is not set.
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics says where; clippy.toml exempts only test functions"
)]

mod agent;
mod lab;
mod network;
mod remote;
mod scenarios;
mod strangers;
mod timing;
mod world;

use std::time::Instant;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        Some((role, rest)) if role == "agent" => agent::run(rest),
        Some((role, rest)) if role == "strangers" => strangers::run(rest),
        // What is meant for the tests of the standard harness.
        _ if args.iter().any(|arg| arg == "--list") => {}
        _ => test(),
    }
}

fn test() {
    if let Some(missing) = network::Network::missing() {
        let required = std::env::var_os("S_CORE_REQUIRE_NETNS").is_some_and(|v| v == "1");
        assert!(
            !required,
            "must run (S_CORE_REQUIRE_NETNS=1), but {missing}"
        );
        return eprintln!("SKIPPED: agents under real faults: {missing}");
    }
    let began = Instant::now();
    let mut lab = lab::Lab::start();
    let rows = scenarios::all(&mut lab);
    let moved = world::check(&lab.data_centre, &lab.ends.lock().unwrap());
    println!(
        "{moved} VMs moved, none twice, no server overfull; {:.0} s",
        began.elapsed().as_secs_f64()
    );
    assert!(moved > 10, "{moved} migrations are too few to say anything");
    for (what, took, bound) in rows {
        assert!(took <= bound, "{what}: {took:?}, more than {bound:?}");
    }
}
