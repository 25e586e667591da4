//! `plan` as its users call it: what it prints, what it writes, and how it refuses what is wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The example's program, which cargo has built beside this test.
fn program(name: &str) -> Command {
    let test = std::env::current_exe().expect("a running test has a path");
    let profile = test.ancestors().nth(2).expect("tests are in PROFILE/deps");
    Command::new(profile.join("examples").join(name))
}

fn plan(arguments: &[&str]) -> Output {
    program("plan")
        .args(arguments)
        .output()
        .expect("plan starts")
}

/// What a successful call prints.
fn stdout(arguments: &[&str]) -> String {
    let output = plan(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        (output.status.code(), stderr.as_ref()),
        (Some(0), ""),
        "{arguments:?}"
    );
    String::from_utf8(output.stdout).expect("plan prints UTF-8")
}

const SETTINGS: &str = "link_weights = [1, 10]\n";
const SERVERS: &str = "server,location,vm_slots,memory_mib
10.0.0.1,a1/r1,2,4096
10.0.0.2,a1/r2,2,4096
10.0.0.3,a2/r3,1,4096
";
const VMS: &str = "vm,server,memory_mib,name
10.1.0.1,10.0.0.1,1024,web
10.1.0.2,10.0.0.2,1024,it's a database
10.1.0.3,10.0.0.3,1024,
";
const TRAFFIC: &str = "vm_a,vm_b,bytes_per_second
10.1.0.1,10.1.0.2,300
10.1.0.2,10.1.0.3,100
";

struct Snapshot(tempfile::TempDir);

impl Snapshot {
    fn new() -> Self {
        let snapshot = Self(tempfile::tempdir().expect("a temporary directory"));
        snapshot
            .with("data-centre.toml", SETTINGS)
            .with("servers.csv", SERVERS)
            .with("vms.csv", VMS)
            .with("traffic.csv", TRAFFIC)
    }

    fn with(self, file: &str, text: impl AsRef<[u8]>) -> Self {
        fs::write(self.0.path().join(file), text).expect("the directory is writable");
        self
    }

    fn without(self, file: &str) -> Self {
        fs::remove_file(self.0.path().join(file)).expect("the file is there");
        self
    }

