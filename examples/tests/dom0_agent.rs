//! dom0-agent as its users run it.
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics says where; clippy.toml exempts only test functions"
)]

mod program;

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use program::program;
use rustix::process::{Pid, Signal, kill_process};
use s_core_sim::snapshot::Snapshot;

fn dom0_agent(args: &[&str]) -> Output {
    program("dom0-agent").args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_embedded_data_centre_settles_and_its_files_agree() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let began = Instant::now();
    let output = dom0_agent(&[
        "--seed",
        "3",
        "--policy",
        "load-aware",
        "--out",
        out.to_str().unwrap(),
    ]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    assert!(began.elapsed() < Duration::from_secs(20));
    assert!(
        said.contains("Settled after") && said.contains("Initial cost"),
        "{said}"
    );
    assert!(!said.contains('\x1b'), "not a terminal: {said}");

    let summary: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("summary.json")).unwrap()).unwrap();
    let cost = |snapshot: &Snapshot| {
        snapshot
            .cost_model()
            .total_cost(snapshot.allocation(), snapshot.traffic())
    };
    let agrees = |part: &str, recomputed: f64| {
        let told = summary[part].as_f64().unwrap();
        assert!(
            (told - recomputed).abs() <= 1e-9 * told,
            "{part}: {told}, {recomputed}"
        );
    };
    let before = Snapshot::read(out.join("snapshot-before")).unwrap();
    let after = Snapshot::read(out.join("snapshot-after")).unwrap();
    agrees("initial_cost", cost(&before));
    agrees("final_cost", cost(&after));
    assert!(cost(&after) < cost(&before));

    // Migration by migration from before to after, as the rows say.
    let mut allocation = before.allocation().clone();
    let rows = fs::read_to_string(out.join("migrations.csv")).unwrap();
    for row in rows.lines().skip(1) {
        let fields: Vec<_> = row.split(',').collect();
        let vm = allocation.vm_index(fields[1].parse().unwrap()).unwrap();
        let target = allocation.server_index(fields[3].parse().unwrap()).unwrap();
        let source = allocation.migrate(vm, target).unwrap();
        assert_eq!(allocation.server_at(source).to_string(), fields[2]);
        let recomputed = before
            .cost_model()
            .total_cost(&allocation, before.traffic());
        let told: f64 = fields[5].parse().unwrap();
        assert!((told - recomputed).abs() <= 1e-9 * told, "{row}");
    }
    assert_eq!(&allocation, after.allocation());
    let placement = fs::read_to_string(out.join("placement.csv")).unwrap();
    for row in placement.lines().skip(1) {
        let (vm, server) = row.split_once(',').unwrap();
        assert_eq!(
            after.allocation().server_of(vm.parse().unwrap()),
            server.parse().ok()
        );
    }
}

#[test]
fn results_are_replaced_and_nothing_else_even_when_nobody_reads_on() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let run = |seed: &str| {
        let mut demo = program("dom0-agent")
            .args(["--servers", "2", "--vms", "1", "--seed", seed, "--out"])
            .arg(&out)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(demo.stdout.take());
        demo.wait_with_output().unwrap()
    };
    let summary = || fs::read_to_string(out.join("summary.json")).unwrap();
    for seed in ["1", "2"] {
        let output = run(seed);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(summary().contains(&format!("\"seed\": {seed}")));
    }
    let old = summary();
    let after = out.join("snapshot-after");
    fs::remove_dir_all(&after).unwrap();
    fs::create_dir(&after).unwrap();
    fs::write(after.join("diary.txt"), "dear").unwrap();
    let began = Instant::now();
    let output = run("3");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("snapshot-after"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(1), "it ran first");
    assert_eq!(summary(), old);
}

