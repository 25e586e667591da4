//! `vm-traffic` on saved dumps: the pairs and bytes that the files hold, and bad input.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod program;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use program::program;
use serde_json::Value;

fn run(arguments: &[&str]) -> Output {
    program("vm-traffic").args(arguments).output().unwrap()
}

fn data(name: &str) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/s-core-backend/tests/data/ovs");
    dir.join(name).display().to_string()
}

fn json(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Vertically: `vm_a`, `vm_b`, bytes; by bytes falling.
type Row = (&'static str, &'static str, u64);

#[test]
fn each_dump_gives_its_pairs_and_bytes() {
    // The sums were made with awk.
    let normal: &[Row] = &[
        ("02:00:0a:00:01:01", "02:00:0a:00:04:04", 5_418_286),
        ("02:00:0a:00:01:01", "02:00:0a:00:01:02", 1_040_958),
        ("02:00:0a:00:01:01", "02:00:0a:00:03:03", 541_458),
        ("02:00:0a:00:01:01", "02:00:0a:00:02:02", 1764),
    ];
    let fragments: &[Row] = &[
        ("10.9.0.1", "10.9.0.3", 6_637_009),
        ("fd00::1", "fd00::2", 36_844),
        ("10.9.0.1", "10.9.0.2", 35_044),
    ];
    let files: [(&str, &[Row]); 9] = [
        ("normal.txt", normal),
        ("normal-m.txt", normal),
        (
            "ip-pair-rule.txt",
            &[
                ("10.0.1.1", "10.0.4.4", 5_465_846),
                ("10.0.1.1", "10.0.1.2", 1_040_958),
                ("10.0.1.1", "10.0.3.3", 541_458),
                ("10.0.1.1", "10.0.2.2", 1764),
            ],
        ),
        (
            "conntrack.txt",
            &[
                ("02:00:0a:00:01:01", "02:00:0a:00:04:04", 5_786_610),
                ("02:00:0a:00:01:01", "02:00:0a:00:01:02", 1_040_958),
                ("02:00:0a:00:01:01", "02:00:0a:00:03:03", 541_458),
                ("02:00:0a:00:01:01", "02:00:0a:00:02:02", 1666),
            ],
        ),
        (
            "five-tuples.txt",
            &[
                ("10.0.1.1", "10.0.4.4", 6_504_362),
                ("10.0.1.1", "10.0.1.2", 981_564),
                ("10.0.1.1", "10.0.3.3", 531_160),
                ("10.0.1.1", "10.0.2.2", 1764),
            ],
        ),
        ("fragments-ipv6.txt", fragments),
        ("fragments-ipv6-m.txt", fragments),
        ("vlan-m.txt", &[("10.10.0.1", "10.10.0.2", 2494)]),
        (
            "kernel-normal.txt",
            &[
                ("00:16:3e:00:01:0b", "00:16:3e:00:01:0e", 4_223_796),
                ("00:16:3e:00:01:0b", "00:16:3e:00:01:0d", 2_557_068),
                ("00:16:3e:00:01:0c", "00:16:3e:00:01:10", 779_396),
                ("00:16:3e:00:01:0c", "00:16:3e:00:01:11", 38_185),
                ("02:00:00:00:00:02", "72:c9:22:30:59:12", 6272),
            ],
        ),
    ];
    for (name, rows) in files {
        let found = json(&run(&["--dump", &data(name), "--json"]));
        let rows: Vec<Value> = rows
            .iter()
            .map(|(a, b, bytes)| {
                serde_json::json!({"vm_a": a, "vm_b": b, "bytes": bytes, "bytes_per_second": null})
            })
            .collect();
        assert_eq!(found["pairs"], Value::from(rows), "{name}");
    }
}

#[test]
fn a_thousand_flows() {
    let found = json(&run(&["--dump", &data("five-tuples-1k.txt"), "--json"]));
    let pairs = found["pairs"].as_array().unwrap();
    let bytes: u64 = pairs.iter().map(|p| p["bytes"].as_u64().unwrap()).sum();
    assert_eq!((pairs.len(), bytes), (996, 1_042_656));
}

#[test]
fn what_is_not_attributed_is_said_twice() {
    let output = run(&["--dump", &data("conntrack.txt"), "--json"]);
    let none = serde_json::json!({"flows": 0, "bytes": 0});
    let expected = serde_json::json!({
        "no_addresses": none, "multicast": none, "malformed": none,
        "recirculated": {"flows": 2, "bytes": 7_372_636},
    });
    assert_eq!(json(&output)["unattributed"], expected);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("flows 2, bytes 7372636"), "{errors}");
}

