//! The whole measurement with programs that only seem to be `ssh`, `xl`, `socat`, `iperf3` and `ss`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use s_core_lab::traffic::{Endpoint, ProbeSettings, Probes};
use s_core_xen_lab::measure::{Hosts, Log, MeasureError, Outcome, Row, Settings, measure};

fn settings(loads: &[u32], migrations: usize) -> Settings {
    Settings {
        loads: loads.into(),
        migrations,
        limit: Duration::from_secs(60),
        probe: Duration::from_millis(2),
        most_dirty: 0.0,
        working_set_mib: 4,
        seed: 1,
        margin: Duration::from_millis(30),
        patience: Duration::from_millis(300),
    }
}

/// Two hosts, VM `v1` on the first, and something that answers for it.
struct Fake {
    root: tempfile::TempDir,
    hosts: Hosts,
    _answering: Probes,
}

impl Fake {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for host in ["one", "two"] {
            fs::create_dir(root.path().join(host)).unwrap();
        }
        for file in ["one/v1", "two/other", "fates", "processes"] {
            fs::write(root.path().join(file), "").unwrap();
        }
        let mut mkfifo = Command::new("mkfifo");
        let made = mkfifo.arg(root.path().join("stream")).status();
        assert!(made.unwrap().success());
        // An address that no other test has, of this program or of another.
        static TESTS: AtomicU8 = AtomicU8::new(77);
        let test = TESTS.fetch_add(1, Ordering::Relaxed);
        let [high, low] = u16::try_from(process::id() % 0xffff).unwrap().to_be_bytes();
        let address = Ipv4Addr::new(127, test, high, low);
        let bin = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/measure/bin/ssh");
        let text = format!(
            "ssh = ['env', 'FAKE_ROOT={}', '{}']\nvm = 'v1'\naddress = '{address}'\nlink_mbit = 10\n\
             host = [{{ ssh = 'one', address = '127.0.0.1' }}, {{ ssh = 'two', address = '127.0.0.2' }}]\n",
            root.path().display(),
            bin.display()
        );
        let file = root.path().join("hosts.toml");
        fs::write(&file, text).unwrap();
        let answering = [Endpoint::here(address)];
        let settings = ProbeSettings::from(Instant::now());
        Self {
            hosts: Hosts::read(&file).unwrap(),
            _answering: Probes::start_parts(&answering, &[], settings).unwrap(),
            root,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn fates(&self, fates: &str) {
        fs::write(self.file("fates"), fates).unwrap();
    }

    /// Measures, and gives all rows of the file and how it ended.
    fn measure(&self, loads: &[u32], migrations: usize) -> (Vec<Row>, Result<(), MeasureError>) {
        let settings = settings(loads, migrations);
        let mut log = Log::open(&self.file("migrations.csv")).unwrap();
        let before = log.rows().len();
        let mut told = Vec::new();
        let tell = &mut |row: &Row| told.push(row.clone());
        let ended = measure(&self.hosts, &settings, &mut log, &|| false, tell);
        assert_eq!(log.rows()[before..], told);
        self.nothing_runs();
        (log.rows().to_vec(), ended)
    }

    /// All that was started has ended.
    fn nothing_runs(&self) {
        let started = fs::read_to_string(self.file("processes")).unwrap();
        let root = format!("FAKE_ROOT={}", self.root.path().display());
        for process in started.lines() {
            let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
            let environment = String::from_utf8_lossy(&environment);
            assert!(!environment.contains(&root), "{process} runs");
        }
    }
}

#[test]
fn moves_and_goes_on() {
    let fake = Fake::new();
    let (rows, ended) = fake.measure(&[0, 50], 2);
    ended.unwrap();
    assert_eq!(rows.len(), 4);
    let sources: Vec<_> = rows.iter().map(|row| row.source.as_str()).collect();
    assert_eq!(sources, ["one", "two", "one", "two"]);
    for row in &rows {
        assert_eq!((row.outcome, row.problem.as_str()), (Outcome::Moved, ""));
        // Exactly what went through the carrier.
        assert_eq!((row.bytes, row.memory_mib), (Some(300_000), 40));
        assert!(
            row.seconds
                .is_some_and(|seconds| (0.0..20.0).contains(&seconds)),
            "{row:?}"
        );
        assert!(row.downtime_ms.is_some_and(|down| down < 1000.0), "{row:?}");
        assert!(row.longest_gap_ms.is_some_and(|gap| gap > 0.0), "{row:?}");
        let load = row.load_mbit.map(|mbit| (mbit * 1000.0).round());
        // 14,000 octets of payload in 0.1 s, as frames.
        assert_eq!(load, (row.load_percent == 50).then_some(1154.0), "{row:?}");
    }
    // Nothing is left to do; then two more.
    assert_eq!(fake.measure(&[0, 50], 2).0, rows);
    let (more, ended) = fake.measure(&[0, 50], 3);
    ended.unwrap();
    assert_eq!((more.len(), &more[..4]), (6, &rows[..]));
    assert_eq!(more[4].source, "one");
}

#[test]
fn other_probes_want_another_file() {
    let fake = Fake::new();
    let (rows, ended) = fake.measure(&[0], 1);
    ended.unwrap();
    let mut log = Log::open(&fake.file("migrations.csv")).unwrap();
    let others = Settings {
        probe: Duration::from_millis(3),
        ..settings(&[0], 2)
    };
    let refused = measure(&fake.hosts, &others, &mut log, &|| false, &mut |_| ());
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("line 2 is a migration with a probe every 2 ms"),
        "{refused}"
    );
    assert_eq!(log.rows(), rows);
}

