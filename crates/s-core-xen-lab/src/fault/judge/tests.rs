//! Made-up observations, and what is wrong with each.

use super::*;
use crate::fault::observe::DomainSeen;
use crate::plan::{Plan, Size};

const FIRST: HostNumber = HostNumber(1);
const SECOND: HostNumber = HostNumber(2);
const V1: VmNumber = VmNumber(1);
const V2: VmNumber = VmNumber(2);

fn plan() -> Plan {
    let size = Size {
        hosts: 2,
        domains: 1,
        ..Size::default()
    };
    Plan::new("demo".parse().unwrap(), size).unwrap()
}

fn domain(vm: VmNumber, suffix: &str, state: DomainState) -> DomainSeen {
    DomainSeen {
        name: format!("v{}{suffix}", vm.0),
        domid: vm.0,
        vm: Some(vm),
        state,
        memory_mib: 40,
    }
}

fn host(domains: Vec<DomainSeen>) -> HostSeen {
    HostSeen {
        free_mib: 500 - 40 * domains.len() as u64,
        claimed_mib: 0,
        domains,
        warnings: Vec::new(),
    }
}

/// The first VM has stayed with the first host; the second is with the second. All holds.
fn good() -> (Observation, Terms) {
    let runs = |vm| host(vec![domain(vm, "", DomainState::Runnable)]);
    let came = Duration::from_secs(20);
    let seen = Observation {
        hosts: [(FIRST, runs(V1)), (SECOND, runs(V2))].into(),
        token: [(FIRST, came), (SECOND, came)].into(),
        migrated: true,
        returned: [FIRST].into(),
    };
    let plan = plan();
    let layout = plan.layout();
    let terms = Terms {
        vms: layout
            .vms()
            .map(|vm| (vm, (layout.vm_uuid(vm), layout.vm(vm))))
            .collect(),
        may_be_gone: Vec::new(),
        memory: [(FIRST, 500), (SECOND, 500)].into(),
        migrates: true,
        restarts: Some(FIRST),
        bound: Duration::from_secs(100),
    };
    (seen, terms)
}

/// What is wrong once this has been changed.
fn check(change: impl FnOnce(&mut Observation, &mut Terms), wanted: &[Broken]) {
    let (mut seen, mut terms) = good();
    change(&mut seen, &mut terms);
    assert_eq!(judge(&seen, &terms), wanted);
}

fn add(seen: &mut Observation, to: HostNumber, domain: DomainSeen) {
    let host = seen.hosts.get_mut(&to).unwrap();
    host.free_mib -= 40;
    host.domains.push(domain);
}

/// The first VM is not where it was.
fn lose(seen: &mut Observation) {
    seen.hosts.insert(FIRST, host(Vec::new()));
}

fn tell(seen: &mut Observation, of: VmNumber) {
    let uuid = plan().layout().vm_uuid(of);
    let line = format!(
        "2026-11-23T17:00:00Z  WARN s_core_agent::ends: arriving for longer than a migration may take; look for it uuid={uuid}"
    );
    seen.hosts.get_mut(&SECOND).unwrap().warnings.push(line);
}

#[test]
fn all_is_well() {
    check(|_, _| {}, &[]);
    // It has migrated.
    check(
        |seen, _| {
            lose(seen);
            add(seen, SECOND, domain(V1, "", DomainState::Runnable));
        },
        &[],
    );
    // What is being destroyed is nothing.
    check(
        |seen, _| add(seen, SECOND, domain(V1, "", DomainState::Dying)),
        &[],
    );
}