    fn dir(&self) -> &str {
        self.0.path().to_str().expect("temporary names are plain")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// All VMs on one server cost nothing; two of them fit there. By hand: 10.1.0.1 moves to 10.0.0.2,
/// which saves 2 × 300 × 1 of 2 × (300 × 1 + 100 × 11) = 2800; nobody else has room to go to.
#[test]
fn prints_the_migrations() {
    let snapshot = Snapshot::new();
    let text = stdout(&[snapshot.dir()]);
    for wanted in [
        "   1   10.1.0.1   web    10.0.0.1   10.0.0.2   600.000      2.200 k",
        "initial cost    2.800 k",
        "final cost      2.200 k",
        "reduction       21.43 %",
        "migrations      1",
        "settled: a whole round has passed without a migration",
        " 1                   400.000     100.000     75.00 %",
        " 2                   100.000     100.000      0.00 %",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
    }
}

#[test]
fn prints_json() {
    let snapshot = Snapshot::new();
    let json: Value = serde_json::from_str(&stdout(&[snapshot.dir(), "--json"])).expect("JSON");
    assert_eq!(json["initial_cost"], 2800.0);
    assert_eq!(json["final_cost"], 2200.0);
    assert_eq!(json["settled"], true);
    let wanted = serde_json::json!([{
        "step": 1, "vm": "10.1.0.1", "name": "web", "source": "10.0.0.1", "target": "10.0.0.2",
        "gain": 600.0, "total_cost": 2200.0,
    }]);
    assert_eq!(json["migrations"], wanted);
    let all = stdout(&[snapshot.dir(), "--json", "--policy", "all"]);
    let all: Value = serde_json::from_str(&all).expect("JSON");
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
        let text = stdout(&[&[snapshot.dir(), "--json"], arguments].concat());
        let json: Value = serde_json::from_str(&text).expect("JSON");
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
        for wanted in wanted {
            assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
        }
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
fn explains_one_vm() {
    let snapshot = Snapshot::new();
    let check = |vm: &str, wanted: &[&str]| {
        let text = stdout(&[snapshot.dir(), "--explain", vm]);
        for wanted in wanted {
            assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
        }
    };
    let web = ["decision        moves to 10.0.0.2", "600.000   moves here"];
    check("web", &web);
    check("10.1.0.1", &web);
    let database = [
        "cost            1.400 k",
        "migration cost  0.000",
        "decision        stays",
        " 10.1.0.3          10.0.0.3       2   100.000   1.100 k",
        " 10.0.0.3    a2/r3      -4.400 k   gain is not above the migration cost 0.000",
        " 10.0.0.1    a1/r1       600.000   worthwhile",
    ];
    check("it's a database", &database[..2]);
    check(
        "it's a database",
        &[
            "decision        moves to 10.0.0.1",
            "600.000   moves here",
            database[3],
        ],
    );
    check("10.1.0.3", &["2.200 k   moves here"]);
    let full = Snapshot::new().with(
        "servers.csv",
        SERVERS.replace("10.0.0.2,a1/r2,2", "10.0.0.2,a1/r2,1"),
    );
    let text = stdout(&[full.dir(), "--explain", "web"]);
    assert!(
        text.contains("600.000   full: no VM slot is left"),
        "{text}"
    );
    let full = Snapshot::new().with("servers.csv", SERVERS.replace("r2,2,4096", "r2,2,2047"));
    let text = stdout(&[full.dir(), "--explain", "web"]);
    assert!(text.contains("600.000   full: 1023 MiB are left"), "{text}");
    let json: Value =
        serde_json::from_str(&stdout(&[full.dir(), "--explain", "web", "--json"])).expect("JSON");
    assert_eq!(json["target"], Value::Null);
    assert_eq!(json["candidates"][0]["gain"], 600.0);
}

/// As things are, the database would join web; in the plan, web has moved to it before its turn.
#[test]
fn explains_what_the_plan_does() {
    let snapshot = Snapshot::new();
    let check = |arguments: &[&str], wanted: &[&str]| {
        let text = stdout(&[&[snapshot.dir(), "--explain"], arguments].concat());
        assert!(
            text.starts_with("As things are now, before any other migration:\n\nVM "),
            "{text}"
        );
        for wanted in wanted {
            assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
        }
    };
    check(
        &["it's a database"],
        &[
            "decision        moves to 10.0.0.1\n",
            "in the plan     does not move (distributed)\n",
        ],
    );
    check(
        &["web", "--policy", "round-robin"],
        &["in the plan     step 1: from 10.0.0.1 to 10.0.0.2, gain 600.000 (round-robin)\n"],
    );
    check(
        &["web", "--max-migrations", "0"],
        &["in the plan     does not move (distributed)\n"],
    );
    let json = stdout(&[snapshot.dir(), "--explain", "web", "--json"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["policy"], "distributed");
    assert_eq!(json["planned"][0]["step"], 1);
    assert_eq!(json["planned"][0]["target"], "10.0.0.2");
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

/// One clear line on standard error, nothing on standard output, and nothing written.
fn check_refused(snapshot: &Snapshot, arguments: &[&str], code: i32, wanted: &[&str]) {
    let before = names(snapshot.0.path());
    let output = plan(&[&[snapshot.dir()], arguments].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{wanted:?}: {stderr}");
    for wanted in wanted {
        assert!(stderr.contains(wanted), "{wanted:?} is not in {stderr}");
    }
    if code == 1 {
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    assert!(output.stdout.is_empty());
    assert_eq!(names(snapshot.0.path()), before);
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("the directory is there");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry
            .expect("the directory is readable")
            .file_name()
            .to_string_lossy()
            .into_owned()
    };
    let mut names: Vec<_> = entries.map(name).collect();
    names.sort();
    names
}

#[test]
fn bad_snapshots_are_refused_with_file_and_line() {
    let check = |snapshot: Snapshot, wanted: &[&str]| {
        let out = snapshot.path("out");
        let out = out.to_str().expect("temporary names are plain");
        check_refused(&snapshot, &["--out", out], 1, wanted);
    };
    for file in ["data-centre.toml", "servers.csv", "vms.csv", "traffic.csv"] {
        let file_name = format!("/{file}: cannot be read");
        check(
            Snapshot::new().without(file),
            &["error: ", &file_name, "a snapshot is a directory with"],
        );
    }
    let replaced = |file: &str, text: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{from:?}");
        Snapshot::new().with(file, text.replacen(from, to, 1))
    };
    let rows: [(&str, &str, &str, &str, &[&str]); 17] = [
        (
            "servers.csv",
            SERVERS,
            "location,",
            "",
            &["/servers.csv:1: ", "column location is missing"],
        ),
        ("vms.csv", VMS, ",name", ",nick", &["/vms.csv:1: ", "nick"]),
        (
            "vms.csv",
            VMS,
            "10.1.0.2,",
            "10.1.0.300,",
            &["/vms.csv:3: ", "10.1.0.300", "IPv4"],
        ),
        (
            "servers.csv",
            SERVERS,
            "10.0.0.2",
            "host-2",
            &["/servers.csv:3: ", "host-2", "IPv4"],
        ),
        (
            "vms.csv",
            VMS,
            "10.0.0.2",
            "10.0.0.9",
            &["/vms.csv:3: ", "10.0.0.9", "not listed"],
        ),
        (
            "traffic.csv",
            TRAFFIC,
            "10.1.0.3",
            "10.1.0.9",
            &["/traffic.csv:3: ", "10.1.0.9", "vms.csv"],
        ),
        (
            "traffic.csv",
            TRAFFIC,
            "10.1.0.3",
            "10.1.0.2",
            &["/traffic.csv:3: ", "itself"],
        ),
        (
            "servers.csv",
            SERVERS,
            "r1,2,4096",
            "r1,0,4096",
            &["/vms.csv:2: ", "no room", "10.1.0.1"],
        ),
        (
            "vms.csv",
            VMS,
            "10.0.0.3,1024",
            "10.0.0.3,4097",
            &["/vms.csv:4: ", "no room", "4097 MiB"],
        ),
        (
            "servers.csv",
            SERVERS,
            "a1/r2",
            "a1/x/r2",
            &["/servers.csv:3: ", "components"],
        ),
        (
            "traffic.csv",
            TRAFFIC,
            ",300",
            ",-300",
            &["/traffic.csv:2: ", "-300", "not negative"],
        ),
        (
            "traffic.csv",
            TRAFFIC,
            ",100",
            ",NaN",
            &["/traffic.csv:3: ", "NaN"],
        ),
        (
            "traffic.csv",
            TRAFFIC,
            ",100",
            ",inf",
            &["/traffic.csv:3: ", "inf"],
        ),
        (
            "traffic.csv",
            TRAFFIC,
            ",100",
            ",many",
            &["/traffic.csv:3: ", "many", "number"],
        ),
        (
            "data-centre.toml",
            SETTINGS,
            "1, 10",
            "10, 10",
            &["/data-centre.toml:1: ", "does not rise"],
        ),
        (
            "data-centre.toml",
            SETTINGS,
            "1, 10",
            "1",
            &["/data-centre.toml:1: ", "a weight for each level"],
        ),
        (
            "data-centre.toml",
            SETTINGS,
            "\n",
            "\nlink_wights = 1\n",
            &["/data-centre.toml:2: ", "link_wights"],
        ),
    ];
    for (file, text, from, to, wanted) in rows {
        check(replaced(file, text, from, to), wanted);
    }
    let twice = format!("{VMS}10.1.0.1,10.0.0.2,1,\n");
    check(
        Snapshot::new().with("vms.csv", twice),
        &["/vms.csv:5: ", "10.1.0.1", "twice"],
    );
    check(
        Snapshot::new().with("vms.csv", b"\xff\xfe\n"),
        &["/vms.csv:1: "],
    );
    let nobody = Snapshot::new()
        .with("vms.csv", "vm,server,memory_mib,name\n")
        .with("traffic.csv", "vm_a,vm_b,bytes_per_second\n");
    check(nobody, &["/vms.csv: lists no VM"]);
}

#[test]
fn bad_calls_are_refused() {
    let snapshot = Snapshot::new();
    check_refused(
        &snapshot,
        &["--policy", "fastest"],
        2,
        &["fastest", "round-robin"],
    );
    check_refused(
        &snapshot,
        &["--target-choice", "any"],
        2,
        &["any", "first-fit"],
    );
    check_refused(
        &snapshot,
        &["--max-migrations", "few"],
        2,
        &["--max-migrations"],
    );
    check_refused(
        &snapshot,
        &["--min-gain", "NaN"],
        2,
        &["NaN", "give a number from 0 up"],
    );
    check_refused(
        &snapshot,
        &["--min-gain", "-5"],
        2,
        &["'-5' for '--min-gain <G>': give a number from 0 up"],
    );
    check_refused(
        &snapshot,
        &["--max-migrations", "-1"],
        2,
        &["'-1' for '--max-migrations <N>': give a whole number from 0"],
    );
    check_refused(
        &snapshot,
        &["--explain", "web", "--policy", "all"],
        2,
        &["--explain", "name one policy"],
    );
    check_refused(
        &snapshot,
        &["--commands", "--json"],
        2,
        &["--commands", "--json"],
    );
    check_refused(
        &snapshot,
        &["--commands", "--policy", "all"],
        2,
        &["name one policy"],
    );
    check_refused(&snapshot, &["--wrong"], 2, &["--wrong"]);
    check_refused(
        &snapshot,
        &["--explain", "10.1.0.9"],
        1,
        &["no VM in vms.csv has this"],
    );
    check_refused(
        &snapshot,
        &["--explain", "nobody"],
        1,
        &["no VM in vms.csv has this"],
    );
    check_refused(
        &snapshot,
        &["--out", snapshot.dir()],
        1,
        &["holds no result of S-CORE"],
    );
    let output = plan(&[]);
    assert_eq!(output.status.code(), Some(2));
    let output = plan(&["/nowhere/at/all"]);
    assert_eq!(output.status.code(), Some(1));
}
