//! What migrations leave behind: found, and destroyed only as what it was taken for.

use s_core_backend::{Hypervisor as _, Leftover, LeftoverKind, Uuid};

use crate::AMPLE;
use crate::xl_support::FakeXl;

const LIST: &str = include_str!("../data/xen/xl-list-v.txt");
const ROW: &str = "vm1                                          4    80     1     ------";

/// A host that lists vm1 with this name and these flags.
fn host(name: &str, flags: &str) -> FakeXl {
    assert!(LIST.contains(ROW));
    let fake = FakeXl::new();
    fake.answer(
        "list-v",
        &LIST.replace(ROW, &format!("{name} 4 80 1 {flags}")),
    );
    fake.script("destroy", "true");
    fake
}

fn vm1() -> Uuid {
    "dee2aba0-dc6d-4283-bd54-ab54af8916e5".parse().unwrap()
}

#[test]
fn only_what_is_suspended_or_was_never_started_is_a_leftover() {
    use LeftoverKind::{Incoming, MigratedAway, Suspended};
    let check = |name: &str, flags, wanted: Option<LeftoverKind>| {
        let fake = host(name, flags);
        let found = fake.driver().leftovers(AMPLE).unwrap();
        let leftover = |kind| Leftover {
            uuid: vm1(),
            name: name.to_owned(),
            kind,
        };
        assert_eq!(
            found,
            Vec::from_iter(wanted.map(leftover)),
            "{name} {flags}"
        );
        for kind in [MigratedAway, Suspended, Incoming] {
            let before = fake.calls().len();
            let gone = fake.driver().remove_leftover(vm1(), kind, AMPLE).unwrap();
            // One that is suspended under its own name may not be destroyed on anybody's word.
            let may_go = wanted == Some(kind) && kind != Suspended;
            assert_eq!(gone, may_go, "{name} {flags} {kind:?}");
            let destroyed = fake.calls()[before..].contains(&"destroy 4".to_owned());
            assert_eq!(destroyed, gone);
        }
    };
    check("vm1", "------", None);
    check("vm1", "---ss-", Some(Suspended));
    check("vm1", "---sc-", None);
    check("vm1", "---ssd", None);
    check("vm1--migratedaway", "---ss-", Some(MigratedAway));
    check("vm1--migratedaway", "-b----", None);
    check("vm1--migratedaway", "---s-d", None);
    check("vm1--incoming", "--p---", Some(Incoming));
    check("vm1--incoming", "-b----", None);
    check("(null)", "--ps-d", None);
}

#[test]
fn a_leftover_that_cannot_be_destroyed_is_an_error() {
    let fake = host("vm1--migratedaway", "---ss-");
    fake.script("destroy", "echo 'libxl: error: busy' >&2; exit 1");
    let kind = LeftoverKind::MigratedAway;
    let error = fake
        .driver()
        .remove_leftover(vm1(), kind, AMPLE)
        .unwrap_err();
    assert!(error.to_string().contains("destroy 4 failed"), "{error}");
    // Nobody else's, and not when the list is not known.
    let gone = fake
        .driver()
        .remove_leftover(Uuid::new([1; 16]), kind, AMPLE);
    assert!(!gone.unwrap());
    fake.script("list-v", "exit 1");
    fake.driver()
        .remove_leftover(vm1(), kind, AMPLE)
        .unwrap_err();
    assert_eq!(
        fake.calls()
            .iter()
            .filter(|call| *call == "destroy 4")
            .count(),
        1
    );
}
