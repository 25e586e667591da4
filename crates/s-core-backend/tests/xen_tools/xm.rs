//! The thesis's `xm`. What it prints is written after Xen 4.1's documentation and sources, not recorded: no host with it is left
//! to ask.

use std::time::Duration;

use s_core_backend::xl::{
    DomainState, ParseError, Xl, XlConfig, parse_info, parse_list, parse_network_list,
    parse_xm_list_long,
};
use s_core_backend::{Domain, Hypervisor as _, LeftoverKind, MigrationOutcome, Uuid};
use s_core_model::ServerId;

use crate::AMPLE;
use crate::xl_support::FakeXl;

const LIST_LONG: &str = include_str!("../data/xm/list-l.txt");
const TARGET: ServerId = ServerId::new(0x0a00_0003);
/// A domain that is being migrated away.
const DB1: &str = "716a40ad-7f00-4f79-a53e-e1794377271a";

fn web1() -> Uuid {
    "4bb1c8b5-4e25-aa2f-9ee9-d8e6d83bbb61".parse().unwrap()
}

fn host() -> (FakeXl, Xl) {
    let fake = FakeXl::new();
    fake.answer("list-l", LIST_LONG);
    fake.answer("info", include_str!("../data/xm/info.txt"));
    let mut config = XlConfig::xm(8);
    config.program = fake.path("xl");
    let xm = Xl::new(config).unwrap();
    (fake, xm)
}

#[test]
fn tables_that_are_as_those_of_xl() {
    let [dom0, web1] = parse_list(
        "Name                                        ID   Mem VCPUs      State   Time(s)\n\
         Domain-0                                     0  1024     4     r-----    302.4\n\
         web1                                         7   384     1     -b----     81.3\n",
    )
    .unwrap()
    .try_into()
    .unwrap();
    assert_eq!((dom0.domid, web1.domid, web1.memory_mib), (0, 7, 384));
    assert_eq!(web1.state, DomainState::Runnable);
    let info = parse_info(include_str!("../data/xm/info.txt")).unwrap();
    assert_eq!((info.nr_cpus, info.free_memory_mib), (4, 2410));
    let [interface] = parse_network_list(
        "Idx BE     MAC Addr.     handle state evt-ch tx-/rx-ring-ref BE-path\n\
         0   0  00:16:3e:00:01:0b    0     4      9     768  /769     /local/domain/0/backend/vif/7/0\n",
    )
    .unwrap()
    .try_into()
    .unwrap();
    assert_eq!(interface.mac, "00:16:3e:00:01:0b".parse().unwrap());
}

#[test]
fn domains_in_s_expressions() {
    let domains = parse_xm_list_long(LIST_LONG).unwrap();
    let names: Vec<_> = domains
        .iter()
        .map(|(listed, _)| (listed.domid, listed.name.as_str(), listed.state))
        .collect();
    use DomainState::{Runnable, ShutDown};
    // One that xend only manages has no number and is none.
    let expected = [
        (0, "Domain-0", Runnable),
        (7, "web1", Runnable),
        (9, "db1--migratedaway", ShutDown),
    ];
    assert_eq!(names, expected);
    let (listed, config) = &domains[1];
    assert_eq!((listed.memory_mib, listed.vcpus), (384, 1));
    assert!((listed.cpu_seconds - 81.325_443).abs() < 1e-9);
    assert_eq!((config.uuid, config.memory_mib), (web1(), Some(512)));
    assert_eq!(listed.uuid, Some(web1()));
    let mac = Some("00:16:3e:00:01:0b".parse().unwrap());
    assert_eq!(config.macs, [mac, None]);
    assert_eq!(config.address, Some([10, 0, 1, 11].into()));
}

#[test]
fn text_that_is_no_list_of_domains_is_named() {
    let check = |text: &str, wanted: &str| {
        let error = parse_xm_list_long(text).unwrap_err();
        assert!(matches!(
            error,
            ParseError::Sxp { .. } | ParseError::Field { .. }
        ));
        assert!(error.to_string().contains(wanted), "{error}");
    };
    assert_eq!(parse_xm_list_long(" \n").unwrap(), []);
    assert_eq!(
        parse_xm_list_long("(domain)").unwrap(),
        [],
        "it does not run"
    );
    check(
        "Error: unable to connect to xend",
        "line 1: \"Error:\" stands outside",
    );
    check("(domain\n(domid 1)", "line 2: the text ends within a list");
    check("(domain))", "line 1: a parenthesis too many");
    check("(domain (name 'a\n)", "line 1: a quotation does not end");
    check(
        "\n(host (domid 1))",
        "line 2: a list (domain …) is wanted; found \"host\"",
    );
    check("((domid 1))", "a list (domain …) is wanted");
    check(&"(a ".repeat(65).replacen('a', "domain", 1), "too deeply");
    check(&"(".repeat(1 << 20), "a list (domain …) is wanted");
    check("(domain (domid one))", "domid is a number; found \"one\"");
    check("(domain\n(domid 1)\n)", "line 3: state is six flags");
    check("(domain\n(domid 1) (state -b----)\n)", "line 3: uuid is 32");
    check("(domain (uuid 4bb1))", "uuid is 32");
    check("(domain (state rrr))", "state is six flags");
    check("(domain (device (vif (mac 00:16))))", "mac is six pairs");
    // Fields of these names elsewhere are others.
    let vbd = "(domain (device (vbd (mac x) (uuid x)) (domid (x (x x)))))";
    assert_eq!(parse_xm_list_long(vbd).unwrap(), []);
}

