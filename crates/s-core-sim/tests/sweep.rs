//! Sweeps: which runs there are, that each is done once and whole, and what becomes of their results.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use s_core_sim::MigrationCostForm;
use s_core_sim::result::{MIGRATIONS_FILE, PLACEMENT_FILE, SUMMARY_FILE};
use s_core_sim::sweep::{
    Ended, Merged, RUN_FILE, RunReport, RunSpec, RunState, Sweep, SweepDir, SweepError, SweepWatch,
    Tally, run_all,
};

/// 3 seeds, 2 placements, 2 policies, 3 migration costs on 8 servers.
const SMALL: &str = r#"
seeds = { first = 1, last = 3 }
topologies = ["tree:2,2x2"]
vm_slots = [4]
placements = ["random", "rack-local"]
policies = ["distributed", "round-robin"]
migration_costs = [0, "10%", "10%mean"]
"#;

fn sweep(text: &str) -> Sweep {
    Sweep::parse(text, "sweep.toml").unwrap()
}

fn do_all(text: &str, dir: &Path, jobs: usize) -> Tally {
    let dir = SweepDir::create(dir).unwrap();
    let jobs = NonZeroUsize::new(jobs).unwrap();
    run_all(sweep(text).runs(), &dir, jobs, &()).unwrap()
}

/// Every file below a directory, but for its locks, with its content but for CPU seconds.
fn content(dir: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for run in fs::read_dir(dir).unwrap() {
        let run = run.unwrap();
        let name = run.file_name().into_string().unwrap();
        if name == ".sweep" {
            assert_eq!(fs::read_dir(run.path()).unwrap().count(), 0, "left over");
            continue;
        }
        for file in fs::read_dir(run.path()).unwrap() {
            let file = file.unwrap();
            let text = fs::read_to_string(file.path()).unwrap();
            let lines = text.lines().filter(|line| !line.contains("\"seconds\""));
            let text = lines.collect::<Vec<_>>().join("\n");
            files.push((format!("{name}/{}", file.file_name().display()), text));
        }
    }
    files.sort();
    files
}

#[test]
fn a_sweep_is_every_combination() {
    let sweep = sweep(SMALL);
    let runs: Vec<RunSpec> = sweep.runs().collect();
    assert_eq!((runs.len(), sweep.run_count()), (36, 36));
    let ids: BTreeSet<String> = runs.iter().map(RunSpec::id).collect();
    assert_eq!(ids.len(), 36);
    for id in &ids {
        let safe = |char: char| char.is_ascii_alphanumeric() || "-_.+".contains(char);
        assert!(
            id.chars().all(safe) && id.starts_with("tree-2-2x2_4slots_25vms_"),
            "{id}"
        );
    }
}

/// Everything that a run is made of is in its name, so the names of some runs do not depend on others.
#[test]
fn every_parameter_makes_another_name() {
    let name = |text: &str| sweep(text).runs().next().unwrap().id();
    let alone = "policies = [\"global\"]\nvms = [20]\n";
    let mut names = BTreeSet::from([name(alone)]);
    for other in [
        "seeds = [2]",
        "seeds = [18446744073709551615]",
        "topologies = [\"tree:4,42x20\"]",
        "topologies = [\"fat-tree:4\"]",
        "topologies = [\"leaf-spine:4x4\"]",
        "vm_slots = [17]",
        "link_weights = [1, 2, 3, 4]",
        "link_weights = [1, 2, 3, 4.5]",
        "flows_per_vm = [11]",
        "windows = [2]",
        "vms_per_application = [2]",
        "placements = [\"rack-local\"]",
        "target_choices = [\"best-fit\"]",
        "migration_costs = [1]",
        "migration_costs = [1e-7]",
        "migration_costs = [\"1%\"]",
        "migration_costs = [\"1%mean\"]",
        "max_rounds = [1]",
        "starts = [\"empty\"]",
    ] {
        assert!(names.insert(name(&format!("{alone}{other}"))), "{other}");
    }
    let genetic = "policies = []\nreferences = [\"genetic\"]\n";
    assert!(names.insert(name(genetic)));
    assert!(names.insert(name(&format!("{genetic}populations = [50]"))));
    assert!(names.insert(name("policies = [\"global\"]\nvms = [21]")));
    assert!(names.insert(name("policies = [\"distributed\"]\nvms = [20]")));
    // What is the default is the same as what is left out.
    assert_eq!(
        name(&format!("{alone}starts = [\"measured\"]")),
        name(alone)
    );
    let weights =
        "link_weights = [1, 2.718281828459045, 20.085536923187668, 148.4131591025766, 200]";
    assert_eq!(name(&format!("{alone}{weights}")), name(alone));
}

