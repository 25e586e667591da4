//! What a testbed does right now.

use std::thread;
use std::time::Duration;

use s_core_backend::Uuid;
use s_core_backend::xl::{DomainState, parse_list};
use s_core_lab::{HostNumber, LabError, LabName, LinkStatus, VmNumber, link_counters, privilege};
use serde_json::Value;

use crate::plan::Plan;
use crate::qmp::Qmp;
use crate::record;
use crate::ssh::Remote;

/// How long a host may take to answer.
const ANSWER: Duration = Duration::from_secs(90);
/// Asks a control domain for its domains, and for the ports of its switch, with a line between them.
const SCRIPT: &str =
    "xl list -v && echo && ovs-vsctl --format=json --columns=name,external_ids list interface";

/// A domain that is not a control domain.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainStatus {
    /// What the host calls it.
    pub name: String,
    /// Its number on this host.
    pub domid: u32,
    /// What it does.
    pub state: DomainState,
    /// Its memory in MiB.
    pub memory_mib: u32,
    /// Which VM it is, by its UUID.
    pub vm: Option<VmNumber>,
    /// The port of the host's bridge that leads to it.
    pub port: Option<String>,
}

impl DomainStatus {
    /// Whether it is the VM itself, and not what a migration has left or has not finished.
    pub fn runs(&self) -> bool {
        runs(&self.name, self.state)
    }
}

/// Whether a domain of this name is a VM itself, and not what a migration has left or has not finished.
pub(crate) fn runs(name: &str, state: DomainState) -> bool {
    let half_migrated = ["--incoming", "--migratedaway"]
        .iter()
        .any(|suffix| name.ends_with(suffix));
    state == DomainState::Runnable && !half_migrated
}

/// What a host does.
#[derive(Debug)]
pub struct HostStatus {
    /// Which host.
    pub host: HostNumber,
    /// What its emulator says of it, like `running`; the error if it does not say anything.
    pub emulator: Result<String, LabError>,
    /// Its VMs, by domain number; the error if the control domain does not tell.
    pub domains: Result<Vec<DomainStatus>, LabError>,
}

/// What a testbed does.
#[derive(Debug)]
pub struct Status {
    /// What it is made of.
    pub plan: Plan,
    /// All hosts, by number.
    pub hosts: Vec<HostStatus>,
    /// All links between switches, by level and number.
    pub links: Vec<LinkStatus>,
}

/// What the testbed of this name does right now.
///
/// # Errors
///
/// [`LabError::Missing`] without root, [`LabError::Unknown`] if there is no such testbed, any other if its switches are damaged.
pub fn status(name: &LabName) -> Result<Status, LabError> {
    privilege()?;
    let (plan, image) = record::load(name)?;
    let counters = link_counters(plan.layout())?.into_iter();
    let links = counters.map(|(link, counters)| LinkStatus {
        link,
        mbit: plan.layout().link_mbit(link.level),
        counters,
    });
    let links = links.collect();
    let remote = Remote::new(plan.clone(), image);
    let hosts = thread::scope(|scope| {
        let hosts = plan.layout().hosts();
        let asked: Vec<_> = hosts
            .map(|host| {
                scope.spawn({
                    let remote = &remote;
                    move || host_status(remote, host)
                })
            })
            .collect();
        let told = asked
            .into_iter()
            .map(|host| host.join().expect("asking a host does not panic"));
        told.collect()
    });
    Ok(Status { plan, hosts, links })
}

fn host_status(remote: &Remote, host: HostNumber) -> HostStatus {
    let plan = remote.plan();
    let emulator = Qmp::connect(&plan.host_file(host, "qmp.sock")).and_then(|mut qmp| qmp.state());
    let domains = match &emulator {
        Ok(_) => remote.run(host, SCRIPT, "", ANSWER).and_then(|text| {
            domains(plan, &text).map_err(|problem| LabError::Content {
                path: plan.layout().host_directory(host),
                problem,
            })
        }),
        Err(_) => Err(LabError::Missing(format!(
            "{} does not run",
            plan.host_name(host)
        ))),
    };
    HostStatus {
        host,
        emulator,
        domains,
    }
}

