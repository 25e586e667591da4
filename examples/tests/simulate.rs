//! `simulate` as its users call it, and what it hands over to `plan`.

mod program;

use std::fs;
use std::process::Output;

use program::{program, succeed};
use serde_json::Value;

const SMALL: [&str; 8] = [
    "--fan-out",
    "2,2,2",
    "--servers-per-rack",
    "3",
    "--vm-slots",
    "6",
    "--vms",
    "100",
];

fn simulate(arguments: &[&str]) -> Output {
    program("simulate")
        .args(arguments)
        .output()
        .expect("simulate starts")
}

#[test]
fn compares_the_policies() {
    let text = succeed(simulate(&SMALL));
    assert!(
        text.starts_with("24 servers in 8 racks, 100 VMs, "),
        "{text}"
    );
    let rows: Vec<&str> = text.lines().skip(3).collect();
    assert_eq!(rows.len(), 4, "{text}");
    for (row, policy) in rows
        .iter()
        .zip(["round-robin", "global", "distributed", "load-aware"])
    {
        assert!(row.trim_start().starts_with(policy), "{text}");
        let percent = row
            .split_whitespace()
            .take_while(|word| *word != "%")
            .last();
        let percent: f64 = percent
            .and_then(|text| text.parse().ok())
            .expect("a reduction");
        assert!((50.0..100.0).contains(&percent), "{text}");
    }
}

/// The final placement of a result, put into the snapshot, costs what the result says; and `plan`
/// finds the same migrations in that snapshot.
#[test]
fn plan_finds_the_same() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("plain").to_owned();
    for placement in ["random", "rack-local"] {
        let (snapshot, out, plan_out) = (path("snapshot"), path("out"), path("plan"));
        let more = [
            "--placement",
            placement,
            "--seed",
            "5",
            "--start",
            "empty",
            "--write-snapshot",
            &snapshot,
            "--out",
            &out,
        ];
        succeed(simulate(&[&SMALL[..], &more[..]].concat()));
        let plan = |arguments: &[&str]| {
            let mut plan = program("plan");
            succeed(
                plan.arg(&snapshot)
                    .args(arguments)
                    .output()
                    .expect("plan starts"),
            )
        };
        plan(&["--policy", "all", "--out", &plan_out]);
        for policy in ["round-robin", "global", "distributed", "load-aware"] {
            let read = |dir: &str, file: &str| {
                fs::read_to_string(format!("{dir}/{policy}/{file}")).expect("the file is written")
            };
            for file in ["placement.csv", "migrations.csv"] {
                assert_eq!(read(&out, file), read(&plan_out, file), "{policy} {file}");
            }
            let summary: Value = serde_json::from_str(&read(&out, "summary.json")).expect("JSON");
            assert_eq!(summary["seed"], 5);
            let moved = vms_with_placement(&snapshot, &read(&out, "placement.csv"));
            let vms = format!("{snapshot}/vms.csv");
            let before = fs::read_to_string(&vms).expect("the file is written");
            fs::write(&vms, moved).expect("the file is writable");
            let settled: Value =
                serde_json::from_str(&plan(&["--json", "--policy", policy])).expect("JSON");
            fs::write(&vms, before).expect("the file is writable");
            let cost = |value: &Value| value.as_f64().expect("a cost");
            let (reported, recomputed) =
                (cost(&summary["final_cost"]), cost(&settled["initial_cost"]));
            assert!(
                (reported - recomputed).abs() <= 1e-9 * recomputed,
                "{policy}"
            );
            assert_eq!(settled["migrations"], Value::Array(Vec::new()), "{policy}");
        }
    }
}

/// `vms.csv` with the servers of a `placement.csv`.
fn vms_with_placement(snapshot: &str, placement: &str) -> String {
    let vms = fs::read_to_string(format!("{snapshot}/vms.csv")).expect("the file is written");
    let mut text = String::from("vm,server,memory_mib,name\n");
    for (vm, placed) in vms.lines().zip(placement.lines()).skip(1) {
        let fields: Vec<&str> = vm.split(',').collect();
        let (id, server) = placed.split_once(',').expect("two columns");
        assert_eq!(id, fields[0]);
        text += &format!("{id},{server},{},{}\n", fields[2], fields[3]);
    }
    text
}

#[test]
fn the_same_seed_simulates_the_same() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let migrations = |seed: &str, name: &str| {
        let out = dir.path().join(name);
        let more = [
            "--policy",
            "distributed",
            "--seed",
            seed,
            "--out",
            out.to_str().expect("plain"),
        ];
        succeed(simulate(&[&SMALL[..], &more[..]].concat()));
        fs::read_to_string(out.join("migrations.csv")).expect("the file is written")
    };
    let [a, again, b] = [("1", "a"), ("1", "again"), ("2", "b")].map(|(s, n)| migrations(s, n));
    assert_eq!(a, again);
    assert_ne!(a, b);
}

