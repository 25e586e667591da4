//! Results as files: written whole, read back number by number, and never over somebody else's files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use s_core_sim::result::{MigrationRow, ProposalResult, Reference, ResultDir, RunResult, Summary};
use s_core_token::PolicyKind;

fn result(policy: PolicyKind, gains: &[f64]) -> RunResult {
    let [vm, source, target] = [1, 2, 3];
    let row = |(step, gain): (u64, &f64)| MigrationRow {
        step,
        vm: s_core_model::VmId::new(vm),
        source: s_core_model::ServerId::new(source),
        target: s_core_model::ServerId::new(target),
        gain: *gain,
        total_cost: 0.1 + 0.2,
    };
    RunResult {
        summary: Summary {
            policy,
            initial_cost: 1e300,
            final_cost: 0.1 + 0.2,
            token_hops: 12,
            rounds: 3,
            seconds: 0.000_001_5,
            seed: Some(u64::MAX),
            complete: false,
            reference: Some(Reference {
                cost: 0.1,
                seconds: 1.5,
                moved: 7,
            }),
        },
        placement: vec![(
            s_core_model::VmId::new(vm),
            s_core_model::ServerId::new(target),
        )],
        migrations: (1..).zip(gains).map(row).collect(),
    }
}

fn read(dir: &Path, file: &str) -> String {
    fs::read_to_string(dir.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// All paths below a directory, sorted.
fn tree(dir: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            paths.extend(
                tree(&entry.path())
                    .iter()
                    .map(|below| format!("{name}/{below}")),
            );
        } else {
            paths.push(name);
        }
    }
    paths.sort();
    paths
}

const FILES: [&str; 3] = ["migrations.csv", "placement.csv", "summary.json"];

#[test]
fn numbers_read_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let gains = [
        1.0,
        1.0 / 3.0,
        1e-7,
        123_456_789_012_345_680.0,
        f64::MAX,
        5e-324,
    ];
    let path = dir.path().join("a/b");
    ResultDir::new(&path)
        .unwrap()
        .write(&result(PolicyKind::Global, &gains))
        .unwrap();
    assert_eq!(tree(&path), FILES);
    assert_eq!(read(&path, "placement.csv"), "vm,server\n0.0.0.1,0.0.0.3\n");
    let rows = read(&path, "migrations.csv");
    let mut rows = rows.lines();
    assert_eq!(rows.next(), Some("step,vm,source,target,gain,total_cost"));
    for ((step, gain), row) in (1..).zip(gains).zip(rows.by_ref()) {
        let fields: Vec<&str> = row.split(',').collect();
        assert_eq!(
            fields[..4],
            [step.to_string().as_str(), "0.0.0.1", "0.0.0.2", "0.0.0.3"]
        );
        assert_eq!(
            fields[4..]
                .iter()
                .map(|f| f.parse::<f64>())
                .collect::<Vec<_>>(),
            [Ok(gain), Ok(0.1 + 0.2)]
        );
    }
    assert_eq!(rows.next(), None);
    let summary: serde_json::Value = serde_json::from_str(&read(&path, "summary.json")).unwrap();
    let wanted = serde_json::json!({
        "policy": "global", "initial_cost": 1e300, "final_cost": 0.1 + 0.2, "migrations": 6,
        "token_hops": 12, "rounds": 3, "seconds": 0.0000015, "seed": u64::MAX,
        "complete": false, "reference_cost": 0.1, "reference_seconds": 1.5, "reference_moved": 7,
    });
    assert_eq!(summary, wanted);
}

#[test]
fn a_proposal_stands_beside_results() {
    let dir = tempfile::tempdir().unwrap();
    let proposal = |moved| ProposalResult {
        strategy: "multilevel".into(),
        initial_cost: 3.5,
        final_cost: 0.5,
        moved,
        seconds: 0.25,
        seed: None,
        complete: true,
        placement: result(PolicyKind::Global, &[]).placement,
    };
    let out = ResultDir::new(dir.path()).unwrap();
    out.write_all(&[result(PolicyKind::Global, &[1.0])])
        .unwrap();
    out.write_proposal(&proposal(1)).unwrap();
    out.write_proposal(&proposal(2)).unwrap();
    let below = dir.path().join("proposals/multilevel");
    assert_eq!(tree(&below), ["placement.csv", "summary.json"]);
    assert_eq!(
        read(&below, "placement.csv"),
        "vm,server\n0.0.0.1,0.0.0.3\n"
    );
    let summary: serde_json::Value = serde_json::from_str(&read(&below, "summary.json")).unwrap();
    let wanted = serde_json::json!({
        "strategy": "multilevel", "initial_cost": 3.5, "final_cost": 0.5, "moved": 2,
        "seconds": 0.25, "seed": null, "complete": true,
    });
    assert_eq!(summary, wanted);
    ResultDir::new(dir.path()).unwrap();
}

