//! What must hold after a fault, and whether it does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use s_core_backend::Uuid;
use s_core_backend::xl::DomainState;
use s_core_lab::{HostNumber, VmNumber};
use s_core_model::VmId;

use super::observe::HostSeen;

/// How much less memory may be free than before, in MiB: what the hypervisor keeps for a domain.
const ROUNDING: u64 = 8;

/// What the testbed shows after a fault.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Observation {
    /// All hosts, by number; those that do not answer are left out.
    pub(super) hosts: BTreeMap<HostNumber, HostSeen>,
    /// How long after the fault the token came to each host first.
    pub(super) token: BTreeMap<HostNumber, Duration>,
    /// Whether a VM has migrated since.
    pub(super) migrated: bool,
    /// The hosts whose agents have said that they run anew.
    pub(super) returned: BTreeSet<HostNumber>,
}

/// What it is measured by.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Terms {
    /// All VMs, with their UUIDs and addresses.
    pub(super) vms: BTreeMap<VmNumber, (Uuid, VmId)>,
    /// The VMs that may be gone, with their host or because they were destroyed.
    pub(super) may_be_gone: Vec<VmNumber>,
    /// What each host's free memory and that of its domains were together before, in MiB.
    pub(super) memory: BTreeMap<HostNumber, u64>,
    /// Whether some VM is to migrate once the fault is over, unless it has before.
    pub(super) migrates: bool,
    /// The host whose agent is to run anew.
    pub(super) restarts: Option<HostNumber>,
    /// How long the token may stay away.
    pub(super) bound: Duration,
}

/// Something that must hold, and does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The fault could not be made.
    NotMade(String),
    /// A host does not answer.
    Silent(HostNumber),
    /// A VM runs more than once.
    Twice(VmNumber, Vec<HostNumber>),
    /// A VM runs nowhere, and no agent says so.
    Lost(VmNumber),
    /// A domain is left half migrated, and either the VM runs elsewhere, so that the agents could have removed it, or none of
    /// them tells of it.
    Left(HostNumber, String),
    /// Memory of a host belongs to nobody, in MiB, or is still claimed.
    Memory(HostNumber, u64),
    /// Nothing migrates any more though the fault is over: what was kept for the migration may still be.
    NoRoom,
    /// The agent that was killed, or whose host was, does not run again.
    NoAgent(HostNumber),
    /// The token did not come in time to this host, which has VMs.
    Token(HostNumber, Option<Duration>),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMade(why) => write!(f, "not made: {why}"),
            Self::Silent(host) => write!(f, "host {} does not answer", host.0),
            Self::Twice(vm, hosts) => {
                let hosts: Vec<_> = hosts.iter().map(|host| host.0.to_string()).collect();
                write!(f, "v{} runs on hosts {}", vm.0, hosts.join(" and "))
            }
            Self::Lost(vm) => write!(f, "v{} runs nowhere, and no agent says so", vm.0),
            Self::Left(host, name) => write!(f, "{name} is left on host {}", host.0),
            Self::Memory(host, mib) => write!(f, "host {} misses {mib} MiB", host.0),
            Self::NoRoom => f.write_str("nothing migrates although the fault is over"),
            Self::NoAgent(host) => write!(f, "the agent of host {} has not come back", host.0),
            Self::Token(host, None) => write!(f, "no token at host {}", host.0),
            Self::Token(host, Some(after)) => {
                write!(
                    f,
                    "the token came to host {} after {:.0} s",
                    host.0,
                    after.as_secs_f64()
                )
            }
        }
    }
}

/// What does not hold; nothing if all does.
pub(super) fn judge(seen: &Observation, terms: &Terms) -> Vec<Broken> {
    let mut broken = Vec::new();
    let silent = terms
        .memory
        .keys()
        .filter(|host| !seen.hosts.contains_key(host));
    broken.extend(silent.map(|host| Broken::Silent(*host)));
    for vm in terms.vms.keys() {
        broken.extend(look_for(seen, terms, *vm));
    }
    for (host, of) in &seen.hosts {
        let before = terms.memory.get(host).copied().unwrap_or_default();
        let missing = before.saturating_sub(of.memory_mib() + ROUNDING) + of.claimed_mib;
        if missing > 0 {
            broken.push(Broken::Memory(*host, missing));
        }
        let came = seen.token.get(host).copied();
        if of.has_vms() && came.is_none_or(|came| came > terms.bound) {
            broken.push(Broken::Token(*host, came));
        }
    }
    if terms.migrates && !seen.migrated {
        broken.push(Broken::NoRoom);
    }
    let missing = terms.restarts.filter(|host| !seen.returned.contains(host));
    broken.extend(missing.map(Broken::NoAgent));
    broken
}

/// Whether a VM runs as often as it should, and what is left of it is either told or needed.
fn look_for(seen: &Observation, terms: &Terms, vm: VmNumber) -> Vec<Broken> {
    let domains = seen.hosts.iter().flat_map(|(host, of)| {
        let domains = of.domains.iter().filter(|domain| domain.vm == Some(vm));
        domains.map(|domain| (*host, domain))
    });
    let (homes, left): (Vec<_>, Vec<_>) = domains
        .filter(|(_, domain)| domain.state != DomainState::Dying)
        .partition(|(_, domain)| domain.runs());
    let told = terms.vms.get(&vm).is_some_and(|(uuid, address)| {
        let mut hosts = seen.hosts.values();
        hosts.any(|of| of.tells_of(*uuid, *address))
    });
    let mut broken = Vec::new();
    if homes.len() > 1 {
        let hosts = homes.iter().map(|(host, _)| *host).collect();
        broken.push(Broken::Twice(vm, hosts));
    }
    if homes.is_empty() && !told && !terms.may_be_gone.contains(&vm) {
        broken.push(Broken::Lost(vm));
    }
    let could_be_removed = homes.len() == 1;
    for (host, domain) in left {
        if could_be_removed || !told {
            broken.push(Broken::Left(host, domain.name.clone()));
        }
    }
    broken
}

#[cfg(test)]
mod tests;
