//! `simulate sweep` and `simulate merge` as their users call them.
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics says where; clippy.toml exempts only test functions"
)]

mod program;

use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use program::{program, succeed};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};

const SMALL: &str = r#"
seeds = [1, 2]
topologies = ["tree:2,2x2"]
vm_slots = [4]
policies = ["distributed"]
migration_costs = [0, "10%", "10%mean"]
"#;

fn simulate(dir: &Path, arguments: &[&str]) -> Output {
    let mut simulate = program("simulate");
    simulate.args(arguments).current_dir(dir).output().unwrap()
}

/// A directory with a sweep file.
fn with_file(name: &str, text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(name), text).unwrap();
    dir
}

/// Every file below a directory with its content but for CPU seconds.
fn content(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(
                content(&path)
                    .into_iter()
                    .map(|(below, text)| (Path::new(path.file_name().unwrap()).join(below), text)),
            );
        } else {
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().filter(|line| !line.contains("\"seconds\""));
            files.push((
                path.file_name().unwrap().into(),
                lines.collect::<Vec<_>>().join("\n"),
            ));
        }
    }
    files.sort();
    files
}

#[test]
fn a_sweep_is_done_gone_on_with_and_merged() {
    let dir = with_file("s.toml", SMALL);
    let run = |arguments: &[&str]| succeed(simulate(dir.path(), arguments));
    let first = run(&["sweep", "s.toml", "--out", "runs", "--jobs", "1"]);
    assert_eq!(first, "runs: 6 of 6 runs done\n");
    let again = run(&["sweep", "s.toml", "--out", "runs"]);
    assert_eq!(
        again,
        "runs: 6 of 6 runs done, 6 of them before or by others\n"
    );
    fs::write(
        dir.path().join("more.toml"),
        SMALL.replace("[1, 2]", "[2, 3]"),
    )
    .unwrap();
    let more = run(&["sweep", "more.toml", "--out", "runs"]);
    assert_eq!(
        more,
        "runs: 6 of 6 runs done, 3 of them before or by others\n"
    );
    let table = run(&["merge", "runs", "--out", "merged"]);
    assert!(
        table.starts_with("9 runs in 3 groups of runs alike but for their seeds;"),
        "{table}"
    );
    let rows = fs::read_to_string(dir.path().join("merged/merged.csv")).unwrap();
    assert_eq!(rows.lines().count(), 10);
    let groups = fs::read_to_string(dir.path().join("merged/merged-groups.csv")).unwrap();
    assert_eq!(groups.lines().count(), 4);
    let report = fs::read_to_string(dir.path().join("merged/report.html")).unwrap();
    assert!(report.contains("Means over seeds"), "{report}");
    // Nothing is drawn over one c_m of each form.
    assert!(!dir.path().join("merged/figures").exists());
}

/// A shell that runs the listed commands, in any order, gets what the sweep itself gets, whatever the
/// files are called.
#[test]
fn listed_commands_do_the_same() {
    let name = "the 'sweep' $HOME\\ \"file\" *;&.toml";
    let dir = with_file(name, SMALL);
    let out = "it's the \n out";
    let list = |out: &str| {
        let list = ["sweep", name, "--out", out, "--list"];
        succeed(simulate(dir.path(), &list))
    };
    let commands = list("listed");
    assert_eq!(commands.lines().count(), 6);
    assert!(!dir.path().join("listed").exists(), "nothing is written");
    let reversed: Vec<&str> = commands.lines().rev().collect();
    let shell = |script: &str| {
        let mut shell = Command::new("sh");
        let output = shell
            .args(["-e", "-c", script])
            .current_dir(dir.path())
            .output();
        succeed(output.unwrap())
    };
    let said = shell(&reversed.join("\n"));
    assert_eq!(said, "listed: 1 of 1 run done\n".repeat(6));
    succeed(simulate(dir.path(), &["sweep", name, "--out", out]));
    assert_eq!(
        content(&dir.path().join("listed")),
        content(&dir.path().join(out))
    );
    let done = "1 of 1 run done, 1 of them before or by others\n";
    assert_eq!(shell(&list(out)), format!("{out}: {done}").repeat(6));
}

