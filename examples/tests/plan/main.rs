//! `plan` as its users call it: what it prints, what it writes, and how it refuses what is wrong.

mod bad_calls;
mod explain;
#[path = "../program/mod.rs"]
mod program;
mod snapshot;

use std::fs;
use std::process::{Command, Output};

use program::{program, succeed};
use serde_json::Value;
use snapshot::{SERVERS, SETTINGS, Snapshot, TRAFFIC, VMS};

fn plan(arguments: &[&str]) -> Output {
    program("plan")
        .args(arguments)
        .output()
        .expect("plan starts")
}

/// What a successful call prints.
fn stdout(arguments: &[&str]) -> String {
    succeed(plan(arguments))
}

/// The same, of a call that prints JSON.
fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&stdout(arguments)).expect("plan prints JSON")
}

fn check_contains(text: &str, wanted: &[&str]) {
    for wanted in wanted {
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
    }
}

/// All VMs on one server cost nothing; two of them fit there. By hand: 10.1.0.1 moves to 10.0.0.2,
/// which saves 2 × 300 × 1 of 2 × (300 × 1 + 100 × 11) = 2800; nobody else has room to go to.
#[test]
fn prints_the_migrations() {
    let snapshot = Snapshot::new();
    let text = stdout(&[snapshot.dir()]);
    let wanted = [
        "   1   10.1.0.1   web    10.0.0.1   10.0.0.2   600.000      2.200 k",
        "initial cost    2.800 k",
        "final cost      2.200 k",
        "reduction       21.43 %",
        "migrations      1",
        "settled: a whole round has passed without a migration",
        " 1                   400.000     100.000     75.00 %",
        " 2                   100.000     100.000      0.00 %",
    ];
    check_contains(&text, &wanted);
}

#[test]
fn prints_json() {
    let snapshot = Snapshot::new();
    let one = json(&[snapshot.dir(), "--json"]);
    assert_eq!(one["initial_cost"], 2800.0);
    assert_eq!(one["final_cost"], 2200.0);
    assert_eq!(one["settled"], true);
    let wanted = serde_json::json!([{
        "step": 1, "vm": "10.1.0.1", "name": "web", "source": "10.0.0.1", "target": "10.0.0.2",
        "gain": 600.0, "total_cost": 2200.0,
    }]);
    assert_eq!(one["migrations"], wanted);
    let all = json(&[snapshot.dir(), "--json", "--policy", "all"]);
    let policies: Vec<_> = all
        .as_array()
        .expect("a list")
        .iter()
        .map(|p| &p["policy"])
        .collect();
    assert_eq!(
        policies,
        ["round-robin", "global", "distributed", "load-aware"]
    );
}

#[test]
fn limits_hold_back() {
    let check = |settings: &str, arguments: &[&str], migrations: usize| {
        let snapshot = Snapshot::new().with("data-centre.toml", format!("{SETTINGS}{settings}"));
        let json = json(&[&[snapshot.dir(), "--json"], arguments].concat());
        let count = json["migrations"].as_array().map(Vec::len);
        assert_eq!(count, Some(migrations), "{settings:?} {arguments:?}");
    };
    check("", &[], 1);
    check("", &["--target-choice", "best-fit"], 1);
    check("", &["--max-migrations", "0"], 0);
    check("[limits]\nmax_migrations = 0", &[], 0);
    check(
        "[limits]\nmax_migrations = 0",
        &["--max-migrations", "5"],
        1,
    );
    check("", &["--min-gain", "2200"], 1); // a least gain may be reached
    check("", &["--min-gain", "2200.1"], 0);
    check("[limits]\nmin_gain = 2201", &[], 0);
    check("[limits]\nmin_gain = 2201", &["--min-gain", "0"], 1);
    check("migration_cost = 2200", &[], 0); // a migration cost must be exceeded
    check("migration_cost = 2199", &[], 1);
    check("migration_cost = { relative = 1.0 }", &[], 0);
    check("migration_cost = { relative = 0.99 }", &[], 1);
}

