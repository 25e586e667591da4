//! How a report is written: wholly or not at all, and never in place of anything else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use s_core_sim::report::{Block, Document, Figure, Section};

fn document(figures: &[&str]) -> Document {
    let figure = |name: &&str| Figure {
        name: (*name).into(),
        ..Figure::default()
    };
    let blocks = figures
        .iter()
        .map(|name| Block::Figure(String::new(), figure(name)));
    Document::new(
        "title",
        vec![Section {
            title: "section".into(),
            blocks: blocks.collect(),
        }],
    )
}

/// All files below, sorted.
fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path.file_name().unwrap().to_str().unwrap().to_owned()),
        }
    }
    found.sort();
    found
}

#[test]
fn a_report_takes_the_place_of_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("new/report");
    document(&["a", "../../B c"]).write(&dir).unwrap();
    assert_eq!(
        files(&dir),
        ["a.csv", "a.svg", "b-c.csv", "b-c.svg", "report.html"]
    );
    fs::write(dir.join("summary.json"), "{}").unwrap();
    document(&["a", "a"]).write(&dir).unwrap();
    let wanted = [
        "a-2.csv",
        "a-2.svg",
        "a.csv",
        "a.svg",
        "report.html",
        "summary.json",
    ];
    assert_eq!(files(&dir), wanted);
}

#[test]
fn nothing_else_is_replaced() {
    let check = |prepare: &dyn Fn(&Path), error: &str| {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let before = files(dir.path());
        let looked = Document::check_target(dir.path());
        for found in [looked, document(&["a"]).write(dir.path())] {
            let found = found.unwrap_err().to_string();
            assert_eq!(
                found.replace(&dir.path().display().to_string(), "DIR"),
                error
            );
        }
        assert_eq!(files(dir.path()), before);
    };
    check(
        &|dir| fs::write(dir.join("report.html"), "<html>mine</html>").unwrap(),
        "DIR/report.html: is not of a report of S-CORE; name another directory",
    );
    check(
        &|dir| fs::write(dir.join("figures"), "").unwrap(),
        "DIR/figures: is not of a report of S-CORE; name another directory",
    );
    check(
        &|dir| {
            fs::create_dir(dir.join("figures")).unwrap();
            fs::write(dir.join("figures/holiday.jpeg"), "").unwrap();
        },
        "DIR/figures: is not of a report of S-CORE; name another directory",
    );
}

#[test]
fn what_cannot_be_written_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path();
    let error = document(&[]).write(path).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("{}: is not a directory; name another path", path.display())
    );
    // Where nobody may make a directory, not even root.
    let error = document(&[]).write("/proc/report").unwrap_err().to_string();
    assert!(
        error.starts_with("/proc/report: cannot be written: "),
        "{error}"
    );
    assert!(
        error.ends_with("; name another directory, or make this one writable"),
        "{error}"
    );
}