#[test]
fn failures_are_recorded() {
    let fake = Fake::new();
    fake.fates("refused\nmoved\n");
    let (rows, ended) = fake.measure(&[0], 2);
    ended.unwrap();
    let of: Vec<_> = (rows.iter())
        .map(|row| {
            (
                row.outcome,
                row.source.as_str(),
                row.problem.as_str(),
                row.bytes,
            )
        })
        .collect();
    let resumed = "Migration failed, resuming at sender.";
    assert_eq!(
        of,
        [
            (Outcome::Stayed, "one", resumed, Some(1000)),
            (Outcome::Moved, "one", "", Some(300_000)),
        ]
    );
    // The load does not start: nothing is migrated.
    fs::write(fake.file("no-load"), "").unwrap();
    let (rows, ended) = fake.measure(&[100], 1);
    ended.unwrap();
    let last = rows.last().unwrap();
    let problem = "the load did not run: unable to connect to server";
    assert_eq!(
        (last.outcome, last.problem.as_str()),
        (Outcome::Stayed, problem)
    );
    assert_eq!((last.source.as_str(), last.seconds), ("two", None));
    // Neither does the target listen.
    fs::write(fake.file("deaf"), "").unwrap();
    let (rows, ended) = fake.measure(&[0], 3);
    ended.unwrap();
    let problem = &rows.last().unwrap().problem;
    assert!(
        problem.contains("nothing listens at port 8004"),
        "{problem}"
    );
}

#[test]
fn what_nobody_knows_ends_it() {
    let fake = Fake::new();
    fake.fates("moved\nlost\n");
    let (rows, ended) = fake.measure(&[0], 9);
    let refused = ended.unwrap_err().to_string();
    assert!(
        refused.contains(
            "v1 is not at home on exactly one host (one: it is not here; two: it is not here)"
        ),
        "{refused}"
    );
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[1].outcome, Outcome::Unknown);
    assert_eq!(rows[1].problem, "Migration failed during final handshake");
    // Nor does the next call begin.
    let (rows, ended) = fake.measure(&[0], 9);
    assert!(
        matches!(ended, Err(MeasureError::Unknown { .. })),
        "{ended:?}"
    );
    assert_eq!(rows.len(), 2);
}

#[test]
fn what_always_fails_ends_it() {
    let fake = Fake::new();
    fake.fates(&"refused\n".repeat(20));
    let (rows, ended) = fake.measure(&[0], 20);
    let refused = ended.unwrap_err().to_string();
    assert!(
        refused.contains("5 migrations failed one after the other"),
        "{refused}"
    );
    assert_eq!(rows.len(), 5);
}