#[test]
fn missing_and_partial_runs_are_named() {
    let dir = with_file("s.toml", SMALL);
    succeed(simulate(dir.path(), &["sweep", "s.toml", "--out", "runs"]));
    let mut runs: Vec<PathBuf> = fs::read_dir(dir.path().join("runs"))
        .unwrap()
        .map(|run| run.unwrap().path())
        .collect();
    runs.sort();
    let [.., partial, missing] = runs.as_slice() else {
        panic!("{runs:?}")
    };
    fs::remove_dir_all(missing).unwrap();
    let file = partial.join("run.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replace("\"complete\": true", "\"complete\": false"),
    )
    .unwrap();
    let output = simulate(
        dir.path(),
        &["merge", "runs", "--out", "m", "--sweep", "s.toml"],
    );
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let wanted = format!(
        "warning: 1 run missing: {}; do them with `simulate sweep`\n\
         warning: 1 run partial and left out of the means: runs/{}; the same `simulate sweep` does them again\n",
        name(missing),
        name(partial),
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), wanted);
    assert_eq!(output.status.code(), Some(0));
    let again = succeed(simulate(dir.path(), &["sweep", "s.toml", "--out", "runs"]));
    assert_eq!(
        again,
        "runs: 6 of 6 runs done, 4 of them before or by others\n"
    );
}

/// Runs that take a second or so together, each for some tenths of it.
const LONG: &str = r#"
seeds = { first = 1, last = 40 }
topologies = ["tree:2,4,4x10"]
policies = ["round-robin"]
"#;

fn begin(dir: &Path, arguments: &[&str]) -> Child {
    let mut simulate = program("simulate");
    simulate
        .args(arguments)
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    simulate.spawn().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    let id = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(id, signal).unwrap();
}

/// Waits until something is there.
fn wait_for(there: impl Fn() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "it does not come"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

fn run_count(dir: &Path) -> usize {
    let runs = fs::read_dir(dir).into_iter().flatten().flatten();
    runs.filter(|run| run.path().join("run.json").exists())
        .count()
}

#[test]
fn an_interrupted_sweep_keeps_what_it_has_and_goes_on() {
    let dir = with_file("s.toml", LONG);
    for (out, how) in [("int", Signal::INT), ("term", Signal::TERM)] {
        let sweep = begin(dir.path(), &["sweep", "s.toml", "--out", out]);
        let runs = dir.path().join(out);
        wait_for(|| run_count(&runs) > 1);
        signal(&sweep, how);
        let output = sweep.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        let wanted = format!("error: {out}: interrupted: ");
        assert!(
            stderr.starts_with(&wanted) && stderr.ends_with("; the same call goes on\n"),
            "{stderr}"
        );
        let count = run_count(&runs);
        assert!((2..40).contains(&count), "{count}");
    }
    let done = succeed(simulate(dir.path(), &["sweep", "s.toml", "--out", "int"]));
    assert!(done.starts_with("int: 40 of 40 runs done, "), "{done}");
    assert_eq!(run_count(&dir.path().join("int")), 40);
}

#[test]
fn a_second_interrupt_ends_at_once() {
    // Making this data centre up takes longer than the signals, and is not stopped by the first.
    let large = "topologies = [\"tree:16,16,8x16\"]\nflows_per_vm = [60]\n";
    let dir = with_file("s.toml", large);
    let mut sweep = begin(dir.path(), &["sweep", "s.toml", "--out", "out"]);
    wait_for(|| dir.path().join("out/.sweep").exists());
    thread::sleep(Duration::from_millis(100));
    // Twice within a moment is once, as `timeout` sends it.
    for pause in [0, 10, 600, 0] {
        thread::sleep(Duration::from_millis(pause));
        assert!(sweep.try_wait().unwrap().is_none());
        signal(&sweep, Signal::INT);
    }
    let output = sweep.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

/// What a sweep draws on a terminal.
#[test]
fn a_terminal_has_a_bar() {
    let dir = with_file("s.toml", SMALL);
    let (stdout, drawn) = on_a_terminal(dir.path(), &["sweep", "s.toml", "--out", "runs"]);
    assert_eq!(stdout, "runs: 6 of 6 runs done\n");
    assert!(drawn.contains("/6 runs"), "{drawn:?}");
}

/// Those of work that is done at the same time stand below each other.
#[test]
fn a_terminal_has_a_bar_for_each_policy() {
    let dir = tempfile::tempdir().unwrap();
    let (_, drawn) = on_a_terminal(dir.path(), &["--topology", "tree:4,4x20"]);
    for policy in ["round-robin", "global", "distributed", "load-aware"] {
        assert!(drawn.contains(policy), "{drawn:?}");
    }
    // Escape sequences that go up a line come from several bars only.
    assert!(drawn.contains("\u{1b}[1A"), "{drawn:?}");
}

/// What it says on standard output, and what it draws on standard error.
fn on_a_terminal(dir: &Path, arguments: &[&str]) -> (String, String) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    unlockpt(&terminal).unwrap();
    let path = ptsname(&terminal, Vec::new()).unwrap();
    let stderr = OpenOptions::new()
        .write(true)
        .open(path.to_str().unwrap())
        .unwrap();
    let mut simulate = program("simulate");
    simulate.args(arguments).current_dir(dir);
    simulate
        .env("TERM", "xterm")
        .env("RAYON_NUM_THREADS", "4")
        .env_remove("NO_COLOR")
        .stderr(Stdio::from(stderr));
    // Meanwhile, as a terminal holds but little.
    let reader = thread::spawn(|| {
        let mut drawn = Vec::new();
        // It ends with an error once nobody has the other side open any more.
        drop(File::from(terminal).read_to_end(&mut drawn));
        drawn
    });
    let output = simulate.stdout(Stdio::piped()).output().unwrap();
    drop(simulate);
    assert!(output.status.success());
    let drawn = reader.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(drawn))
}

