//! The driver against a program that stands in for `xl`.
//!
//! The stand-in answers with what a real `xl` printed (`data/xen`), and shows the faults that a real one cannot be
//! made to show: it hangs, ignores signals, floods its output, leaves processes behind. It says nothing
//! about how the real one behaves.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may fail like the test"
)]

mod xl_support;

use std::time::{Duration, Instant};

use s_core_backend::xl::{InvalidXlConfig, MigrationTransport, Xl, XlConfig};
use s_core_backend::{Domain, FreeCapacity, Hypervisor, HypervisorError, MigrationOutcome, Uuid};
use s_core_model::ServerId;
use xl_support::{FakeXl, RunningProcess};

const SOON: Duration = Duration::from_secs(2);
const AMPLE: Duration = Duration::from_secs(60);
const TARGET: ServerId = ServerId::new(0x0a00_0003);
/// The beginning of its row in the recorded `xl list -v`.
const VM1: &str = "vm1                                          4    80     1     ------";

fn vm1() -> Uuid {
    "dee2aba0-dc6d-4283-bd54-ab54af8916e5".parse().unwrap()
}

/// Runs `what` and checks that it returns within the deadline that it is given.
fn within<T>(deadline: Duration, what: impl FnOnce(Duration) -> T) -> T {
    let started = Instant::now();
    let result = what(deadline);
    let took = started.elapsed();
    // The machine that runs the tests may be busy; a deadline not kept at all shows as tens of seconds.
    assert!(took < deadline + SOON, "{took:?} for {deadline:?}");
    result
}

fn migrate(fake: &FakeXl, deadline: Duration) -> MigrationOutcome {
    within(deadline, |deadline| {
        fake.driver().migrate(vm1(), TARGET, deadline)
    })
}

#[test]
fn domains_and_capacity_of_a_real_host() {
    let fake = FakeXl::new();
    let names: Vec<_> = fake
        .driver()
        .domains(AMPLE)
        .unwrap()
        .into_iter()
        .map(|domain| (domain.name, domain.memory_mib, domain.macs.len()))
        .collect();
    let expected = ["vm2", "vm6", "vm1"].map(|name| (name.to_owned(), 80, 1));
    assert_eq!(names, expected);

    let check = |vm_slots, reserve_mib, expected: (u32, u32)| {
        let mut config = fake.config();
        (config.vm_slots, config.reserve_mib) = (vm_slots, reserve_mib);
        let free = Xl::new(config).unwrap().free_capacity(AMPLE).unwrap();
        let (vm_slots, memory_mib) = expected;
        assert_eq!(
            free,
            FreeCapacity {
                vm_slots,
                memory_mib
            }
        );
    };
    check(16, 0, (13, 370));
    check(3, 300, (0, 70));
    check(2, 371, (0, 0));
    // Memory that a domain under construction has claimed is not free: xl takes it off, as here 80 MiB of 370.
    let info = include_str!("data/xen/xl-info.xen2.txt")
        .replace("free_memory            : 370", "free_memory : 290")
        .replace("outstanding_claims     : 0", "outstanding_claims : 80");
    fake.answer("info", &info);
    check(16, 100, (13, 190));
}

#[test]
fn half_migrated_domains_take_room_but_are_nobodys_home() {
    let check = |name: &str, flags: &str, at_home: bool| {
        let fake = FakeXl::new();
        let list = include_str!("data/xen/xl-list-v.txt");
        assert!(list.contains(VM1));
        fake.answer(
            "list-v",
            &list.replace(VM1, &format!("{name} 4 80 1 {flags}")),
        );
        // `xl list -l` tells of all of them.
        let json = include_str!("data/xen/xl-list-l.xen2.json");
        fake.answer("list-l", &json.replace("\"vm1\"", &format!("{name:?}")));
        let domains = fake.driver().domains(AMPLE).unwrap();
        let names: Vec<_> = domains.iter().map(|domain| domain.name.as_str()).collect();
        let expected = [&["vm2", "vm6"][..], &[name][..usize::from(at_home)]].concat();
        assert_eq!(names, expected, "{name} {flags}");
        assert_eq!(fake.driver().free_capacity(AMPLE).unwrap().vm_slots, 13);
    };
    check("vm1", "-b----", true);
    check("vm1", "--p---", true);
    check("vm1", "---ss-", false);
    check("vm1", "---sc-", false);
    check("vm1", "---s--", false);
    check("vm1", "--ps-d", false);
    check("vm1--incoming", "--p---", false);
    check("vm1--migratedaway", "---ss-", false);
}