#[test]
fn a_migration_cost_holds_migrations_back() {
    let count = |cost: &str| {
        let text = succeed(simulate(
            &[
                &SMALL[..],
                &["--policy", "round-robin", "--migration-cost", cost],
            ]
            .concat(),
        ));
        let row = text.lines().last().expect("a row").to_owned();
        let words: Vec<&str> = row
            .split_whitespace()
            .skip_while(|word| *word != "%")
            .collect();
        words[1].parse::<u32>().expect("a count")
    };
    let [free, tenth, whole, huge] = ["0", "50%", "100%", "1e15"].map(count);
    assert!(free > tenth && tenth > 0, "{free} {tenth}");
    assert_eq!((whole, huge), (0, 0));
}

#[test]
fn bad_calls_are_refused() {
    let check = |arguments: &[&str], code: i32, wanted: &str| {
        let output = simulate(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(wanted), "{wanted:?} is not in {stderr}");
        assert!(output.stdout.is_empty());
    };
    check(&["--reference", "exact"], 1, "is more than the");
    check(&["--reference", "best"], 2, "best");
    check(&["--policy", "fastest"], 2, "fastest");
    check(
        &["--migration-cost", "-1"],
        2,
        "\"-1\" is not a migration cost; write",
    );
    check(&["--migration-cost", "101%"], 2, "not a migration cost");
    check(&["--migration-cost", "much"], 2, "write a cost like 5000");
    check(
        &["--fan-out", "2,0"],
        2,
        "'0' for '--fan-out <N,N,..>': give a whole number from 1",
    );
    check(
        &["--fan-out", "2,2,2,2,2"],
        2,
        "give --link-weights as well",
    );
    check(
        &["--fan-out", "2,2", "--link-weights", "1"],
        2,
        "--link-weights",
    );
    check(
        &["--fan-out", "2", "--servers-per-rack", "1", "--vms", "33"],
        2,
        "--vms: 33 VMs do not fit into 32 VM slots; give fewer",
    );
    check(
        &["--vm-slots", "4000000000"],
        2,
        "--topology, --vm-slots, --vms: a made-up",
    );
    check(
        &["--fan-out", "2000000"],
        2,
        "--topology, --fan-out, --servers-per-rack: ",
    );
    for (option, value) in [
        ("--vms", "0"),
        ("--vms", "-1"),
        ("--vm-slots", "0"),
        ("--servers-per-rack", "0"),
        ("--fan-out", "-2"),
    ] {
        let wanted = format!("invalid value '{value}' for '{option} <N");
        check(&[option, value], 2, &wanted);
    }
    check(&["--topology", "ring:5"], 2, "ring:5");
    check(
        &["--topology", "fat-tree:4", "--fan-out", "2"],
        2,
        "cannot be used with",
    );
    check(&["--flows-per-vm", "5000"], 2, "flows_per_vm is 5000");
    check(&["--study", "sweep"], 2, "sweep");
    check(&["--seed", "-1"], 2, "give a whole number from 0");
    check(
        &["--fan-out", "2", "--link-weights", "-1"],
        2,
        "--link-weights",
    );
    check(&["--snapshot", "/nowhere/at/all"], 1, "/nowhere/at/all");
    check(
        &["--snapshot", "/nowhere/at/all", "--vms", "3"],
        2,
        "--snapshot",
    );
    check(
        &["--snapshot", "/nowhere/at/all", "--seed", "3"],
        2,
        "--seed: nothing is random",
    );
    check(
        &["--population", "5"],
        2,
        "--population: only --reference genetic",
    );
    check(&["--timing", "tea=5"], 2, "is not a timing; write today");
    // Before anything is read or computed.
    for option in ["--out", "--write-snapshot"] {
        check(
            &["--snapshot", "/nowhere/at/all", option, "/proc/s-core"],
            1,
            "/proc/s-core: cannot be written: ",
        );
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let figures = dir.path().join("figures");
    fs::create_dir(&figures).expect("the directory is writable");
    fs::write(figures.join("mine.txt"), "mine").expect("the directory is writable");
    fs::write(dir.path().join("summary.json"), "{}").expect("the directory is writable");
    let path = dir.path().to_str().expect("plain");
    check(
        &[&SMALL[..], &["--out", path]].concat(),
        1,
        "figures: is not of a report of S-CORE",
    );
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(dir.path().join("thesis.txt"), "mine").expect("the directory is writable");
    let foreign = dir.path().to_str().expect("plain");
    check(
        &[&SMALL[..], &["--out", foreign]].concat(),
        1,
        "holds no result of S-CORE",
    );
    check(
        &[&SMALL[..], &["--write-snapshot", foreign]].concat(),
        1,
        "holds no snapshot",
    );
}

/// Everything that `--out` writes, of a study of a small data centre.
#[test]
fn a_study_draws_its_report() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let out = dir.path().join("study");
    let path = out.to_str().expect("plain");
    let text = succeed(simulate(
        &[&SMALL[..], &["--study", "--seed", "3", "--out", path]].concat(),
    ));
    for word in [
        "multilevel",
        "starling",
        "remedy",
        "traffic-aware",
        "report: ",
    ] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    let report = fs::read_to_string(out.join("report.html")).expect("the report is written");
    for part in [
        "VMs placed at random",
        "VMs in their home racks",
        "Traffic that changes",
        "c_m, % of 2 C(u)",
        "The seconds assume: a migration takes 2.94s",
        "multilevel, first window",
        "--study --seed 3",
        "</html>",
    ] {
        assert!(report.contains(part), "{part} is not in the report");
    }
    for outside in ["<script", "http://", "https://", "<link"] {
        let elsewhere = report.replace("http://www.w3.org/", "");
        assert!(
            !elsewhere.contains(outside),
            "the report refers to {outside}"
        );
    }
    let read = |file: &str| fs::read_to_string(out.join(file)).expect("the file is written");
    for name in ["multilevel", "starling", "remedy", "traffic-aware"] {
        let summary: Value =
            serde_json::from_str(&read(&format!("proposals/{name}/summary.json"))).expect("JSON");
        assert_eq!(
            (&summary["strategy"], &summary["complete"]),
            (&name.into(), &true.into())
        );
        assert_eq!(
            read(&format!("proposals/{name}/placement.csv"))
                .lines()
                .count(),
            101
        );
    }
    let summary: Value = serde_json::from_str(&read("global/summary.json")).expect("JSON");
    let number = |key: &str| summary[key].as_f64().expect("a number");
    assert!(number("reference_cost") <= number("final_cost"));
    assert!(number("reference_seconds") >= 0.0 && summary["complete"] == true);
    assert!(fs::read_dir(out.join("figures")).expect("figures").count() > 10);
    // A second run takes its place.
    succeed(simulate(&[&SMALL[..], &["--out", path]].concat()));
    let again = fs::read_to_string(out.join("report.html")).expect("the report is written");
    assert!(!again.contains("Traffic that changes"));
}

