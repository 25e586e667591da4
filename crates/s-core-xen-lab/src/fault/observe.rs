//! What a host shows of its domains, its memory, and its agent's doubts.

use s_core_backend::Uuid;
use s_core_backend::xl::{DomainState, parse_info, parse_list};
use s_core_lab::{Layout, VmNumber};
use s_core_model::VmId;

use crate::run::configuration::LOG;

/// How many of the agent's last warnings are looked at.
const WARNINGS: u32 = 60;

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
        let half_migrated = ["--incoming", "--migratedaway"]
            .iter()
            .any(|suffix| self.name.ends_with(suffix));
        self.state == DomainState::Runnable && !half_migrated
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

    /// Whether the agent warns of this VM, by the UUID of its domain or by its address.
    pub(super) fn tells_of(&self, uuid: Uuid, vm: VmId) -> bool {
        let names = [format!("uuid={uuid}"), format!("vm={vm}")];
        let words = self.warnings.iter().flat_map(|line| line.split(' '));
        let mut words = words.map(|word| word.trim_end_matches(','));
        words.any(|word| names.iter().any(|name| name == word))
    }
}

/// Asks a control domain for all that, with an empty line between the parts.
pub(super) fn script() -> String {
    format!(
        "xl list -v && echo && xl info && echo && \
         {{ grep -e ' WARN ' -e ' ERROR ' {LOG} 2>/dev/null | tail -n {WARNINGS}; true; }}"
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
2026-11-23T17:00:01Z  WARN s_core_agent::ends: it should have moved vm=10.77.1.7 target=192.168.77.1
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
        let tells = [5, 6, 7].map(|vm| {
            let vm = VmNumber(vm);
            seen.tells_of(layout.vm_uuid(vm), layout.vm(vm))
        });
        assert_eq!(tells, [true, false, true]);
        assert!(seen.has_vms());
        for (damaged, says) in [
            (ANSWER.replace("\n\n", "\n"), "xl list"),
            (ANSWER.replace("free_memory", "memory"), "free_memory"),
            (String::new(), "xl list"),
        ] {
            assert!(parse(layout, &damaged).is_err(), "{says}");
        }
    }
}