#[test]
fn incoming_domains_are_arriving_and_no_others() {
    let fake = FakeXl::new();
    let arriving = || fake.driver().arriving(AMPLE).unwrap();
    assert_eq!(arriving(), []);
    assert_eq!(
        fake.calls(),
        ["list -v"],
        "nobody comes: nothing more is asked"
    );

    let rename = |from: &str, flags: &str, to: &str, as_flags: &str| {
        let list = std::fs::read_to_string(fake.path("list-v")).unwrap();
        let pad = " ".repeat(42);
        let (row, line) = (format!("{from}{pad}"), format!("{to}{pad}"));
        assert!(list.contains(&row), "{list}");
        let renamed = list.lines().map(|old| match old.starts_with(&row) {
            true => old.replacen(&row, &line, 1).replacen(flags, as_flags, 1),
            false => old.to_owned(),
        });
        fake.answer("list-v", &(renamed.collect::<Vec<_>>().join("\n") + "\n"));
    };
    rename("vm1", "------", "vm1--incoming", "--p---");
    rename("vm2", "-b----", "vm2--migratedaway", "---ss-");
    rename("vm6", "------", "vm6--incoming", "--ps-d");
    let long = include_str!("data/xen/xl-list-l.xen2.json");
    fake.answer("list-l", &long.replace("\"vm1\"", "\"vm1--incoming\""));
    let macs = vec!["00:16:3e:00:01:0b".parse().unwrap()];
    let mut vm1 = Domain {
        uuid: vm1(),
        name: "vm1--incoming".into(),
        macs,
        address: None,
        memory_mib: 80,
    };
    assert_eq!(arriving(), std::slice::from_ref(&vm1));
    // While it is being built, `xl list -l` may pass over it.
    fake.answer("list-l", "[]");
    vm1.macs.clear();
    assert_eq!(arriving(), [vm1]);
    fake.script("list-l", "exit 5");
    fake.driver().arriving(AMPLE).unwrap_err();
}

/// One that is being built, or another's device model, hides nobody else.
#[test]
fn a_guest_that_list_long_leaves_out_takes_room_and_is_left_out() {
    let fake = FakeXl::new();
    let json = include_str!("data/xen/xl-list-l.xen2.json");
    let mut domains: Vec<serde_json::Value> = serde_json::from_str(json).unwrap();
    domains.retain(|domain| domain["config"]["c_info"]["name"] != "vm1");
    fake.answer("list-l", &serde_json::to_string(&domains).unwrap());
    let list = include_str!("data/xen/xl-list-v.txt");
    for left in [
        VM1,
        "vm1 4 80 1 --p---",
        "vm2-dm 4 32 1 -b----",
        "(null) 4 80 1 --ps-d",
        "vm1--migratedaway 4 80 1 ---ss-",
    ] {
        fake.answer("list-v", &list.replace(VM1, left));
        let names = fake.driver().domains(AMPLE).unwrap().into_iter();
        assert!(names.map(|domain| domain.name).eq(["vm2", "vm6"]), "{left}");
        let free = fake.driver().free_capacity(AMPLE).unwrap();
        assert_eq!(free.vm_slots, 13, "{left}");
    }
}