/// Domains, from what [`SCRIPT`] prints.
fn domains(plan: &Plan, text: &str) -> Result<Vec<DomainStatus>, String> {
    let (list, interfaces) = text
        .split_once("\n\n")
        .ok_or("the host's answer has one part, not two")?;
    let list = parse_list(list).map_err(|error| error.to_string())?;
    let interfaces = ports(interfaces)?;
    let port = |uuid: Uuid| {
        let found = interfaces.iter().find(|(_, of)| *of == uuid);
        found.map(|(name, _)| name.clone())
    };
    let others = list.into_iter().filter(|domain| domain.domid != 0);
    let mut domains: Vec<_> = others
        .map(|domain| DomainStatus {
            vm: domain
                .uuid
                .and_then(|uuid| plan.layout().vm_with_uuid(uuid)),
            port: domain.uuid.and_then(port),
            name: domain.name,
            domid: domain.domid,
            state: domain.state,
            memory_mib: domain.memory_mib,
        })
        .collect();
    domains.sort_by_key(|domain| domain.domid);
    Ok(domains)
}

/// Interfaces that lead to VMs, with the VM's UUID, from a JSON table of `ovs-vsctl` with columns name and `external_ids`.
fn ports(table: &str) -> Result<Vec<(String, Uuid)>, String> {
    let table: Value =
        serde_json::from_str(table).map_err(|error| format!("ovs-vsctl: {error}"))?;
    let rows = table
        .get("data")
        .and_then(Value::as_array)
        .ok_or("ovs-vsctl: no data")?;
    let port = |row: &Value| {
        let name = row.get(0)?.as_str()?;
        let ids = row.get(1)?.get(1)?.as_array()?;
        let uuid = ids
            .iter()
            .find(|pair| pair.get(0).is_some_and(|key| key == "xen-vm-uuid"))?;
        Some((name.to_owned(), uuid.get(1)?.as_str()?.parse().ok()?))
    };
    Ok(rows.iter().filter_map(port).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Size;

    /// Of a real host, but for the UUID of the first domain, which is that of a plan's VM 5. The second one has no port, the third
    /// is nobody's and has just come from elsewhere.
    const ANSWER: &str = r#"Name                                        ID   Mem VCPUs	State	Time(s)   UUID                            Reason-Code	Security Label
Domain-0                                     0   400     1     r-----     399.0 00000000-0000-0000-0000-000000000000        -                -
v5                                           1    80     1     -b----     125.8 00000005-6465-806d-806f-000000000000        -                -
v6                                           2    80     1     ------      84.9 00000006-6465-806d-806f-000000000000        -                -
vm1                                          4    80     1     ------      81.4 dee2aba0-dc6d-4283-bd54-ab54af8916e5        -                -

{"data":[["vif1.0",["map",[["attached-mac","00:16:3e:00:01:0c"],["xen-vm-name","v5"],["xen-vm-uuid","00000005-6465-806d-806f-000000000000"]]]],["xenbr0",["map",[]]],["vif4.0",["map",[["attached-mac","00:16:3e:00:01:0b"],["xen-vm-name","vm1--incoming"],["xen-vm-uuid","dee2aba0-dc6d-4283-bd54-ab54af8916e5"]]]]],"headings":["name","external_ids"]}
"#;

    #[test]
    fn domains_are_known_by_their_uuid() {
        let plan = Plan::new("demo".parse().unwrap(), Size::default()).unwrap();
        let found = domains(&plan, ANSWER).unwrap();
        let found: Vec<_> = (found.iter())
            .map(|domain| {
                (
                    domain.name.as_str(),
                    domain.domid,
                    domain.vm.map(|vm| vm.0),
                    domain.port.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("v5", 1, Some(5), Some("vif1.0")),
                ("v6", 2, Some(6), None),
                ("vm1", 4, None, Some("vif4.0")),
            ]
        );
        for (damaged, says) in [
            (ANSWER.replace("\n\n", "\n"), "one part, not two"),
            (ANSWER.replace("\"data\"", "\"rows\""), "no data"),
            (ANSWER.replace("{\"data", "{{"), "ovs-vsctl: "),
        ] {
            let refused = domains(&plan, &damaged).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
    }
}