#[test]
fn a_host_with_xm() {
    let (fake, xm) = host();
    let domains = xm.domains(AMPLE).unwrap();
    let [domain] = domains.try_into().unwrap();
    assert_eq!((domain.name.as_str(), domain.memory_mib), ("web1", 512));
    // What xend does not tell in the list is asked for.
    assert!(fake.calls().contains(&"network-list 7".to_owned()));
    assert!(fake.calls().iter().all(|call| call != "list -v"));
    let free = xm.free_capacity(AMPLE).unwrap();
    assert_eq!((free.vm_slots, free.memory_mib), (6, 2410));
    assert_eq!(xm.arriving(AMPLE).unwrap(), []);
}

#[test]
fn what_is_seen_afterwards_tells_how_a_migration_ended() {
    let gone = LIST_LONG.replace("(domid 7)", "(status 0)");
    let leaving = LIST_LONG.replace("(name web1)", "(name migrating-web1)");
    let within = |deadline, after: &str, script: &str, wanted: fn(&MigrationOutcome) -> bool| {
        let (fake, xm) = host();
        fake.answer("after", after);
        fake.script(
            "migrate",
            &format!("cp \"$here/after\" \"$here/list-l\"; {script}"),
        );
        let outcome = xm.migrate(web1(), TARGET, deadline);
        assert!(wanted(&outcome), "{script}: {outcome:?}");
        assert!(
            fake.calls()
                .contains(&"migrate --live 7 10.0.0.3".to_owned())
        );
    };
    let check = |after: &str, script, wanted| within(AMPLE, after, script, wanted);
    use MigrationOutcome::{StayedHere, Unknown};
    // xend does not know whether it runs at the target.
    check(&gone, "true", |outcome| matches!(outcome, Unknown(_)));
    let dying = LIST_LONG.replace("(state -b----)", "(state -----d)");
    check(&dying, "true", |outcome| matches!(outcome, Unknown(_)));
    check(LIST_LONG, "true", |outcome| {
        matches!(outcome, StayedHere(_))
    });
    let refused = "echo \"Error: can't connect: Connection refused\" >&2; exit 1";
    check(LIST_LONG, refused, |outcome| {
        *outcome == StayedHere("Error: can't connect: Connection refused".into())
    });
    check(&gone, "exit 1", |outcome| matches!(outcome, Unknown(_)));
    check(
        &leaving,
        "exit 1",
        |outcome| matches!(outcome, Unknown(why) if why.contains("web1--migratedaway")),
    );
    check("(", "true", |outcome| matches!(outcome, Unknown(_)));
    // xend goes on with what xm was ended at.
    let soon = Duration::from_secs(4);
    within(soon, LIST_LONG, "exec sleep 300", |outcome| {
        matches!(outcome, Unknown(_))
    });
    check(LIST_LONG, "kill -KILL $$", |outcome| {
        matches!(outcome, Unknown(_))
    });
}

/// A domain that xend still receives, or still sends, is neither hosted nor taken for what a migration has left.
#[test]
fn what_xend_is_at_work_on_is_left_alone() {
    let check = |from: &str, to: &str, arriving: &[&str]| {
        assert!(LIST_LONG.contains(from));
        let (fake, xm) = host();
        fake.answer("list-l", &LIST_LONG.replace(from, to));
        let names = |domains: Vec<Domain>| -> Vec<String> {
            domains.into_iter().map(|domain| domain.name).collect()
        };
        assert_eq!(names(xm.domains(AMPLE).unwrap()), [""; 0], "{to}");
        assert_eq!(names(xm.arriving(AMPLE).unwrap()), arriving, "{to}");
        assert_eq!(xm.leftovers(AMPLE).unwrap(), [], "{to}");
        for uuid in [web1(), DB1.parse().unwrap()] {
            for kind in [LeftoverKind::MigratedAway, LeftoverKind::Incoming] {
                assert!(!xm.remove_leftover(uuid, kind, AMPLE).unwrap());
            }
        }
        assert!(fake.calls().iter().all(|call| !call.contains("destroy")));
    };
    check("(state -b----)", "(state --p---)", &["web1--incoming"]);
    check("(name web1)", "(name migrating-web1)", &[]);
    check("(state -b----)", "(state ----c-)", &[]);
}