#[test]
fn a_migration_that_cannot_be_started_leaves_the_domain_here() {
    let fake = FakeXl::new();
    // It goes after it was asked where the domain is.
    fake.script("list-v", "grep -v '^# ' \"$here/list-v\"; rm \"$here/xl\"");
    let outcome = migrate(&fake, AMPLE);
    assert!(
        matches!(&outcome, MigrationOutcome::StayedHere(why) if why.starts_with("not begun: cannot run xl migrate: ")),
        "{outcome:?}"
    );
}

#[test]
fn what_is_written_last_is_read_though_others_keep_writing() {
    let fake = FakeXl::new();
    // It ends with its pipe full, and leaves behind a process that writes for ever.
    fake.script(
        "migrate",
        "head -c 65000 /dev/zero | tr '\\0' 'x' >&2; echo >&2; echo 'Migration successful.' >&2
         (while :; do echo more; sleep 0.01; done) & echo $! > \"$here/left.pid\"",
    );
    assert_eq!(migrate(&fake, AMPLE), MigrationOutcome::Moved);
    fake.process("left.pid").kill();
}

#[test]
fn what_list_long_leaves_out_is_asked_for() {
    let fake = FakeXl::new();
    let uuid = vm1();
    fake.keep_guest("vm1");
    fake.answer(
        "list-l",
        &format!(r#"[{{"domid": 4, "config": {{"c_info": {{"name": "vm1", "uuid": "{uuid}"}}, "nics": [{{}}]}}}}]"#),
    );
    let [domain] = fake.driver().domains(AMPLE).unwrap().try_into().unwrap();
    assert_eq!(domain.memory_mib, 80);
    assert_eq!(domain.macs, ["00:16:3e:00:01:0b".parse().unwrap()]);
    assert!(fake.calls().contains(&"network-list 4".to_owned()));
}

#[test]
fn questions_that_fail() {
    type Check = fn(HypervisorError) -> bool;
    let check = |script: &str, deadline, expected: Check| {
        let fake = FakeXl::new();
        fake.script("list-l", script);
        let error = within(deadline, |deadline| fake.driver().domains(deadline)).unwrap_err();
        let text = error.to_string();
        assert!(expected(error), "{script}: {text}");
    };
    check(
        "echo 'libxl: error: no xenstore' >&2; exit 5",
        AMPLE,
        |error| {
            error
                .to_string()
                .ends_with("list -l failed (exit code 5): libxl: error: no xenstore")
        },
    );
    check("kill -KILL $$", AMPLE, |error| {
        error.to_string().contains("failed (killed by signal 9)")
    });
    check("echo '[{]'", AMPLE, |error| {
        error
            .to_string()
            .contains("list -l: line 1, column 3: key must be a string")
    });
    check("head -c 17000000 /dev/zero", AMPLE, |error| {
        error
            .to_string()
            .ends_with("17000000 bytes are more than the 16777216 that are read")
    });
    check("exec sleep 300", SOON, |error| {
        matches!(error, HypervisorError::DeadlineExceeded { after: SOON, .. })
    });
    check(
        "while :; do echo flood >&2; echo flood; done",
        SOON,
        |error| matches!(error, HypervisorError::DeadlineExceeded { .. }),
    );
}

#[test]
fn a_program_that_is_not_there() {
    let mut config = XlConfig::new(1);
    config.program = "/nowhere/xl".into();
    let xl = Xl::new(config).unwrap();
    let error = xl.free_capacity(AMPLE).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot run /nowhere/xl info: "),
        "{error}"
    );
    let outcome = xl.migrate(vm1(), TARGET, AMPLE);
    assert!(
        matches!(&outcome, MigrationOutcome::StayedHere(why) if why.starts_with("not begun: cannot run")),
        "{outcome:?}"
    );

    let mut config = XlConfig::new(1);
    config.program = "".into();
    assert_eq!(Xl::new(config).unwrap_err(), InvalidXlConfig::NoProgram);
    let mut config = XlConfig::new(1);
    config.transport = MigrationTransport::Command("nc host 8003".to_owned());
    assert!(
        Xl::new(config)
            .unwrap_err()
            .to_string()
            .contains("lacks {target}")
    );
}

