//! What a host shows of its domains, its memory, and its agent's doubts.

use std::time::Duration;

use s_core_backend::Uuid;
use s_core_backend::xl::{DomainState, parse_info, parse_list};
use s_core_lab::{Layout, VmNumber};
use s_core_model::VmId;

use crate::run::configuration::LOG;
use crate::status::runs;

/// How many of the agent's last warnings are looked at.
const WARNINGS: u32 = 500;
/// What an agent says of a VM that may run nowhere, so that a person has to look for it.
const DOUBTS: [&str; 3] = [
    "s_core_agent::ends: it should have moved;",
    "s_core_agent::ends: suspended here since its migration",
    "s_core_agent::ends: arriving for longer than a migration may take",
];
/// What it says of any migration that failed; of one whose VM it does not know where, with this outcome.
const NOT_MOVED: &str = "s_core_agent::driver: the migration did not end as it should";
const UNKNOWN: &str = "outcome=Unknown";

/// A host at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HostSeen {
    /// All domains but the control domain.
    pub(super) domains: Vec<DomainSeen>,
    /// Memory of no domain, in MiB.
    pub(super) free_mib: u64,
    /// What domains that are being built have claimed of it, in MiB.
    pub(super) claimed_mib: u64,
    /// What the agent has last warned of, a line each.
    pub(super) warnings: Vec<String>,
}

/// A domain of a host.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DomainSeen {
    pub(super) name: String,
    pub(super) domid: u32,
    pub(super) vm: Option<VmNumber>,
    pub(super) state: DomainState,
    pub(super) memory_mib: u32,
}

impl DomainSeen {
    /// Whether it is the VM itself, and not what a migration has left or has not finished.
    pub(super) fn runs(&self) -> bool {
        runs(&self.name, self.state)
    }
}

impl HostSeen {
    /// Free memory, and that of the domains, in MiB.
    pub(super) fn memory_mib(&self) -> u64 {
        let domains = self.domains.iter();
        let used: u64 = domains.map(|domain| u64::from(domain.memory_mib)).sum();
        self.free_mib + used
    }

    /// Whether a VM runs here.
    pub(super) fn has_vms(&self) -> bool {
        let mut domains = self.domains.iter();
        domains.any(|domain| domain.vm.is_some() && domain.runs())
    }

    /// Whether the agent warns that this VM may run nowhere, by the UUID of its domain or by its address.
    pub(super) fn tells_of(&self, uuid: Uuid, vm: VmId) -> bool {
        let names = [format!("uuid={uuid}"), format!("vm={vm}")];
        let mut doubts = self.warnings.iter().filter(|line| is_doubt(line));
        doubts.any(|line| {
            let mut words = line.split(' ');
            words.any(|word| names.iter().any(|name| name == word))
        })
    }
}

fn is_doubt(line: &str) -> bool {
    let is_unknown = line.contains(NOT_MOVED) && line.split(' ').any(|word| word == UNKNOWN);
    is_unknown || DOUBTS.iter().any(|doubt| line.contains(doubt))
}

/// Asks a control domain for all that, with an empty line between the parts; for warnings not older than this.
pub(super) fn script(time: Duration) -> String {
    let warnings = warnings_script(time);
    format!("xl list -v && echo && xl info && echo && {{ {warnings}; }}")
}

/// A line begins with its time in UTC, written so that what is later comes later in the alphabet.
fn warnings_script(time: Duration) -> String {
    let seconds = time.as_secs() + 1;
    format!(
        "since=$(date -u -d \"@$(($(date +%s) - {seconds}))\" +%Y-%m-%dT%H:%M:%S); \
         awk -v since=\"$since\" '$1 >= since && / (WARN|ERROR) /' {LOG} 2>/dev/null | tail -n {WARNINGS}; true"
    )
}