/// The small data centre's best placement, found in three ways.
#[test]
fn references_agree_where_the_optimum_is_known() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let tiny = [
        "--topology",
        "tree:2,2x1",
        "--vm-slots",
        "3",
        "--vms",
        "8",
        "--policy",
        "global",
    ];
    let cost = |reference: &str| {
        let out = dir.path().join(reference);
        let more = [
            "--reference",
            reference,
            "--out",
            out.to_str().expect("plain"),
        ];
        let population: &[&str] = match reference {
            "genetic" => &["--population", "50"],
            _ => &[],
        };
        succeed(simulate(&[&tiny[..], &more, population].concat()));
        let text = fs::read_to_string(out.join("summary.json")).expect("the file is written");
        let summary: Value = serde_json::from_str(&text).expect("JSON");
        summary["reference_cost"].as_f64().expect("a cost")
    };
    let [exact, multilevel, genetic] = ["exact", "multilevel", "genetic"].map(cost);
    assert!(
        multilevel >= exact * (1.0 - 1e-9) && multilevel <= 1.05 * exact,
        "{multilevel} {exact}"
    );
    assert!(
        genetic >= exact * (1.0 - 1e-9) && genetic <= 1.05 * exact,
        "{genetic} {exact}"
    );
}

#[test]
fn other_topologies_and_denser_traffic() {
    for (topology, wanted) in [
        ("fat-tree:4", "16 servers in 8 racks, "),
        ("leaf-spine:4x6", "24 servers in 4 racks, "),
        ("tree:2,3x2", "12 servers in 6 racks, "),
    ] {
        let arguments = ["--topology", topology, "--vm-slots", "4", "--windows", "3"];
        let text = succeed(simulate(&arguments));
        assert!(text.starts_with(wanted), "{text}");
    }
}