#[test]
fn migration_is_asked_for_by_number_and_address() {
    let fake = FakeXl::new();
    fake.script("migrate", "echo 'Migration successful.' >&2");
    assert_eq!(migrate(&fake, AMPLE), MigrationOutcome::Moved);
    let calls = fake.calls();
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert_eq!(calls[0], "list -v");
    let seconds: u32 = calls[1]
        .strip_prefix("migrate -s timeout --foreground ")
        .and_then(|rest| rest.strip_suffix(" ssh -o BatchMode=yes 4 10.0.0.3"))
        .unwrap_or_else(|| panic!("{}", calls[1]))
        .parse()
        .unwrap();
    // Of 60 s, 15 s are for looking afterwards and 10 s for resuming the guest.
    assert!((25..=34).contains(&seconds), "{seconds}");
}

#[test]
fn what_cannot_be_migrated_is_not_begun() {
    let check = |from: &str, to: &str, expected: fn(String) -> MigrationOutcome, reason: &str| {
        let fake = FakeXl::new();
        let list = include_str!("data/xen/xl-list-v.txt");
        assert!(list.contains(from));
        fake.answer("list-v", &list.replace(from, to));
        assert_eq!(
            migrate(&fake, AMPLE),
            expected(format!("not begun: {reason}"))
        );
        assert_eq!(fake.calls(), ["list -v"]);
    };
    let row_as = |name: &str, flags: &str| format!("{name} 4 80 1 {flags}");
    let uuid = vm1().to_string();
    check(
        &uuid,
        &uuid.replace("dee2", "dee3"),
        MigrationOutcome::StayedHere,
        &format!("no domain with UUID {uuid} here"),
    );
    check(
        VM1,
        &row_as("vm1", "---ss-"),
        MigrationOutcome::StayedHere,
        r#""vm1" is Suspended"#,
    );
    check(
        VM1,
        &row_as("vm1--migratedaway", "---ss-"),
        MigrationOutcome::Unknown,
        r#"an earlier migration left it here as "vm1--migratedaway""#,
    );
}

#[test]
fn recorded_failures_leave_the_domain_here() {
    let check = |recording: &str, reason: &str| {
        let fake = FakeXl::new();
        fake.answer("migrate.err", recording);
        fake.script("migrate", "cat \"$here/migrate.err\" >&2; exit 1");
        let expected = MigrationOutcome::StayedHere(reason.to_owned());
        assert_eq!(migrate(&fake, AMPLE), expected);
        assert_eq!(
            fake.calls().last().unwrap(),
            "list -v",
            "no look afterwards"
        );
    };
    check(
        include_str!("data/xen/error-migrate-no-memory-on-target.txt"),
        "xc: error: Failed to populate physmap (16 = Device or resource busy): Internal error",
    );
    check(
        include_str!("data/xen/error-migrate-refused.txt"),
        "ssh: connect to host xen4 port 22: Connection refused",
    );
}

#[test]
fn a_lost_handshake_is_unknown_and_says_what_is_seen_here() {
    let fake = FakeXl::new();
    let list =
        include_str!("data/xen/xl-list-v.txt").replace(VM1, "vm1--migratedaway 4 80 1 ---ss-");
    fake.answer("list-after", &list);
    fake.script(
        "migrate",
        "cp \"$here/list-after\" \"$here/list-v\"
         echo 'migration sender: Giving target permission to start.' >&2
         echo '** Migration failed during final handshake **' >&2
         echo 'Domain state is now undefined !' >&2
         exit 1",
    );
    let expected = "** Migration failed during final handshake **; \
                    here it is listed as \"vm1--migratedaway\", Suspended";
    assert_eq!(
        migrate(&fake, AMPLE),
        MigrationOutcome::Unknown(expected.to_owned())
    );
}

