//! What a testbed does right now.

use std::thread;
use std::time::Duration;

use s_core_backend::Uuid;
use s_core_backend::xl::parse_list;
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
    /// Its memory in MiB.
    pub memory_mib: u32,
    /// Which VM it is, by its UUID.
    pub vm: Option<VmNumber>,
    /// The port of the host's bridge that leads to it.
    pub port: Option<String>,
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
