//! Situations as scripts: commands, and below each what the nodes do.
//!
//! `scripts/*.txt` are to be read, and each is a test: its log has to come out as it stands there. After a change that is
//! meant to change it, `S_CORE_REWRITE=1 cargo test -p s-core-proto --test scripts` writes it anew, and the difference is reviewed.
//!
//! A line that begins with `>` is a command, one with `#` a comment; all others are the log of the command above.
//!
//! | command | |
//! |---|---|
//! | `servers 3 room 2` | servers 10.0.0.1 to 10.0.0.3, each in a rack of its own with room for two VMs |
//! | `rest 1s` | before `servers`: how long the token rests with each VM, in place of 100 ms |
//! | `vms 10.0.0.1 vm1 vm2` | these VMs start there |
//! | `traffic vm1 vm2 100` | they exchange 100 bytes a second |
//! | `mint 10.0.0.1` | an operator has a token made for all VMs |
//! | `deliver` | messages arrive in the order in which they were sent, until none is on its way |
//! | `deliver KIND` | only those of this kind, such as `token` or `location`, and the answers to them |
//! | `drop`, `drop KIND` | messages that are on their way are lost |
//! | `advance 200ms` | time goes by and timers fire; messages wait |
//! | `run 2s`, `run 2s quietly` | time goes by and messages arrive at once; quietly: only the news is logged |
//! | `comes vm1`, `comes vm1 unknown` | the migration succeeds, and its source does or does not learn so |
//! | `fails vm1`, `fails vm1 unknown` | the migration fails, likewise |
//! | `crash 10.0.0.1`, `restart 10.0.0.1` | the agent dies; it starts again from what was made durable |
//! | `partition 10.0.0.1 10.0.0.2`, `heal` | these are cut off from all others |
//! | `show` | what each server knows |
#![expect(unreachable_pub, reason = "the files of one test see each other")]

mod command;
mod words;
mod world;

use std::fs;
use std::path::PathBuf;

use world::World;

/// The script with the log that comes out now.
fn replay(script: &str) -> Result<String, String> {
    let mut world = World::default();
    let mut text = String::new();
    for (number, line) in (1..).zip(script.lines()) {
        if let Some(command) = line.strip_prefix('>') {
            let log = command::run(&mut world, command.trim());
            let log = log.map_err(|why| format!("line {number}: {why}"))?;
            text.push_str(line);
            text.push('\n');
            text.push_str(&log);
        } else if line.is_empty() || line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    Ok(text)
}

fn check(name: &str) {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let file = directory.join(name).with_extension("txt");
    let expected = fs::read_to_string(&file).expect("the script is beside this file");
    let actual = replay(&expected).unwrap_or_else(|why| panic!("{name}.txt, {why}"));
    #[expect(
        clippy::disallowed_methods,
        reason = "the test reads it, not the crate"
    )]
    let rewrite = std::env::var("S_CORE_REWRITE").is_ok();
    if rewrite {
        fs::write(&file, &actual).expect("the script can be written");
        return;
    }
    let differs = |(_, (a, b)): &(usize, (&str, &str))| a != b;
    let lines = expected.lines().zip(actual.lines());
    if let Some((number, (expected, actual))) = (1..).zip(lines).find(differs) {
        panic!(
            "{name}.txt, line {number}\nexpected: {expected}\n     now: {actual}\nS_CORE_REWRITE=1 writes it anew"
        );
    }
    assert_eq!(
        expected.lines().count(),
        actual.lines().count(),
        "{name}.txt ends elsewhere"
    );
}

macro_rules! scripts {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*

        #[test]
        fn every_script_is_run() {
            let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
            let files = fs::read_dir(directory).expect("the scripts are beside this file");
            let mut names: Vec<String> = files
                .map(|file| file.expect("a readable directory").file_name().into_string().expect("plain names"))
                .filter_map(|name| Some(name.strip_suffix(".txt")?.to_owned()))
                .collect();
            names.sort();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

scripts! {
    s01_round
    s02_migration
    s03_target_full
    s04_lost_acknowledgement
    s05_dead_successor
    s06_dead_holder
    s07_both_die
    s08_stale_token
    s09_unknown_outcome
    s10_partition
    s11_newcomer
}

#[test]
fn a_log_that_differs_is_noticed() {
    let script = "> servers 1 room 2\n> vms 10.0.0.1 vm1\n> mint 10.0.0.1\nnonsense\n";
    let text = replay(script).expect("proper commands");
    assert!(!text.contains("nonsense") && text.contains("holds the token"));
    for bad in ["fly", "servers", "vms 10.0.0.9 vm1", "advance 2 weeks"] {
        assert!(
            replay(&format!("> servers 1 room 1\n> {bad}\n")).is_err(),
            "{bad}"
        );
    }
}
