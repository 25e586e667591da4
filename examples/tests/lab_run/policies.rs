//! The cost falls to what the planner says, under each policy, and the links' own counters show it.

use std::fs;
use std::path::Path;

use s_core_lab::run::link_weights;
use s_core_lab::{HostNumber, Layout, Shape, VmNumber, link_counters};
use s_core_model::Rate;
use s_core_sim::snapshot::{Settings, TrafficEntry};
use s_core_token::PolicyKind;

use crate::program::{program, succeed};
use crate::support::{TakenDown, is_possible, layout};

/// Bytes per second of the lesser pairs in a group.
const UNIT: f64 = 250_000.0;

/// The group of a VM. Each group has two VMs on the host of its number, and one on each of the two hosts before it.
fn group(layout: &Layout, vm: VmNumber) -> u32 {
    let host = u32::from(layout.first_host(vm).0 - 1);
    let place = (vm.0 - 1) % 4;
    (host + place.saturating_sub(1)) % 4
}

/// Traffic with one local optimum, so that whoever decides in whatever order comes to the same: the two of a group
/// that begin on one host exchange three times as much as others of the group, and all groups exchange as much.
fn traffic(layout: &Layout) -> Vec<TrafficEntry> {
    let vms: Vec<_> = layout.vms().collect();
    let pairs = vms
        .iter()
        .flat_map(|a| vms.iter().filter(move |b| a < b).map(move |b| (*a, *b)));
    let rate = |a, b| {
        if group(layout, a) != group(layout, b) {
            return 3000.0;
        }
        let together = layout.first_host(a) == layout.first_host(b);
        if together { 3.0 * UNIT } else { UNIT }
    };
    let entry = |(a, b)| TrafficEntry {
        vm_a: layout.vm(a),
        vm_b: layout.vm(b),
        rate: Rate::new(rate(a, b)).unwrap(),
    };
    pairs.map(entry).collect()
}

/// What the program `plan` makes of the snapshot that a run has written.
fn planned_cost(out: &Path, policy: PolicyKind) -> f64 {
    let result = out.join("planned");
    let mut plan = program("plan");
    plan.arg(out.join("snapshot"))
        .args(["--policy", policy.name()]);
    succeed(plan.arg("--out").arg(&result).output().unwrap());
    let summary = fs::read_to_string(result.join("summary.json")).unwrap();
    number(&summary, "final_cost")
}

fn number(summary: &str, key: &str) -> f64 {
    let summary: serde_json::Value = serde_json::from_str(summary).unwrap();
    summary[key].as_f64().unwrap()
}

/// What the links of the core carry in a second, in bytes.
fn core_load(layout: &Layout) -> u64 {
    let read = || {
        let counters = link_counters(layout).unwrap().into_iter();
        let core = counters.filter(|(link, _)| link.level == layout.levels());
        core.map(|(_, counters)| counters.up + counters.down)
            .sum::<u64>()
    };
    let before = read();
    std::thread::sleep(std::time::Duration::from_secs(1));
    read() - before
}

fn settles_as_planned(suffix: char, policy: PolicyKind, interception: bool) {
    let test = format!("settles_as_planned ({})", policy.name());
    if !is_possible(&test) {
        return;
    }
    let layout = layout(suffix, Shape::default());
    let name = layout.name().as_str();
    let _down = TakenDown::up(&layout);
    let dir = tempfile::tempdir().unwrap();
    let matrix = dir.path().join("matrix");
    let home = |vm: VmNumber| -> HostNumber { layout.first_host(vm) };
    let settings = Settings::new(link_weights(&layout));
    let given = s_core_lab::traffic::snapshot(&layout, home, traffic(&layout), settings);
    given.unwrap().write(&matrix).unwrap();

    let out = dir.path().join("out");
    let mut run = program("lab");
    run.args(["run", "--name", name, "--policy", policy.name()]);
    run.args(["--rest", "5", "--window", "6", "--seconds", "240"]);
    run.arg("--matrix").arg(&matrix).arg("--out").arg(&out);
    if interception {
        run.arg("--interception");
    }
    let output = run.output().unwrap();
    let [said, errors] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{said}{errors}");
    assert!(said.contains("settled: "), "{said}");
    assert!(
        core_load(&layout) < 10_000,
        "the agents and the traffic have ended"
    );

    let summary = fs::read_to_string(out.join("summary.json")).unwrap();
    let planned = planned_cost(&out, policy);
    let settled = number(&summary, "final_cost");
    assert!(
        (settled - planned).abs() <= 0.02 * planned,
        "{settled} for {planned}: {said}"
    );
    let begun = number(&summary, "initial_cost");
    assert!(settled < 0.2 * begun, "{settled} of {begun}: {said}");
    gone_from_the_core(&out, &said);
}

/// By the links' own counters: of what the core carried before, a fifth is left at most. What goes over the core goes over
/// the hosts' links as well.
fn gone_from_the_core(out: &Path, said: &str) {
    let links = fs::read_to_string(out.join("figures/links.csv")).unwrap();
    let [hosts, core] = ["0,", "2,"].map(|level| -> Vec<f64> {
        let row = links.lines().find(|line| line.starts_with(level)).unwrap();
        let loads = row.split(',').skip(1);
        loads.map(|load| load.parse().unwrap()).collect()
    });
    assert!(core[0] > 1.0 && core[1] < 0.2 * core[0], "{links}{said}");
    assert!(hosts[0] > 0.95 * core[0], "{links}");
}

#[test]
#[ignore = "takes a minute"]
fn round_robin() {
    settles_as_planned('r', PolicyKind::RoundRobin, false);
}

#[test]
#[ignore = "takes a minute"]
fn global() {
    settles_as_planned('g', PolicyKind::Global, false);
}

#[test]
#[ignore = "takes a minute"]
fn distributed_with_interception() {
    settles_as_planned('d', PolicyKind::Distributed, true);
}

#[test]
#[ignore = "takes a minute"]
fn load_aware() {
    settles_as_planned('l', PolicyKind::LoadAware, false);
}