/// Killed between the guest's suspension and its new name: it runs nowhere, so nobody may say that it has stayed.
#[test]
fn a_guest_that_is_suspended_under_its_own_name_is_not_at_home() {
    let fake = FakeXl::new();
    let list = include_str!("data/xen/xl-list-v.txt").replace(VM1, "vm1 4 80 1 ---ss-");
    fake.answer("list-after", &list);
    fake.script(
        "migrate",
        "cp \"$here/list-after\" \"$here/list-v\"
         echo 'Saving to migration stream new xl format (info 0x3/0x0/1441)' >&2
         kill -KILL $$",
    );
    let outcome = migrate(&fake, AMPLE);
    assert!(
        matches!(&outcome, MigrationOutcome::Unknown(why) if why.ends_with("listed as \"vm1\", Suspended")),
        "{outcome:?}"
    );
    let names = fake.driver().domains(AMPLE).unwrap().into_iter();
    assert!(names.map(|domain| domain.name).eq(["vm2", "vm6"]));
    let [left] = fake.driver().leftovers(AMPLE).unwrap().try_into().unwrap();
    assert_eq!(
        (left.uuid, left.kind),
        (vm1(), s_core_backend::LeftoverKind::Suspended)
    );
}

#[test]
fn a_flood_on_standard_error_hides_nothing() {
    let fake = FakeXl::new();
    fake.script(
        "migrate",
        "head -c 8000000 /dev/zero | tr '\\0' 'x' >&2; echo >&2; echo 'Migration successful.' >&2",
    );
    assert_eq!(migrate(&fake, AMPLE), MigrationOutcome::Moved);
}

#[test]
fn a_transport_that_hangs_is_cut_before_xl_is_killed() {
    let fake = FakeXl::new();
    fake.script("ssh", "exec sleep 300");
    // As xl does it: the transport in a shell, and the guest resumed when the transport fails.
    fake.script(
        "migrate",
        "sh -c \"exec $3 $5 xl migrate-receive\"
         echo \"transport ended with $?\" >> \"$here/calls\"
         echo 'Migration failed, resuming at sender.' >&2
         exit 1",
    );
    let mut config = fake.config();
    config.transport = MigrationTransport::Ssh(fake.path("ssh.sh").display().to_string());
    let xl = Xl::new(config).unwrap();
    let outcome = within(Duration::from_secs(8), |deadline| {
        xl.migrate(vm1(), TARGET, deadline)
    });
    let expected = "Migration failed, resuming at sender.".to_owned();
    assert_eq!(outcome, MigrationOutcome::StayedHere(expected));
    assert!(
        fake.calls()
            .contains(&"transport ended with 124".to_owned()),
        "{:?}",
        fake.calls()
    );
}

#[test]
fn a_migration_that_ignores_its_end_is_killed_with_all_that_it_started() {
    let fake = FakeXl::new();
    fake.script(
        "migrate",
        "trap '' TERM
         sleep 300 & echo $! > \"$here/helper.pid\"
         echo $$ > \"$here/xl.pid\"
         wait; sleep 300",
    );
    let outcome = migrate(&fake, Duration::from_secs(4));
    let expected = "killed at its deadline: nothing on standard error".to_owned();
    assert_eq!(outcome, MigrationOutcome::StayedHere(expected));
    assert!(fake.process("helper.pid").is_gone());
    // Its parent is this process: it is gone only if it was waited for.
    assert_eq!(fake.process("xl.pid").state(), None);
}

#[test]
fn a_process_left_behind_holds_nobody_up() {
    let fake = FakeXl::new();
    fake.script(
        "list-l",
        "sleep 300 & echo $! > \"$here/left.pid\"; echo '[]'",
    );
    fake.keep_guest("none");
    let domains = within(SOON, |_| fake.driver().domains(AMPLE)).unwrap();
    assert_eq!(domains, []);
    let left: RunningProcess = fake.process("left.pid");
    assert!(!left.is_gone());
    left.kill();
}