#[test]
fn a_duration_gives_rates_and_a_traffic_csv() {
    let five_tuples = data("five-tuples.txt");
    let found = json(&run(&["--dump", &five_tuples, "--json", "--seconds", "10"]));
    assert_eq!(found["pairs"][0]["bytes_per_second"], 650_436.2);
    let output = run(&["--dump", &five_tuples, "--csv", "--seconds", "10"]);
    let expected = "vm_a,vm_b,bytes_per_second\n\
        10.0.1.1,10.0.4.4,650436.200\n10.0.1.1,10.0.1.2,98156.400\n\
        10.0.1.1,10.0.3.3,53116.000\n10.0.1.1,10.0.2.2,176.400\n";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    // MAC addresses are no VM ids.
    let output = run(&["--dump", &data("normal.txt"), "--csv", "--seconds", "10"]);
    assert_eq!(output.stdout, b"vm_a,vm_b,bytes_per_second\n");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("4 pairs with 7002466 bytes"), "{errors}");
}

#[test]
fn the_table_shows_the_heaviest_pair_first() {
    let output = run(&["--dump", &data("ip-pair-rule.txt")]);
    let text = String::from_utf8(output.stdout).unwrap();
    let words = |line: usize| {
        let line = text.lines().nth(line).unwrap();
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(words(0).join(" "), "VM A VM B bytes bytes/s");
    assert_eq!(words(1), ["10.0.1.1", "10.0.4.4", "5465846", "-"]);
    assert_eq!(text.lines().count(), 5);
}

#[test]
fn a_dump_comes_from_standard_input_too() {
    let mut child = program("vm-traffic")
        .args(["--dump", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = fs::read(data("vlan.txt")).unwrap();
    child.stdin.take().unwrap().write_all(&text).unwrap();
    let found = json(&child.wait_with_output().unwrap());
    assert_eq!(found["pairs"][0]["bytes"], 2494);
}

fn file(dir: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn bad_input_is_one_line_that_says_what_where_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let html = file(&dir, "page.html", b"\n<html>\n");
    let binary = file(&dir, "image.png", b"in\n\x89PNG");
    let (html, binary) = (html.display().to_string(), binary.display().to_string());
    let openflow = data("ofctl-then-kernel-five-tuples-m.txt");
    let rows: [(&[&str], i32, &[&str]); 8] = [
        (
            &["--dump", &html],
            1,
            &[&html, "line 2, column 1", "dpctl/dump-flows"],
        ),
        (
            &["--dump", &binary],
            1,
            &[&binary, "line 2", "dpctl/dump-flows"],
        ),
        (
            &["--dump", &openflow],
            1,
            &[&openflow, "line 1", "OpenFlow", "dpctl/dump-flows"],
        ),
        (
            &["--dump", "/nonexistent"],
            1,
            &["/nonexistent", "No such file"],
        ),
        (
            &["--socket", "/nonexistent"],
            1,
            &["/nonexistent", "No such file", "Is Open vSwitch"],
        ),
        (&["--dump", &html, "--csv"], 2, &["--seconds"]),
        (&["--socket", "x", "--csv", "--count", "2"], 2, &["--count"]),
        (
            &["--socket", "x", "--interval", "0"],
            2,
            &["--interval", "between 0.1 and"],
        ),
    ];
    for (arguments, code, expected) in rows {
        let output = run(arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        for part in expected {
            let (part, errors) = (part.to_lowercase(), errors.to_lowercase());
            assert!(
                errors.contains(&part),
                "{arguments:?}: no {part:?} in {errors}"
            );
        }
    }
}

#[test]
#[cfg(not(feature = "netlink"))]
fn netlink_has_to_be_built_in() {
    let output = run(&["--socket", "x", "--netlink"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("--features netlink"), "{errors}");
}

#[test]
fn a_dump_cut_short_is_read_and_the_line_named() {
    let dir = tempfile::tempdir().unwrap();
    let text = fs::read(data("vlan.txt")).unwrap();
    let cut = file(&dir, "cut.txt", &text[..text.len() - 100]);
    let output = run(&["--dump", &cut.display().to_string(), "--json"]);
    assert_eq!(json(&output)["unattributed"]["malformed"]["flows"], 1);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("cut.txt: line 4, column "), "{errors}");
}

#[test]
fn help_and_version() {
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    assert!(help.contains("vm-traffic --dump flows.txt"), "{help}");
    assert!(
        help.contains("vm-traffic --socket /run/openvswitch"),
        "{help}"
    );
    let version = String::from_utf8(run(&["--version"]).stdout).unwrap();
    assert!(version.starts_with("vm-traffic "), "{version}");
}