#[test]
fn the_embedded_data_centre_ends_when_told_while_it_starts() {
    let temporary = tempfile::tempdir().unwrap();
    for signal in [Signal::INT, Signal::TERM] {
        let mut demo = program("dom0-agent")
            .args(["--servers", "32"])
            .env("TMPDIR", temporary.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The first words are said before it starts.
        let mut stdout = BufReader::new(demo.stdout.take().unwrap());
        stdout.read_line(&mut String::new()).unwrap();
        let told = Instant::now();
        let pid = Pid::from_raw(i32::try_from(demo.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        let mut said = String::new();
        stdout.read_to_string(&mut said).unwrap();
        assert_eq!(demo.wait().unwrap().code(), Some(0));
        assert!(said.contains("before it began"), "{said}");
        assert!(told.elapsed() < Duration::from_secs(3));
    }
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn calls_that_are_wrong() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("diary.txt"), "dear").unwrap();
    let foreign = dir.path().to_str().unwrap();
    let check = |args: &[&str], code, wanted: &str| {
        let output = dom0_agent(args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(wanted), "{args:?}: {said}");
    };
    check(&["--servers", "1"], 2, "choose 2 to 64");
    check(&["--vms", "0"], 2, "choose 1 to 64");
    check(&["--vms", "x"], 2, "invalid value");
    check(&["--policy", "best"], 2, "round-robin");
    check(&["--target-choice", "worst"], 2, "first-fit");
    check(&["--migration-cost", "-1"], 2, "");
    check(&["--migration-cost", "120%"], 2, "from 0 % to 100 %");
    check(&["--colour"], 2, "--colour");
    check(&["--config", "x", "--vms", "2"], 2, "--config");
    check(&["--out", foreign], 1, "name another");
    check(&["--mint"], 2, "--config");
    check(&["--config", "/none"], 1, "/none: cannot be read");
    check(&["check-config", "/none"], 1, "/none: cannot be read");
    check(
        &["capture", "--config", "/none", "--out", foreign],
        1,
        "/none",
    );
}

#[test]
fn help_shows_real_calls() {
    let help = dom0_agent(&["--help"]);
    assert!(help.status.success());
    assert!(text(&help.stdout).contains("dom0-agent --servers 16 --vms 8"));
    assert!(text(&dom0_agent(&["--version"]).stdout).starts_with("dom0-agent "));
}

/// A laboratory host of the loopback network, without Xen and Open vSwitch.
fn host(dir: &Path, lines: &str) -> PathBuf {
    let config = dir.join("agent.toml");
    let key = dir.join("key");
    fs::write(&key, "ab".repeat(32)).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    fs::write(dir.join("servers.csv"), "# racks\nserver,location,vm_slots,memory_mib\n127.80.0.1,a1/r1,2,1024\n127.80.0.2,a1/r2,2,1024\n").unwrap();
    let text = format!(
        "server = \"127.80.0.1\"\nservers = \"servers.csv\"\nlink_weights = [1, 2]\nstate_dir = \"state\"\n{lines}\n\
         [keys]\nactive = \"key\"\n[flows]\nsocket = \"ovs.ctl\"\n[hypervisor]\nkind = \"xl\"\nprogram = \"/none/xl\"\nvm_slots = 2\n"
    );
    fs::write(&config, text).unwrap();
    config
}

#[test]
fn rules_are_removed_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let config = host(dir.path(), "");
    let output = dom0_agent(&["clean", config.to_str().unwrap()]);
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("nothing to remove"));
    let section =
        "[interception]\nkind = \"openflow\"\nbridge = \"none\"\nrun_dir = \".\"\n[timing]";
    let output = dom0_agent(&["clean", host(dir.path(), section).to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    // Without Open vSwitch, or without this bridge.
    assert!(text(&output.stderr).contains("ovs-ofctl"), "{output:?}");
}

#[test]
fn a_configuration_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let check = |config: &Path, code, wanted: &str| {
        let output = dom0_agent(&["check-config", config.to_str().unwrap()]);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(wanted), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    };
    check(&host(dir.path(), ""), 0, "ok");
    check(
        &host(dir.path(), "colour = 1"),
        1,
        "agent.toml:5:1: unknown field `colour`",
    );
    let config = host(dir.path(), "");
    let servers = dir.path().join("servers.csv");
    for (rows, wanted) in [
        (
            "server,place,vm_slots,memory_mib\n127.80.0.1,a1/r1,2,9\n",
            "servers.csv:1: ",
        ),
        (
            "server,location,vm_slots,memory_mib\n127.80.0.2,a1/r1,2,9\n",
            "add it there",
        ),
        (
            "server,location,vm_slots,memory_mib\nhost1,a1/r1,2,9\n",
            "servers.csv:2: ",
        ),
        (
            "server,location,vm_slots,memory_mib\n127.80.0.1,a1/r1,2,9\n# racks\n127.80.0.2,a1,2,9\n",
            "servers.csv:4: ",
        ),
        (
            "server,location,vm_slots,memory_mib\n127.80.0.1,a1/r1/s1,2,9\n",
            "link_weights",
        ),
    ] {
        fs::write(&servers, rows).unwrap();
        check(&config, 1, wanted);
    }
    fs::remove_file(&servers).unwrap();
    check(&config, 1, "servers.csv: ");
    let config = host(dir.path(), "");
    fs::set_permissions(dir.path().join("key"), Permissions::from_mode(0o640)).unwrap();
    check(&config, 1, "chmod 600");
    check(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/dom0-agent/dom0-agent.toml"),
        1,
        "servers.csv",
    );
}

#[test]
fn what_cannot_be_captured_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let config = host(dir.path(), "");
    let out = dir.path().join("snapshot");
    let output = dom0_agent(&[
        "capture",
        "--config",
        config.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("/none/xl"),
        "{}",
        text(&output.stderr)
    );
    assert!(!out.exists());
}

#[test]
fn sigterm_and_sigint_end_the_agent_of_a_host() {
    let dir = tempfile::tempdir().unwrap();
    let config = host(dir.path(), "port = 4799");
    for signal in [Signal::TERM, Signal::INT] {
        let agent = program("dom0-agent")
            .args(["--config", config.to_str().unwrap()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It listens before it is told anything.
        let began = Instant::now();
        while std::net::TcpStream::connect("127.80.0.1:4799").is_err() {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "it does not start"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let pid = Pid::from_raw(i32::try_from(agent.id()).unwrap()).unwrap();
        let told = Instant::now();
        kill_process(pid, signal).unwrap();
        let output = agent.wait_with_output().unwrap();
        assert!(
            told.elapsed() < Duration::from_secs(2),
            "{:?}",
            told.elapsed()
        );
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
}

#[test]
fn a_lost_token_is_made_again_only_when_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let config = host(
        dir.path(),
        "port = 4798\n[token]\nmint = \"vms\"\ndelay = 0.1",
    );
    fs::write(dir.path().join("vms"), "10.1.0.1\n10.1.0.2\n").unwrap();
    let mark = dir.path().join("state/mark");
    // Runs an agent until it has stored another mark, or for a second; says whether it has.
    let run = |args: &[&str]| {
        let before = fs::read(&mark).ok();
        let mut agent = program("dom0-agent")
            .args(["--config", config.to_str().unwrap()])
            .args(args)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        let changed = || fs::read(&mark).ok() != before;
        while !changed() && began.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let pid = Pid::from_raw(i32::try_from(agent.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        agent.wait().unwrap();
        changed()
    };
    assert!(run(&[]), "the first token");
    assert!(!run(&[]), "a token may be on its way");
    assert!(run(&["--mint"]), "the token was lost");
}