/// Ctrl-C keeps what there is, marked as partial.
#[test]
fn an_interrupted_run_is_kept_as_partial() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let out = dir.path().join("out");
    let run = program("simulate")
        .args(["--fan-out", "4,4", "--vms", "4000", "--policy", "global"])
        .args(["--reference", "genetic", "--population", "60000", "--out"])
        .arg(&out)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("simulate starts");
    // Long enough to be at work; how far it comes does not matter.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let id = rustix::process::Pid::from_child(&run);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("it is running");
    let output = run.wait_with_output().expect("it ends");
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stdout.contains("genetic (stopped)"), "{stdout}");
    assert!(stderr.contains("marked as partial"), "{stderr}");
    let text = fs::read_to_string(out.join("proposals/genetic/summary.json"));
    let summary: Value = serde_json::from_str(&text.expect("it is written")).expect("JSON");
    assert_eq!(summary["complete"], false);
    let report = fs::read_to_string(out.join("report.html")).expect("the report is written");
    for part in ["This report is partial", "genetic (stopped)"] {
        assert!(report.contains(part), "{part} is not in the report");
    }
    // What was stopped is no yardstick.
    assert!(!report.contains("the best reference"));
    let text = fs::read_to_string(out.join("summary.json")).expect("it is written");
    let summary: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (&summary["complete"], summary.get("reference_cost")),
        (&true.into(), None)
    );
}

/// c_m holds in every part of a study, and beside an earlier result nothing of that stays.
#[test]
fn a_study_in_the_place_of_another() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let out = dir.path().join("study");
    let path = out.to_str().expect("plain");
    let study = [
        "--study",
        "--migration-cost",
        "100%",
        "--timing",
        "migration=7",
        "--out",
        path,
    ];
    let text = succeed(simulate(&[&SMALL[..], &study].concat()));
    let header = text.lines().nth(1).expect("a header");
    assert!(
        header.contains("migrations") && header.contains("VMs moved"),
        "{text}"
    );
    let report = fs::read_to_string(out.join("report.html")).expect("the report is written");
    assert!(report.contains("a migration takes 7s"));
    for title in [
        "vms-in-their-home-racks",
        "vms-placed-at-random",
        "traffic-that-changes",
    ] {
        let curve =
            fs::read_to_string(out.join(format!("figures/{title}-cost.csv"))).expect("a figure");
        let cost = |line: &str| match line.split(',').collect::<Vec<_>>()[..] {
            // Of references only the cost is known.
            ["over time" | "over hops", _, at, cost] if !at.is_empty() => cost.parse().ok(),
            _ => None,
        };
        let costs: Vec<f64> = curve.lines().filter_map(cost).collect();
        assert!(!costs.is_empty(), "{curve}");
        if title != "traffic-that-changes" {
            assert!(costs.iter().all(|cost| *cost == 100.0), "{title}: {curve}");
        }
    }
    succeed(simulate(
        &[&SMALL[..], &["--policy", "global", "--out", path]].concat(),
    ));
    let mut left: Vec<_> = fs::read_dir(&out)
        .expect("the result")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    left.sort();
    assert_eq!(
        left,
        [
            "figures",
            "migrations.csv",
            "placement.csv",
            "report.html",
            "summary.json"
        ]
    );
}

/// A reference on a given data centre has a seed, which is written down.
#[test]
fn a_snapshot_with_a_seed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let [snapshot, out] =
        ["snapshot", "out"].map(|name| dir.path().join(name).display().to_string());
    succeed(simulate(
        &[
            &SMALL[..],
            &["--policy", "global", "--write-snapshot", &snapshot],
        ]
        .concat(),
    ));
    let given = ["--snapshot", &snapshot, "--policy", "global", "--out", &out];
    let seed = |more: &[&str]| {
        succeed(simulate(&[&given[..], more].concat()));
        let text = fs::read_to_string(format!("{out}/summary.json")).expect("it is written");
        serde_json::from_str::<Value>(&text).expect("JSON")["seed"].clone()
    };
    assert_eq!(seed(&["--reference", "multilevel", "--seed", "9"]), 9);
    assert_eq!(seed(&["--reference", "multilevel"]), 1);
    assert_eq!(seed(&[]), Value::Null);
}

#[test]
fn one_of_everything() {
    let one = [
        "--fan-out",
        "1",
        "--servers-per-rack",
        "1",
        "--vm-slots",
        "1",
    ];
    let text = succeed(simulate(&one));
    assert!(
        text.starts_with("1 server in 1 rack, 1 VM, 0 pairs that exchange data\n"),
        "{text}"
    );
}

#[test]
fn says_what_it_is() {
    let help = succeed(simulate(&["--help"]));
    assert!(
        help.contains("simulate --snapshot /tmp/data-centre"),
        "{help}"
    );
    assert!(succeed(simulate(&["--version"])).starts_with("simulate 0."));
}