/// The name of a sweep's first run.
fn first_run(dir: &Path) -> String {
    let list = ["sweep", "s.toml", "--out", "x", "--list"];
    let commands = succeed(simulate(dir, &list));
    let first = commands.lines().next().unwrap();
    first.rsplit(' ').next().unwrap().into()
}

#[test]
fn bad_calls_are_refused() {
    let dir = with_file("s.toml", SMALL);
    fs::write(dir.path().join("bad.toml"), "vms = [\n0]\n").unwrap();
    fs::create_dir(dir.path().join("mine")).unwrap();
    fs::write(dir.path().join("mine/thesis.txt"), "mine").unwrap();
    let check = |arguments: &[&str], code: i32, wanted: &str| {
        let output = simulate(dir.path(), arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(wanted), "{wanted:?} is not in {stderr}");
        assert!(output.stdout.is_empty());
        assert!(!dir.path().join("out").exists(), "nothing is written");
    };
    let numbers = "give a whole number from 1 to 1024";
    for jobs in ["0", "-1", "1025", "many"] {
        check(
            &["sweep", "s.toml", "--out", "out", "--jobs", jobs],
            2,
            numbers,
        );
    }
    check(&["sweep", "s.toml"], 2, "--out");
    check(&["sweep", "--out", "out"], 2, "FILE");
    check(
        &["sweep", "s.toml", "--out", "out", "--list", "--jobs", "2"],
        2,
        "--jobs",
    );
    let only = "--only seed1: s.toml has no such run; --list shows their names";
    check(
        &["sweep", "s.toml", "--out", "out", "--only", "seed1"],
        2,
        only,
    );
    check(
        &["sweep", "none.toml", "--out", "out"],
        1,
        "none.toml: cannot be read: No such file",
    );
    let bad = "error: bad.toml:2: vms: 0 is not a whole number from 1 to";
    check(&["sweep", "bad.toml", "--out", "out"], 1, bad);
    check(&["sweep", "bad.toml", "--out", "out", "--list"], 1, bad);
    check(
        &["sweep", "s.toml", "--out", "/proc/out"],
        1,
        "error: /proc/out: cannot be written: ",
    );
    check(
        &["sweep", "s.toml", "--out", "s.toml"],
        1,
        "error: s.toml: is not a directory",
    );
    check(
        &["sweep", "s.toml", "--out", "mine"],
        1,
        "mine: is not empty and holds no sweep of S-CORE",
    );
    check(&["merge", "--out", "out"], 2, "DIR");
    check(
        &["merge", "s.toml", "--out", "out"],
        1,
        "s.toml: is not a directory; name another path",
    );
    let missing = format!("mine-too/{}", first_run(dir.path()));
    fs::create_dir_all(dir.path().join("mine-too/.sweep")).unwrap();
    fs::write(dir.path().join(&missing), "mine").unwrap();
    check(
        &["sweep", "s.toml", "--out", "mine-too"],
        1,
        "is in the way of a run and has no run.json; remove it",
    );
    check(
        &["merge", "nowhere", "--out", "out"],
        1,
        "nowhere: cannot be read: ",
    );
    check(
        &["merge", "mine", "--out", "out"],
        1,
        "mine: holds no run of a sweep; name a directory",
    );
    check(
        &["merge", "nowhere", "--out", "mine"],
        1,
        "mine: is not empty and holds no sweep of S-CORE",
    );
    check(
        &["merge", "nowhere", "--out", "out", "--sweep", "bad.toml"],
        1,
        bad,
    );
}

#[test]
fn says_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let help = succeed(simulate(dir.path(), &["sweep", "--help"]));
    assert!(
        help.contains("simulate sweep sweep.toml --out /tmp/runs --list | parallel"),
        "{help}"
    );
    let help = succeed(simulate(dir.path(), &["merge", "--help"]));
    assert!(help.contains("--sweep sweep.toml"), "{help}");
}