#[test]
fn migration_costs_read_back() {
    for (text, form) in [
        ("0", MigrationCostForm::Absolute(0.0)),
        ("5000", MigrationCostForm::Absolute(5000.0)),
        ("1e300", MigrationCostForm::Absolute(1e300)),
        ("0.1%", MigrationCostForm::PercentOfOwn(0.1)),
        ("100%", MigrationCostForm::PercentOfOwn(100.0)),
        ("7%mean", MigrationCostForm::PercentOfMean(7.0)),
        ("1e5%mean", MigrationCostForm::PercentOfMean(1e5)),
    ] {
        assert_eq!(text.parse(), Ok(form));
        assert_eq!(form.to_string().parse(), Ok(form));
    }
    assert_eq!("-0".parse::<MigrationCostForm>().unwrap().to_string(), "0");
    for bad in [
        "",
        "%",
        "%mean",
        "-1",
        "nan",
        "inf",
        "1e999",
        "101%",
        "10 %",
        "10%median",
        "-1%mean",
    ] {
        let error = bad.parse::<MigrationCostForm>().unwrap_err().to_string();
        let wanted = format!("{bad:?} is not a migration cost; write a cost like 5000");
        assert!(error.starts_with(&wanted), "{error}");
    }
}

/// The three forms of c_m hold back the migrations that they should: checked against their definitions.
#[test]
fn migration_costs_are_what_they_say() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = sweep(SMALL)
        .runs()
        .next()
        .unwrap()
        .data_centre
        .to_data_centre()
        .generate();
    let snapshot = snapshot.unwrap();
    let cost = snapshot
        .cost_model()
        .total_cost(snapshot.allocation(), snapshot.traffic());
    let mean = cost / snapshot.allocation().vm_count() as f64;
    let absolute = MigrationCostForm::Absolute(mean * (10.0 / 100.0));
    let text = |migration_cost: &str| {
        SMALL
            .replace(
                "[0, \"10%\", \"10%mean\"]",
                &format!("[\"{migration_cost}\"]"),
            )
            .replace("last = 3", "last = 1")
    };
    let least_gain = |migration_cost: &str, name: &str| {
        let dir = dir.path().join(name);
        do_all(&text(migration_cost), &dir, 1);
        let run = sweep(&text(migration_cost)).runs().next().unwrap();
        let rows = fs::read_to_string(dir.join(run.id()).join(MIGRATIONS_FILE)).unwrap();
        let gains = rows
            .lines()
            .skip(1)
            .map(|row| row.split(',').nth(4).unwrap().parse::<f64>());
        (
            rows.clone(),
            gains.map(Result::unwrap).fold(f64::MAX, f64::min),
        )
    };
    let (free, least_free) = least_gain("0", "free");
    let (mean_rows, least) = least_gain("10%mean", "mean");
    let (absolute_rows, _) = least_gain(&absolute.to_string(), "absolute");
    assert!(
        least_free < mean / 10.0 && least > mean / 10.0,
        "{least_free} {least}"
    );
    assert_eq!(mean_rows, absolute_rows);
    let (own, _) = least_gain("10%", "own");
    assert!(own != free && own != mean_rows);
    let (all, _) = least_gain("100%", "all");
    assert_eq!(
        all.lines().count(),
        1,
        "nothing can gain more than a VM's own cost"
    );
}

#[test]
fn runs_are_the_same_on_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let [one, many] = [1, 5].map(|jobs| {
        let path = dir.path().join(jobs.to_string());
        let tally = do_all(SMALL, &path, jobs);
        assert_eq!(
            tally,
            Tally {
                done: 36,
                ..Tally::default()
            }
        );
        content(&path)
    });
    assert_eq!(one.len(), 36 * 4);
    assert_eq!(one, many);
}