/// Reads what [`script`] prints.
pub(super) fn parse(layout: &Layout, text: &str) -> Result<HostSeen, String> {
    let mut parts = text.splitn(3, "\n\n");
    let mut part = |what| parts.next().ok_or(format!("the answer lacks {what}"));
    let list = parse_list(part("xl list")?).map_err(|error| error.to_string())?;
    let info = parse_info(part("xl info")?).map_err(|error| error.to_string())?;
    let warnings = part("warnings")?.lines().map(str::to_owned).collect();
    let domains = list.into_iter().filter(|domain| domain.domid != 0);
    let domains = domains.map(|domain| DomainSeen {
        vm: domain.uuid.and_then(|uuid| layout.vm_with_uuid(uuid)),
        name: domain.name,
        domid: domain.domid,
        state: domain.state,
        memory_mib: domain.memory_mib,
    });
    Ok(HostSeen {
        domains: domains.collect(),
        free_mib: info.free_memory_mib,
        claimed_mib: info.outstanding_claims_mib,
        warnings,
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::plan::{Plan, Size};

    /// As a host prints it whose VM 5 is on its way from elsewhere.
    const ANSWER: &str = "\
Name                                        ID   Mem VCPUs	State	Time(s)   UUID                            Reason-Code	Security Label
Domain-0                                     0   400     1     r-----     399.0 00000000-0000-0000-0000-000000000000        -                -
v5--incoming                                 4    40     1     --p---       0.0 00000005-6465-806d-806f-000000000000        -                -
v6                                           5    40     1     -b----      84.9 00000006-6465-806d-806f-000000000000        -                -

host                   : xen2
nr_cpus                : 1
total_memory           : 1023
free_memory            : 370
outstanding_claims     : 0

2026-11-23T17:00:00Z  WARN s_core_agent::ends: arriving for longer than a migration may take domain=v5--incoming uuid=00000005-6465-806d-806f-000000000000
2026-11-23T17:00:01Z  WARN s_core_agent::ends: it should have moved; look with `xl list -v` on both hosts where its domain is vm=10.77.1.7 target=192.168.77.1 why=\"no answer\"
2026-11-23T17:00:02Z  WARN s_core_agent::driver: the migration did not end as it should vm=10.77.1.6 target=192.168.77.1 outcome=StayedHere why=\"killed\"
2026-11-23T17:00:03Z  WARN s_core_agent::driver: the migration did not end as it should vm=10.77.1.4 target=192.168.77.1 outcome=Unknown why=\"killed\"
2026-11-23T17:00:04Z  WARN s_core_agent::journal: its server does not take the token; it is passed over vm=10.77.1.3 server=192.168.77.1 why=NotFound
";

    #[test]
    fn a_host_is_read() {
        let plan = Plan::new("demo".parse().unwrap(), Size::default()).unwrap();
        let layout = plan.layout();
        let seen = parse(layout, ANSWER).unwrap();
        assert_eq!(seen.memory_mib(), 450);
        let domains = seen.domains.iter();
        let domains: Vec<_> = domains
            .map(|of| (of.vm.unwrap().0, of.state, of.runs()))
            .collect();
        let [paused, runnable] = [DomainState::Paused, DomainState::Runnable];
        assert_eq!(domains, [(5, paused, false), (6, runnable, true)]);
        let tells = [3, 4, 5, 6, 7].map(|vm| {
            let vm = VmNumber(vm);
            seen.tells_of(layout.vm_uuid(vm), layout.vm(vm))
        });
        assert_eq!(tells, [false, true, true, false, true]);
        assert!(seen.has_vms());
        for (damaged, says) in [
            (ANSWER.replace("\n\n", "\n"), "xl list"),
            (ANSWER.replace("free_memory", "memory"), "free_memory"),
            (String::new(), "xl list"),
        ] {
            assert!(parse(layout, &damaged).is_err(), "{says}");
        }
    }

    #[test]
    fn agents_say_it_in_these_words() {
        let [ends, driver] = [
            include_str!("../../../s-core-agent/src/ends.rs"),
            include_str!("../../../s-core-agent/src/driver.rs"),
        ];
        let said = |of: &str| of.split_once(": ").unwrap().1.to_owned();
        for doubt in DOUBTS {
            assert!(ends.contains(&said(doubt)), "{doubt}");
        }
        assert!(driver.contains(&said(NOT_MOVED)));
        assert!(driver.contains("Outcome::Unknown, Some(why)"));
    }

    #[test]
    fn only_what_was_said_since_counts() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let script = "for ago in 100 20 10; do date -u -d \"@$(($(date +%s) - $ago))\" +\"%Y-%m-%dT%H:%M:%S.5Z  WARN ${ago}s ago\"; done";
        let shell = |script: &str| {
            let output = Command::new("sh").args(["-c", script]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        std::fs::write(&log, shell(script)).unwrap();
        let check = |seconds, wanted: &[&str]| {
            let script = warnings_script(Duration::from_secs(seconds));
            let said = shell(&script.replace(LOG, &log.display().to_string()));
            let words: Vec<_> = said.lines().map(|line| line.split(' ').nth(3)).collect();
            let wanted: Vec<_> = wanted.iter().map(|word| Some(*word)).collect();
            assert_eq!(words, wanted, "{said}");
        };
        check(1, &[]);
        check(60, &["20s", "10s"]);
        check(3600, &["100s", "20s", "10s"]);
    }
}
