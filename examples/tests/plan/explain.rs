//! What `--explain` says of one VM.

use serde_json::Value;

use crate::snapshot::{SERVERS, Snapshot};
use crate::{check_contains, json, stdout};

#[test]
fn explains_one_vm() {
    let snapshot = Snapshot::new();
    let check = |vm: &str, wanted: &[&str]| {
        let text = stdout(&[snapshot.dir(), "--explain", vm]);
        check_contains(&text, wanted);
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
    check_contains(&text, &["600.000   full: no VM slot is left"]);
    let full = Snapshot::new().with("servers.csv", SERVERS.replace("r2,2,4096", "r2,2,2047"));
    let text = stdout(&[full.dir(), "--explain", "web"]);
    check_contains(&text, &["600.000   full: 1023 MiB are left"]);
    let json = json(&[full.dir(), "--explain", "web", "--json"]);
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
        check_contains(&text, wanted);
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
    let json = json(&[snapshot.dir(), "--explain", "web", "--json"]);
    assert_eq!(json["policy"], "distributed");
    assert_eq!(json["planned"][0]["step"], 1);
    assert_eq!(json["planned"][0]["target"], "10.0.0.2");
}