#[test]
fn numbers_read_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("{SMALL}link_weights = [0.1, 0.30000000000000004]\n");
    let text = text.replace("{ first = 1, last = 3 }", "[18446744073709551615]");
    struct Note(std::sync::Mutex<Vec<RunReport>>);
    impl SweepWatch for Note {
        fn planned(&self, _: usize) {}
        fn begun(&self, _: &str) {}
        fn progress(&self, _: &str, _: f64) {}
        fn ended(&self, id: &str, end: &Ended) {
            let Ended::Done(report) = end else {
                panic!("{id}: {end:?}")
            };
            self.0.lock().unwrap().push(*report.clone());
        }
        fn is_stopped(&self) -> bool {
            false
        }
    }
    let note = Note(Vec::new().into());
    let out = SweepDir::create(dir.path()).unwrap();
    run_all(sweep(&text).runs(), &out, NonZeroUsize::MIN, &note).unwrap();
    let reports = note.0.into_inner().unwrap();
    assert_eq!(reports.len(), 12);
    for report in reports {
        let read = RunReport::read(out.path_of(&report.run)).unwrap().unwrap();
        assert_eq!(read, report);
        let summary = fs::read(out.path_of(&report.run).join(SUMMARY_FILE)).unwrap();
        let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
        assert_eq!(summary["final_cost"].as_f64(), Some(report.final_cost));
        assert_eq!(summary["seed"].as_u64(), Some(u64::MAX));
    }
}

/// Stops after so many questions.
struct StopAfter(AtomicUsize);

impl SweepWatch for StopAfter {
    fn planned(&self, _: usize) {}
    fn begun(&self, _: &str) {}
    fn progress(&self, _: &str, _: f64) {}
    fn ended(&self, _: &str, _: &Ended) {}
    fn is_stopped(&self) -> bool {
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(1), Ordering::Relaxed);
        left == 0
    }
}

/// Wherever a sweep is stopped, what is there is whole, and going on ends with what one go would have made.
#[test]
fn a_stopped_sweep_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let text = SMALL.replace("last = 3", "last = 1");
    let whole = dir.path().join("whole");
    do_all(&text, &whole, 1);
    let mut partial = 0;
    for questions in 0..12 {
        let path = dir.path().join(questions.to_string());
        let out = SweepDir::create(&path).unwrap();
        let watch = StopAfter(questions.into());
        let tally = run_all(sweep(&text).runs(), &out, NonZeroUsize::MIN, &watch).unwrap();
        assert!(
            tally.done + tally.partial + tally.left == 12 && tally.left > 0,
            "{tally:?}"
        );
        assert!(tally.partial <= 1);
        let sweep = sweep(&text);
        let states: Vec<RunState> = sweep.runs().map(|run| out.state(&run).unwrap()).collect();
        let count = |wanted: fn(&&RunState) -> bool| states.iter().filter(wanted).count();
        assert_eq!(
            count(|state| matches!(state, RunState::Complete(_))),
            tally.done
        );
        assert_eq!(
            count(|state| matches!(state, RunState::Partial(_))),
            tally.partial
        );
        partial += tally.partial;
        let again = do_all(&text, &path, 2);
        assert_eq!((again.already, again.done), (tally.done, 12 - tally.done));
        assert_eq!(content(&path), content(&whole));
    }
    assert!(partial > 2, "{partial}");
}

#[test]
fn what_is_done_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    do_all(SMALL, dir.path(), 1);
    let run = sweep(SMALL).runs().next().unwrap();
    let file = dir.path().join(run.id()).join(PLACEMENT_FILE);
    fs::write(&file, "mine").unwrap();
    let larger = SMALL.replace("last = 3", "last = 4");
    let tally = do_all(&larger, dir.path(), 2);
    assert_eq!((tally.already, tally.done), (36, 12));
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

/// A run is done by one at a time; others do the runs that nobody has begun.
#[test]
fn a_claimed_run_is_left_to_whoever_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let out = SweepDir::create(dir.path()).unwrap();
    let run = sweep(SMALL).runs().nth(3).unwrap();
    let claim = out.claim(&run).unwrap().unwrap();
    assert!(out.claim(&run).unwrap().is_none());
    let tally = do_all(SMALL, dir.path(), 2);
    assert_eq!((tally.done, tally.elsewhere), (35, 1));
    assert_eq!(out.state(&run).unwrap(), RunState::Missing);
    drop(claim);
    assert!(out.claim(&run).unwrap().is_some());
    let tally = do_all(SMALL, dir.path(), 2);
    assert_eq!((tally.already, tally.done), (35, 1));
}

