//! Results of sweeps put together.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use s_core_sim::sweep::{
    MERGED_FILE, MERGED_GROUPS_FILE, Merged, RUN_FILE, RunReport, Sweep, SweepDir, run_all,
};

const SMALL: &str = r#"
seeds = [10, 9, 2]
topologies = ["tree:2,2x2"]
vm_slots = [4]
policies = ["round-robin", "distributed"]
migration_costs = ["10%", 50, 7]
"#;

fn sweep(text: &str) -> Sweep {
    Sweep::parse(text, "sweep.toml").unwrap()
}

fn do_all(text: &str, dir: PathBuf) -> PathBuf {
    let out = SweepDir::create(&dir).unwrap();
    let tally = run_all(sweep(text).runs(), &out, NonZeroUsize::MIN, &()).unwrap();
    assert_eq!(tally.done, sweep(text).run_count());
    dir
}

/// The rows of a CSV file, each field by its column's name.
fn rows(path: PathBuf) -> Vec<std::collections::BTreeMap<String, String>> {
    let mut rows = csv::Reader::from_path(path).unwrap();
    rows.deserialize().map(Result::unwrap).collect()
}

/// Edits the first place of `from` in a file of a run.
fn edit(dir: &Path, file: &str, from: &str, to: &str) {
    let path = dir.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn every_run_is_a_row() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
    do_all(&SMALL.replace("[10, 9, 2]", "[10]"), one.clone());
    do_all(&SMALL.replace("[10, 9, 2]", "[2, 9]"), two.clone());
    let merged = Merged::read([&one, &two]).unwrap();
    assert_eq!(
        Merged::read([&two, &one]).unwrap(),
        merged,
        "the order makes no difference"
    );
    assert_eq!(merged.missing(&sweep(SMALL)), [""; 0]);
    let out = dir.path().join("out");
    merged.write(&out).unwrap();
    let table = rows(out.join(MERGED_FILE));
    assert_eq!(table.len(), 18);
    let order: Vec<[&str; 3]> = table
        .iter()
        .map(|row| [&*row["method"], &*row["migration_cost"], &*row["seed"]])
        .collect();
    let mut wanted = Vec::new();
    for method in ["round-robin", "distributed"] {
        for cost in ["7", "50", "10%"] {
            wanted.extend(["2", "9", "10"].map(|seed| [method, cost, seed]));
        }
    }
    assert_eq!(order, wanted);
    for (row, run) in table.iter().zip(merged.runs()) {
        let report = RunReport::read(&run.path).unwrap().unwrap();
        assert_eq!(report, run.report);
        let number = |column: &str| row[column].parse::<f64>().unwrap();
        assert_eq!(row["id"], report.run.id());
        assert_eq!(number("initial_cost"), report.initial_cost);
        assert_eq!(number("final_cost"), report.final_cost);
        assert_eq!(number("seconds"), report.seconds);
        assert_eq!(number("token_hops"), report.token_hops as f64);
        assert_eq!(row["complete"], "true");
        assert_eq!(row["ratio"], "");
    }
}

/// Means and deviations, recomputed plainly from the rows.
#[test]
fn groups_are_over_seeds_alone() {
    let dir = tempfile::tempdir().unwrap();
    let merged = Merged::read([do_all(SMALL, dir.path().join("runs"))]).unwrap();
    merged.write(dir.path().join("runs")).unwrap();
    let table = rows(dir.path().join("runs").join(MERGED_FILE));
    let groups = rows(dir.path().join("runs").join(MERGED_GROUPS_FILE));
    assert_eq!(groups.len(), 6);
    for group in groups {
        let same = |column: &str, row: &std::collections::BTreeMap<String, String>| {
            row[column] == group[column]
        };
        let members = table
            .iter()
            .filter(|row| same("method", row) && same("migration_cost", row));
        let costs: Vec<f64> = members
            .map(|row| row["reduction_percent"].parse().unwrap())
            .collect();
        assert_eq!((costs.len(), &*group["runs"]), (3, "3"));
        let mean = costs.iter().sum::<f64>() / 3.0;
        let variance = costs.iter().map(|cost| (cost - mean).powi(2)).sum::<f64>() / 2.0;
        for (column, wanted) in [("mean", mean), ("deviation", variance.sqrt())] {
            let written: f64 = group[&format!("reduction_percent_{column}")]
                .parse()
                .unwrap();
            assert!(
                (written - wanted).abs() < 1e-9 * (1.0 + wanted),
                "{written} {wanted}"
            );
        }
    }
}

