//! `xen-lab status`.

use comfy_table::Table;
use s_core_examples::Failure;
use s_core_examples::cli::{print, si, table};
use s_core_lab::LabName;
use s_core_xen_lab::{DomainStatus, HostStatus, Status};
use serde_json::{Value, json};

use crate::args::StatusArgs;

/// Prints what a testbed does.
pub(crate) fn status(name: &LabName, args: StatusArgs) -> Result<(), Failure> {
    let status = s_core_xen_lab::status(name)?;
    if args.json {
        return print(&format!("{:#}\n", to_json(&status)));
    }
    let tables = [hosts(&status), domains(&status), links(&status)];
    let mut text = tables.map(|table| table.trim_fmt()).join("\n\n");
    for host in &status.hosts {
        if let Err(error) = &host.domains {
            text += &format!("\n\n{}: {error}", status.plan.host_name(host.host));
        }
    }
    print(&format!("{}\n", text.trim_end()))
}

fn hosts(status: &Status) -> Table {
    let mut rows = table(&[
        "host",
        "address",
        "VMs' network",
        "location",
        "emulator",
        ">domUs",
    ]);
    let layout = status.plan.layout();
    for host in &status.hosts {
        rows.add_row([
            status.plan.host_name(host.host),
            layout.server(host.host).to_string(),
            layout.fabric_address(host.host).to_string(),
            layout.location(host.host),
            emulator(host).to_owned(),
            host.domains
                .as_ref()
                .map_or("?".into(), |domains| domains.len().to_string()),
        ]);
    }
    rows
}

fn emulator(host: &HostStatus) -> &str {
    host.emulator.as_ref().map_or("ended", String::as_str)
}

fn domains(status: &Status) -> Table {
    let mut rows = table(&["domU", "address", "host", ">number", "port", ">MiB"]);
    for host in &status.hosts {
        for domain in host.domains.iter().flatten() {
            rows.add_row([
                domain.name.clone(),
                address(status, domain).unwrap_or("?".into()),
                status.plan.host_name(host.host),
                domain.domid.to_string(),
                domain.port.clone().unwrap_or("none".into()),
                domain.memory_mib.to_string(),
            ]);
        }
    }
    rows
}

fn address(status: &Status, domain: &DomainStatus) -> Option<String> {
    domain.vm.map(|vm| status.plan.layout().vm(vm).to_string())
}

fn links(status: &Status) -> Table {
    let mut rows = table(&["link", "between", ">Mbit/s", ">bytes up", ">bytes down"]);
    for link in &status.links {
        let [lower, upper] = status.plan.layout().ends(link.link);
        rows.add_row([
            format!("{}.{}", link.link.level, link.link.number),
            format!("{lower} and {upper}"),
            format!("{:.1}", link.mbit),
            si(link.counters.up as f64),
            si(link.counters.down as f64),
        ]);
    }
    rows
}

fn to_json(status: &Status) -> Value {
    let (plan, layout) = (&status.plan, status.plan.layout());
    let domain = |domain: &DomainStatus| {
        json!({
            "name": domain.name,
            "domid": domain.domid,
            "memory_mib": domain.memory_mib,
            "vm": address(status, domain),
            "port": domain.port,
        })
    };
    let hosts = status.hosts.iter().map(|host| {
        let domains = host.domains.iter().flatten().map(domain);
        json!({
            "name": plan.host_name(host.host),
            "server": layout.server(host.host).to_string(),
            "fabric_address": layout.fabric_address(host.host).to_string(),
            "location": layout.location(host.host),
            "emulator": emulator(host),
            "domains": domains.collect::<Vec<_>>(),
            "error": host.domains.as_ref().err().map(ToString::to_string),
        })
    });
    let links = status.links.iter().map(|link| {
        json!({
            "level": link.link.level,
            "ends": layout.ends(link.link),
            "mbit": link.mbit,
            "bytes_up": link.counters.up,
            "bytes_down": link.counters.down,
        })
    });
    json!({
        "name": layout.name().as_str(),
        "hosts": hosts.collect::<Vec<_>>(),
        "links": links.collect::<Vec<_>>(),
    })
}