#[test]
fn one_result_takes_the_place_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let results = PolicyKind::ALL.map(|kind| result(kind, &[1.0]));
    ResultDir::new(path).unwrap().write_all(&results).unwrap();
    let below = |kind: PolicyKind| FILES.map(|file| format!("{kind}/{file}"));
    let mut wanted: Vec<String> = PolicyKind::ALL.into_iter().flat_map(below).collect();
    wanted.sort();
    assert_eq!(tree(path), wanted);
    assert!(read(path, "load-aware/summary.json").contains("\"load-aware\""));
    // One alone instead of four, with a file of the user's in one of the four.
    fs::write(path.join("global/notes.txt"), "mine").unwrap();
    ResultDir::new(path).unwrap().write(&results[0]).unwrap();
    assert_eq!(
        tree(path),
        ["global/notes.txt", FILES[0], FILES[1], FILES[2]]
    );
    // And two instead of the one.
    ResultDir::new(path)
        .unwrap()
        .write_all(&results[2..])
        .unwrap();
    let mut wanted: Vec<String> = PolicyKind::ALL[2..]
        .iter()
        .copied()
        .flat_map(below)
        .collect();
    wanted.push("global/notes.txt".into());
    wanted.sort();
    assert_eq!(tree(path), wanted);
}

#[test]
fn nothing_of_an_earlier_result_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let results = PolicyKind::ALL.map(|kind| result(kind, &[1.0]));
    let proposal = ProposalResult {
        strategy: "multilevel".into(),
        initial_cost: 3.5,
        final_cost: 0.5,
        moved: 1,
        seconds: 0.25,
        seed: None,
        complete: true,
        placement: Vec::new(),
    };
    let out = ResultDir::new(path).unwrap();
    out.write_all(&results).unwrap();
    out.write_proposal(&proposal).unwrap();
    out.write_all(&results[2..]).unwrap();
    let below = |kind: &PolicyKind| FILES.map(|file| format!("{kind}/{file}"));
    let mut wanted: Vec<String> = PolicyKind::ALL[2..].iter().flat_map(below).collect();
    wanted.sort();
    assert_eq!(tree(path), wanted);
    out.write_proposal(&proposal).unwrap();
    fs::write(path.join("proposals/notes.txt"), "mine").unwrap();
    out.write(&results[0]).unwrap();
    assert_eq!(
        tree(path),
        [FILES[0], FILES[1], "proposals/notes.txt", FILES[2]]
    );
}

#[test]
fn an_interrupted_write_leaves_no_mix_that_looks_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let results = PolicyKind::ALL.map(|kind| result(kind, &[1.0]));
    let obstacle = |at: &str| {
        // A directory in a file's place cannot be replaced by the file.
        fs::remove_file(path.join(at)).unwrap();
        fs::create_dir(path.join(at)).unwrap();
    };
    let out = ResultDir::new(path).unwrap();
    out.write_all(&results).unwrap();
    obstacle("load-aware/placement.csv");
    out.write_all(&results).unwrap_err();
    assert!(!path.join("load-aware/summary.json").exists());
    fs::remove_dir(path.join("load-aware/placement.csv")).unwrap();

    out.write(&results[0]).unwrap();
    obstacle("migrations.csv");
    out.write(&results[1]).unwrap_err();
    assert!(!path.join("summary.json").exists());
    // A crash leaves also what was written to first; such a directory may be written again.
    fs::remove_dir(path.join("migrations.csv")).unwrap();
    fs::create_dir(path.join(".result-1")).unwrap();
    ResultDir::new(path).unwrap().write(&results[1]).unwrap();
    assert!(read(path, "summary.json").contains(results[1].summary.policy.name()));
}

#[test]
fn directories_of_others_are_refused() {
    let check = |make: &dyn Fn(&Path), wanted: Option<&str>| {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path());
        let before = tree(dir.path());
        match (ResultDir::new(dir.path()), wanted) {
            (Ok(_), None) => {}
            (Err(error), Some(wanted)) => assert!(error.to_string().contains(wanted), "{error}"),
            (other, _) => panic!("{before:?}: {other:?} instead of {wanted:?}"),
        }
        assert_eq!(tree(dir.path()), before);
    };
    let file = |name: &'static str| move |dir: &Path| fs::write(dir.join(name), "x").unwrap();
    let foreign = Some("is not empty and holds no result of S-CORE; name another directory");
    check(&|_| (), None);
    check(&file("thesis.txt"), foreign);
    check(&file("placement.csv"), foreign);
    check(&file("servers.csv"), foreign);
    check(&file("summary.json"), None);
    check(&|dir| fs::create_dir(dir.join("global")).unwrap(), foreign);
    check(&|dir| fs::create_dir(dir.join("other")).unwrap(), foreign);
    let nested = |dir: &Path, name: &str| {
        fs::create_dir(dir.join(name)).unwrap();
        fs::write(dir.join(name).join("summary.json"), "{}").unwrap();
    };
    check(&|dir| nested(dir, "global"), None);
    check(&|dir| nested(dir, "elsewhere"), foreign);
    check(&|dir| nested(dir, "proposals"), foreign);
    check(
        &|dir| {
            nested(dir, "global");
            nested(dir, "proposals");
            file("report.html")(dir);
        },
        None,
    );
    check(
        &|dir| {
            nested(dir, "global");
            file("thesis.txt")(dir);
        },
        foreign,
    );

    // The empty path is the current directory, which is this package's.
    let error = ResultDir::new("").unwrap_err();
    assert!(error.to_string().contains("holds no result"), "{error}");

    let dir = tempfile::tempdir().unwrap();
    file("f")(dir.path());
    let error = ResultDir::new(dir.path().join("f")).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("f: is not a directory; name another path"),
        "{error}"
    );
    let error = ResultDir::new(dir.path().join("f/below")).unwrap_err();
    assert!(error.to_string().contains("is not a directory"), "{error}");
}
