//! What `xl migrate` wrote, and what became of the domain. The first rows are recordings of a real Xen 4.17
//! (`data/xen`); the others are lines of `xl migrate` that the recordings do not hold.

use s_core_backend::MigrationOutcome;
use s_core_backend::xl::{Exit, classify};

const SUCCESS: &str = include_str!("data/xen/xl-vvv-migrate-timestamps.txt");
const NO_MEMORY: &str = include_str!("data/xen/error-migrate-no-memory-on-target.txt");
const NO_DOMAIN: &str = include_str!("data/xen/error-migrate-nonexistent.txt");
const REFUSED: &str = include_str!("data/xen/error-migrate-refused.txt");

fn stayed(reason: &str) -> MigrationOutcome {
    MigrationOutcome::StayedHere(reason.to_owned())
}

fn unknown(reason: &str) -> MigrationOutcome {
    MigrationOutcome::Unknown(reason.to_owned())
}

/// What the recording holds of standard error: its lines without the time before each.
fn without_times(recording: &str) -> String {
    recording
        .lines()
        .filter_map(|line| line.split_once(' '))
        .flat_map(|(_time, line)| [line, "\n"])
        .collect()
}

#[test]
fn outcomes_of_real_migrations() {
    let check = |exit, stderr: &str, expected| assert_eq!(classify(exit, stderr), expected);
    let success = without_times(SUCCESS);
    check(Exit::Code(0), &success, MigrationOutcome::Moved);
    check(
        Exit::Code(1),
        NO_MEMORY,
        stayed(
            "xc: error: Failed to populate physmap (16 = Device or resource busy): Internal error",
        ),
    );
    check(
        Exit::Code(1),
        NO_DOMAIN,
        stayed("nosuchvm is an invalid domain identifier (rc=-6)"),
    );
    check(
        Exit::Code(1),
        REFUSED,
        stayed("ssh: connect to host xen4 port 22: Connection refused"),
    );
}

#[test]
fn a_migration_that_is_cut_anywhere_has_moved_only_if_the_target_said_so() {
    let success = without_times(SUCCESS);
    let lines: Vec<_> = success.lines().collect();
    let started = lines
        .iter()
        .position(|line| line.contains("Target reports successful startup"))
        .expect("the recording is of a successful migration");
    for end in 0..=lines.len() {
        let outcome = classify(Exit::DeadlineExceeded, &lines[..end].join("\n"));
        if end > started {
            assert_eq!(outcome, MigrationOutcome::Moved, "cut after {end} lines");
        } else {
            let is_unknown = matches!(outcome, MigrationOutcome::Unknown(_));
            assert!(is_unknown, "cut after {end} lines: {outcome:?}");
        }
    }
}

#[test]
fn outcomes_by_stage() {
    let permitted = "migration sender: Giving target permission to start.\n";
    let check = |exit, stderr: String, expected| {
        assert_eq!(classify(exit, &stderr), expected, "{exit}: {stderr}");
    };
    let handshake =
        "** Migration failed during final handshake **\nDomain state is now undefined !\n";
    check(
        Exit::Code(1),
        format!("{permitted}libxl: error: truncated reading ready message\n{handshake}"),
        unknown("libxl: error: truncated reading ready message"),
    );
    check(
        Exit::Code(1),
        handshake.to_owned(),
        unknown("** Migration failed during final handshake **"),
    );
    let handed_back = "migration sender: Trying to resume at our end.\n";
    let at_target = "Migration failed due to problems at target.\n";
    check(
        Exit::Code(1),
        format!("{permitted}{handed_back}migration sender: Resumed OK.\n{at_target}"),
        stayed("Migration failed due to problems at target."),
    );
    check(
        Exit::Code(1),
        format!("{permitted}{handed_back}{at_target}"),
        unknown("Migration failed due to problems at target."),
    );
    check(
        Exit::Code(1),
        "Migration failed, failed to suspend at sender.\n".to_owned(),
        stayed("Migration failed, failed to suspend at sender."),
    );
    // The guest was given away before it failed: what was said earlier does not count any more.
    check(
        Exit::Code(1),
        format!("Migration failed, resuming at sender.\n{permitted}"),
        unknown("Migration failed, resuming at sender."),
    );
}

#[test]
fn what_is_not_understood_is_unknown() {
    let check = |exit, stderr: &str, reason: &str| {
        assert_eq!(classify(exit, stderr), unknown(reason), "{exit}: {stderr}");
    };
    check(Exit::Code(0), "", "exit code 0: nothing on standard error");
    check(
        Exit::Code(0),
        "Usage: xl migrate\n",
        "exit code 0: Usage: xl migrate",
    );
    check(Exit::Code(1), "Segmentation fault\n", "Segmentation fault");
    check(
        Exit::Code(127),
        "xl: not found\n\n",
        "exit code 127: xl: not found",
    );
    check(
        Exit::Signal(9),
        "",
        "killed by signal 9: nothing on standard error",
    );
    // A claim of success that the exit code denies.
    check(
        Exit::Code(1),
        "Migration successful.\n",
        "Migration successful.",
    );
    check(
        Exit::DeadlineExceeded,
        "Saving to migration stream\nxc: info: Saving domain 2\n",
        "killed at its deadline: xc: info: Saving domain 2",
    );
}

#[test]
fn a_reason_is_one_short_line_without_control_characters() {
    let stderr = format!("error: \x1b[31m{}\nmore", "é".repeat(10_000));
    let MigrationOutcome::Unknown(reason) = classify(Exit::Code(1), &stderr) else {
        panic!("an error that is not understood is unknown");
    };
    assert!(!reason.chars().any(char::is_control));
    assert_eq!(reason.chars().count(), 201);
}
