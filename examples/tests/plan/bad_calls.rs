//! What is wrong is refused: snapshots with the file and line, calls with the option.

use std::fs;

use crate::plan;
use crate::snapshot::{SERVERS, SETTINGS, Snapshot, TRAFFIC, VMS};

/// One clear line on standard error, nothing on standard output, and nothing written.
fn check_refused(snapshot: &Snapshot, arguments: &[&str], code: i32, wanted: &[&str]) {
    let before = names(snapshot.dir());
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
    assert_eq!(names(snapshot.dir()), before);
}

fn names(dir: &str) -> Vec<String> {
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