#[test]
fn a_vm_runs_once() {
    check(
        |seen, _| add(seen, SECOND, domain(V1, "", DomainState::Runnable)),
        &[Broken::Twice(V1, vec![FIRST, SECOND])],
    );
    check(|seen, _| lose(seen), &[Broken::Lost(V1)]);
    check(
        |seen, _| {
            lose(seen);
            tell(seen, V2);
        },
        &[Broken::Lost(V1)],
    );
    // That a migration has failed is not that its VM is lost.
    check(
        |seen, _| {
            lose(seen);
            let line = "2026-11-23T17:00:00Z  WARN s_core_agent::driver: the migration did not end as it should \
                vm=10.77.1.1 target=192.168.77.2 outcome=StayedHere why=\"killed\"";
            seen.hosts
                .get_mut(&FIRST)
                .unwrap()
                .warnings
                .push(line.into());
        },
        &[Broken::Lost(V1)],
    );
    // It is told, or was destroyed.
    check(
        |seen, _| {
            lose(seen);
            tell(seen, V1);
        },
        &[],
    );
    check(
        |seen, terms| {
            lose(seen);
            terms.may_be_gone.push(V1);
        },
        &[],
    );
    // Even so it may not run twice.
    check(
        |seen, terms| {
            add(seen, SECOND, domain(V1, "", DomainState::Runnable));
            terms.may_be_gone.push(V1);
        },
        &[Broken::Twice(V1, vec![FIRST, SECOND])],
    );
}

#[test]
fn nothing_is_left_half_migrated() {
    let incoming = || domain(V1, "--incoming", DomainState::Paused);
    let left = || Broken::Left(SECOND, "v1--incoming".into());
    check(|seen, _| add(seen, SECOND, incoming()), &[left()]);
    // The agents could have removed it: telling is not enough.
    check(
        |seen, _| {
            add(seen, SECOND, incoming());
            tell(seen, V1);
        },
        &[left()],
    );
    // It may be all that there is of the VM.
    check(
        |seen, _| {
            lose(seen);
            add(seen, SECOND, incoming());
            tell(seen, V1);
        },
        &[],
    );
    check(
        |seen, terms| {
            lose(seen);
            add(seen, SECOND, incoming());
            terms.may_be_gone.push(V1);
        },
        &[left()],
    );
    // Suspended under another name is not running.
    check(
        |seen, _| {
            lose(seen);
            add(
                seen,
                FIRST,
                domain(V1, "--migratedaway", DomainState::ShutDown),
            );
        },
        &[
            Broken::Lost(V1),
            Broken::Left(FIRST, "v1--migratedaway".into()),
        ],
    );
}

#[test]
fn room_is_free_again() {
    let free = |seen: &mut Observation, mib| seen.hosts.get_mut(&SECOND).unwrap().free_mib -= mib;
    check(|seen, _| free(seen, ROUNDING), &[]);
    check(|seen, _| free(seen, 40), &[Broken::Memory(SECOND, 32)]);
    check(
        |seen, _| seen.hosts.get_mut(&SECOND).unwrap().claimed_mib = 40,
        &[Broken::Memory(SECOND, 40)],
    );
    check(|seen, _| seen.migrated = false, &[Broken::NoRoom]);
    check(
        |seen, terms| (seen.migrated, terms.migrates) = (false, false),
        &[],
    );
}

#[test]
fn the_agent_that_was_killed_comes_back() {
    check(
        |seen, _| seen.returned = [SECOND].into(),
        &[Broken::NoAgent(FIRST)],
    );
    check(
        |seen, terms| {
            seen.returned.clear();
            terms.restarts = None;
        },
        &[],
    );
}

#[test]
fn the_token_goes_on() {
    check(
        |seen, _| seen.token.retain(|host, _| *host != SECOND),
        &[Broken::Token(SECOND, None)],
    );
    let late = Duration::from_secs(101);
    check(
        |seen, _| seen.token.extend([(FIRST, late)]),
        &[Broken::Token(FIRST, Some(late))],
    );
    // It does not go to a host without VMs.
    check(
        |seen, terms| {
            lose(seen);
            terms.may_be_gone.push(V1);
            seen.token.remove(&FIRST);
        },
        &[],
    );
    check(
        |seen, terms| {
            seen.hosts.remove(&FIRST);
            terms.may_be_gone.push(V1);
        },
        &[Broken::Silent(FIRST)],
    );
}
