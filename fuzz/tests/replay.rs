//! Replays the corpus, and mutants of it: the same ones every time.

mod mutator;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use s_core_fuzz::{TARGETS, Target};

/// How many mutants each target sees, and how many changes a mutant has at most.
const MUTANTS: u64 = 3000;
const CHANGES: u32 = 4;

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a target's corpus, by name.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = package().join("corpus").join(target);
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", dir.display());
    let read = |path: PathBuf| {
        let data = fs::read(&path).expect("a file of the corpus");
        (path, data)
    };
    paths.into_iter().map(read).collect()
}

/// Runs a target; one that panics has the input written down first, to be looked at and added to the corpus.
fn run(name: &str, target: Target, data: &[u8], what: &str) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(data))) else {
        return;
    };
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.crash"));
    fs::write(&path, data).expect("the build directory can be written");
    eprintln!("{name}: {what} fails; it is in {}", path.display());
    resume_unwind(panic);
}

fn replay(name: &str) {
    let (_, target) = TARGETS
        .iter()
        .find(|(other, _)| *other == name)
        .expect("a target");
    let corpus = corpus(name);
    for (path, data) in &corpus {
        run(name, *target, data, &path.display().to_string());
    }
    for seed in 0..MUTANTS {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let [(_, data), (_, other)] = [(); 2].map(|()| &corpus[rng.random_range(0..corpus.len())]);
        let mut data = data.clone();
        for _ in 0..rng.random_range(1..=CHANGES) {
            mutator::mutate(&mut data, other, &mut rng);
        }
        run(name, *target, &data, &format!("mutant {seed}"));
    }
}

macro_rules! replays {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                replay(stringify!($target));
            }
        )*

        #[test]
        fn every_target_is_replayed_and_has_a_program() {
            let targets: BTreeSet<_> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(BTreeSet::from([$(stringify!($target)),*]), targets);
            let manifest = fs::read_to_string(package().join("libfuzzer/Cargo.toml")).expect("a manifest");
            let programs = manifest.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
            let programs: BTreeSet<_> = programs.filter(|name| !name.starts_with("s-core")).collect();
            assert_eq!(programs, targets);
            for target in targets {
                let path = package().join(format!("libfuzzer/fuzz_targets/{target}.rs"));
                let source = fs::read_to_string(path).expect("a program");
                assert!(source.contains(&format!("s_core_fuzz::{target}(data)")), "{target}");
            }
        }
    };
}

replays! {
    agent_config flow_dump frame guest_answer guest_request key_file message netflow netlink ovsdb_reply snapshot thesis_text
    token unixctl_reply xl_cpu xl_info xl_list xl_list_long xl_migrate xl_network_list xm_list_long
}