/// References are runs of their own; here one is made of another run's files.
#[test]
fn the_best_reference_is_put_beside_each_run_of_its_data_centre() {
    let dir = tempfile::tempdir().unwrap();
    let runs = do_all(SMALL, dir.path().join("runs"));
    let merged = Merged::read([&runs]).unwrap();
    let first = &merged.runs()[0];
    let seed = first.report.run.data_centre.seed;
    for (name, cost) in [("multilevel", 40.0), ("genetic", 25.0), ("exact", 10.0)] {
        let id = first.report.run.id();
        let (centre, _) = id.split_once("_round-robin").unwrap();
        let path = runs.join(format!("{centre}_{name}"));
        fs::create_dir(&path).unwrap();
        for file in fs::read_dir(&first.path).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), path.join(file.file_name())).unwrap();
        }
        edit(&path, RUN_FILE, &id, &format!("{centre}_{name}"));
        edit(&path, RUN_FILE, "\"round-robin\"", &format!("\"{name}\""));
        edit(
            &path,
            RUN_FILE,
            "\"target_choice\": \"first-fit\"",
            "\"target_choice\": null",
        );
        edit(
            &path,
            RUN_FILE,
            "\"migration_cost\": \"7\"",
            "\"migration_cost\": null",
        );
        edit(
            &path,
            RUN_FILE,
            "\"start\": \"measured\"",
            "\"start\": null",
        );
        let before = format!("\"final_cost\": {:?}", first.report.final_cost);
        edit(
            &path,
            RUN_FILE,
            &before,
            &format!("\"final_cost\": {cost:?}"),
        );
        if name == "exact" {
            edit(&path, RUN_FILE, "\"complete\": true", "\"complete\": false");
        }
    }
    let merged = Merged::read([&runs]).unwrap();
    assert_eq!((merged.runs().len(), merged.partial().count()), (21, 1));
    for run in merged.runs() {
        let of_this = run.report.run.data_centre.seed == seed;
        let reference = run
            .reference
            .map(|reference| (reference.name.name(), reference.cost));
        assert_eq!(reference, of_this.then_some(("genetic", 25.0)));
        assert_eq!(run.ratio(), of_this.then_some(run.report.final_cost / 25.0));
    }
    assert_eq!(merged.groups().len(), 6 + 2, "the partial one is left out");
}

#[test]
fn a_run_in_two_places_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| do_all(SMALL, dir.path().join(name)));
    let run = |dir: &Path| dir.join(sweep(SMALL).runs().nth(4).unwrap().id());
    let read = |paths: &[&Path]| Merged::read(paths).map_err(|error| error.to_string());
    assert_eq!(read(&[&one, &two]).unwrap().runs().len(), 18);
    assert_eq!(read(&[&one, &run(&two)]).unwrap().runs().len(), 18);
    assert_eq!(
        read(&[&run(&two)]).unwrap().missing(&sweep(SMALL)).len(),
        17
    );

    // Stopped on the way in one place, and complete in the other, whichever comes first.
    edit(
        &run(&one),
        RUN_FILE,
        "\"complete\": true",
        "\"complete\": false",
    );
    edit(&run(&one), RUN_FILE, "\"rounds\": ", "\"rounds\": 9");
    for paths in [[&*one, &two], [&two, &one]] {
        let merged = read(&paths).unwrap();
        assert_eq!((merged.runs().len(), merged.partial().count()), (18, 0));
    }
    assert_eq!(read(&[&one]).unwrap().partial().count(), 1);

    // Another result of the same run.
    edit(
        &run(&one),
        RUN_FILE,
        "\"complete\": false",
        "\"complete\": true",
    );
    let wanted = format!(
        "{} and {} are both run {} and differ in their results; leave one of them out",
        run(&one).display(),
        run(&two).display(),
        sweep(SMALL).runs().nth(4).unwrap().id(),
    );
    assert_eq!(read(&[&one, &two]).unwrap_err(), wanted);
}

#[test]
fn what_is_no_result_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let text = SMALL.replace("[10, 9, 2]", "[1]");
    let runs = do_all(&text, dir.path().join("runs"));
    let run = runs.join(sweep(&text).runs().next().unwrap().id());
    let good = fs::read_to_string(run.join(RUN_FILE)).unwrap();
    let check = |from: &str, to: &str, wanted: &str| {
        edit(&run, RUN_FILE, from, to);
        let error = Merged::read([&runs]).unwrap_err().to_string();
        fs::write(run.join(RUN_FILE), &good).unwrap();
        let error = error.strip_prefix(&run.display().to_string()).unwrap();
        assert_eq!(
            error,
            format!("{wanted}; remove the run's directory and run it again")
        );
    };
    check(
        "\"seed\": 1",
        "\"seed\": 2",
        "/run.json: the id is not that of the parameters",
    );
    check(
        "{",
        "[",
        "/run.json:2: expected `,` or `]` at line 2 column 7",
    );
    check(
        "\"vms\"",
        "\"vns\"",
        "/run.json:7: unknown field `vns`, expected one of `topology`, `vm_slots`, `vms`, `link_weights`, `flows_per_vm`, `windows`, `vms_per_application`, `placement`, `seed`, `method`, `target_choice`, `migration_cost`, `max_rounds`, `start`, `population` at line 7 column 9",
    );
    check(
        "\"first-fit\"",
        "\"worst-fit\"",
        "/run.json:22: unknown target choice; known are first-fit and best-fit at line 22 column 3",
    );
    check(
        "\"first-fit\"",
        "null",
        "/run.json:22: a policy has a target_choice and a migration_cost and no population, others have neither and no max_rounds or start at line 22 column 3",
    );
    fs::remove_file(run.join("summary.json")).unwrap();
    let error = Merged::read([&runs]).unwrap_err().to_string();
    assert!(
        error.contains("/summary.json: is missing; remove"),
        "{error}"
    );

    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let error = Merged::read([&empty]).unwrap_err().to_string();
    assert!(
        error
            .ends_with("empty: holds no run of a sweep; name a directory that a sweep has written"),
        "{error}"
    );
    fs::write(empty.join("thesis.txt"), "mine").unwrap();
    let error = Merged::check_target(&empty).unwrap_err().to_string();
    assert!(
        error.ends_with("is not empty and holds no sweep of S-CORE; name another directory"),
        "{error}"
    );
}