#[test]
fn two_sweeps_at_once_share_the_runs() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, shared) = (dir.path().join("whole"), dir.path().join("shared"));
    do_all(SMALL, &whole, 1);
    let tallies = std::thread::scope(|scope| {
        let begin = || scope.spawn(|| do_all(SMALL, &shared, 2));
        [begin(), begin(), begin()].map(|sweep| sweep.join().unwrap())
    });
    let done: usize = tallies.iter().map(|tally| tally.done).sum();
    assert_eq!(done, 36, "{tallies:?}");
    assert_eq!(content(&shared), content(&whole));
}

/// What a process that was killed leaves behind is in nobody's way.
#[test]
fn leftovers_are_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    let run = sweep(SMALL).runs().next().unwrap();
    for extension in ["new", "old"] {
        let left = dir
            .path()
            .join(".sweep")
            .join(format!("{}.{extension}", run.id()));
        fs::create_dir_all(&left).unwrap();
        fs::write(left.join(RUN_FILE), "half").unwrap();
    }
    fs::write(
        dir.path().join(".sweep").join(format!("{}.lock", run.id())),
        "",
    )
    .unwrap();
    assert_eq!(do_all(SMALL, dir.path(), 1).done, 36);
    assert_eq!(content(dir.path()).len(), 36 * 4);
}

#[test]
fn directories_of_others_are_refused() {
    let check = |make: &dyn Fn(&Path), wanted: &str| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        make(&path);
        let out = SweepDir::create(&path);
        let error = out.and_then(|out| run_all(sweep(SMALL).runs(), &out, NonZeroUsize::MIN, &()));
        let error = error.unwrap_err().to_string();
        let error = error.strip_prefix(&path.display().to_string()).unwrap();
        assert_eq!(error, wanted);
    };
    let id = sweep(SMALL).runs().last().unwrap().id();
    let in_the_way = |path: &Path| {
        fs::create_dir_all(path.join(".sweep")).unwrap();
        fs::create_dir_all(path.join(&id)).unwrap();
    };
    check(
        &|path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("thesis.txt"), "mine").unwrap();
        },
        ": is not empty and holds no sweep of S-CORE; name another directory",
    );
    check(
        &|path| fs::write(path, "mine").unwrap(),
        ": is not a directory; name another path",
    );
    check(
        &in_the_way,
        &format!(
            "/{id}: is in the way of a run and has no run.json; remove it or name another directory"
        ),
    );
    let run_json = |text: &'static str| {
        let id = id.clone();
        move |path: &Path| {
            in_the_way(path);
            fs::write(path.join(&id).join(RUN_FILE), text).unwrap();
        }
    };
    let remove = "; remove the run's directory and run it again";
    check(
        &run_json("{\n"),
        &format!("/{id}/run.json:2: EOF while parsing an object at line 2 column 0{remove}"),
    );
    let unwritable = SweepDir::create("/proc/sweep").unwrap_err().to_string();
    assert!(
        unwritable.starts_with("/proc/sweep: cannot be written: "),
        "{unwritable}"
    );
}

#[test]
fn a_directory_of_another_run_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    do_all(SMALL, dir.path(), 1);
    let [first, second] = [0, 1].map(|place| sweep(SMALL).runs().nth(place).unwrap().id());
    fs::remove_dir_all(dir.path().join(&second)).unwrap();
    fs::rename(dir.path().join(&first), dir.path().join(&second)).unwrap();
    let out = SweepDir::create(dir.path()).unwrap();
    let error = run_all(sweep(SMALL).runs(), &out, NonZeroUsize::MIN, &()).unwrap_err();
    assert!(
        matches!(&error, SweepError::OtherParameters(path) if path.ends_with(&second)),
        "{error}"
    );
    assert!(
        !dir.path().join(&first).exists(),
        "nothing is done before it is reported"
    );
    let error = Merged::read([dir.path().join("nowhere")])
        .unwrap_err()
        .to_string();
    assert!(error.contains("nowhere: cannot be read: "), "{error}");
}
