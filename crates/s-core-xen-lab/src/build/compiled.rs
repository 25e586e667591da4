//! Which files of this source tree went into an image's programs, and whether they are as they were.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use s_core_lab::LabError;

use crate::cache::Key;

use super::write;

/// The file of an image that says so: a line for each, with a hash before its path below the source tree.
const FILE: &str = "compiled";

/// The files of a source tree that a program was compiled from, by what cargo writes beside it: `PROGRAM: FILE FILE…`, with a
/// backslash before each space of a name.
pub(super) fn files(written: &str, tree: &Path) -> BTreeSet<PathBuf> {
    let line = written.lines().next().unwrap_or_default();
    let files = line.split_once(": ").map_or("", |(_, files)| files);
    // No path has a zero byte.
    let files = files.replace("\\ ", "\0");
    (files.split(' '))
        .map(|file| file.replace('\0', " "))
        .filter_map(|file| Some(Path::new(&file).strip_prefix(tree).ok()?.to_owned()))
        .collect()
}

/// Writes down in an image what files its programs were compiled from.
pub(super) fn record(image: &Path, tree: &Path, files: &BTreeSet<PathBuf>) -> Result<(), LabError> {
    let mut text = String::new();
    for file in files {
        let hash = Key::default().with_file(&tree.join(file))?.name();
        writeln!(text, "{hash} {}", file.display()).expect("strings take all");
    }
    write(&image.join(FILE), text)
}

/// The first of those files that is not as it was, or not there any more.
pub(super) fn changed(image: &Path, tree: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(image.join(FILE)).ok()?;
    let is_changed = |(hash, file): &(&str, &str)| {
        let now = Key::default().with_file(&tree.join(file));
        !now.is_ok_and(|now| now.name() == *hash)
    };
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(is_changed).map(|(_, file)| file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_tree_are_named() {
        let written = "/c/target/agent: /src/a/lib.rs /src/with\\ space.rs /c/target/made.rs /other/x.rs\n\n/src/late.rs:\n";
        let found = files(written, Path::new("/src"));
        let wanted = ["a/lib.rs", "with space.rs"].map(PathBuf::from);
        assert_eq!(found, BTreeSet::from(wanted));
        assert!(files("", Path::new("/src")).is_empty());
    }

    #[test]
    fn a_change_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["image", "tree", "tree/a"] {
            fs::create_dir(at(name)).unwrap();
        }
        let names = ["a/with space.rs", "b.rs"];
        for name in names {
            fs::write(at("tree").join(name), name).unwrap();
        }
        assert_eq!(changed(&at("image"), &at("tree")), None);
        let compiled = names.map(PathBuf::from).into();
        record(&at("image"), &at("tree"), &compiled).unwrap();
        assert_eq!(changed(&at("image"), &at("tree")), None);
        fs::write(at("tree/a/with space.rs"), "else").unwrap();
        let found = changed(&at("image"), &at("tree"));
        assert_eq!(found, Some("a/with space.rs".into()));
        record(&at("image"), &at("tree"), &compiled).unwrap();
        fs::remove_file(at("tree/b.rs")).unwrap();
        assert_eq!(changed(&at("image"), &at("tree")), Some("b.rs".into()));
    }
}