#[test]
fn says_how_it_ended() {
    let check = |settings: &str, arguments: &[&str], wanted: &[&str]| {
        let snapshot = Snapshot::new().with("data-centre.toml", format!("{SETTINGS}{settings}"));
        let text = stdout(&[&[snapshot.dir()], arguments].concat());
        check_contains(&text, wanted);
    };
    let nothing = [
        "No migration to a server with room is worth its cost.\n",
        "in 1 round\n",
        "settled: ",
    ];
    check(
        "migration_cost = 2200",
        &["--policy", "round-robin"],
        &nothing,
    );
    check(
        "",
        &["--max-migrations", "0"],
        &[
            "No migration is allowed: the limit is 0.\n",
            "in 0 rounds\n",
            "at the limit of 0 migrations; there may be more",
        ],
    );
    check(
        "[limits]\nmax_migrations = 1",
        &[],
        &["at the limit of 1 migration; there may be more"],
    );
}

/// Everything that the commands print is what a shell would run, word by word.
#[test]
fn prints_commands_that_a_shell_takes() {
    let servers = SERVERS.replace("10.0.0.3,a2/r3,1", "10.0.0.3,a2/r3,3");
    let traffic = format!("{TRAFFIC}10.1.0.2,10.1.0.3,900\n");
    let snapshot = Snapshot::new()
        .with("servers.csv", servers)
        .with("traffic.csv", traffic);
    let commands = stdout(&[snapshot.dir(), "--commands", "--policy", "round-robin"]);
    assert_eq!(
        commands,
        "xl migrate web 10.0.0.2 # on 10.0.0.1, VM 10.1.0.1\n\
         xl migrate 'it'\\''s a database' 10.0.0.3 # on 10.0.0.2, VM 10.1.0.2\n\
         xl migrate web 10.0.0.3 # on 10.0.0.2, VM 10.1.0.1\n"
    );
    let script = format!("xl() {{ printf '[%s]' \"$@\"; }}\n{commands}");
    let shell = Command::new("sh")
        .args(["-c", &script])
        .output()
        .expect("a shell starts");
    let words =
        "[migrate][web][10.0.0.2][migrate][it's a database][10.0.0.3][migrate][web][10.0.0.3]";
    assert_eq!(String::from_utf8_lossy(&shell.stdout), words);
    // VMs without a name that xl could understand are not forgotten.
    let unnamed = Snapshot::new().with("vms.csv", VMS.replace("web", ""));
    assert_eq!(
        stdout(&[unnamed.dir(), "--commands"]),
        "# on 10.0.0.1: move VM 10.1.0.1 to 10.0.0.2; vms.csv gives no name for xl migrate\n"
    );
}

#[test]
fn writes_a_result() {
    let snapshot = Snapshot::new();
    let out = snapshot.path("out");
    let out_argument = out.to_str().expect("temporary names are plain");
    stdout(&[snapshot.dir(), "--out", out_argument]);
    let read = |file: &str| fs::read_to_string(out.join(file)).expect("the file is written");
    assert_eq!(
        read("placement.csv"),
        "vm,server\n10.1.0.1,10.0.0.2\n10.1.0.2,10.0.0.2\n10.1.0.3,10.0.0.3\n"
    );
    assert_eq!(
        read("migrations.csv"),
        "step,vm,source,target,gain,total_cost\n1,10.1.0.1,10.0.0.1,10.0.0.2,600.0,2200.0\n"
    );
    let summary: Value = serde_json::from_str(&read("summary.json")).expect("JSON");
    assert_eq!(
        (&summary["migrations"], &summary["seed"]),
        (&1.into(), &Value::Null)
    );
    stdout(&[snapshot.dir(), "--out", out_argument, "--policy", "all"]);
    assert!(out.join("load-aware/summary.json").is_file());
    assert!(!out.join("summary.json").exists());
}

#[test]
fn says_what_it_is() {
    let help = stdout(&["--help"]);
    assert!(
        help.contains("plan /tmp/data-centre --policy all"),
        "{help}"
    );
    assert!(stdout(&["--version"]).starts_with("plan 0."));
}
