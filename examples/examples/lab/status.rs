//! `lab status`.

use comfy_table::Table;
use s_core_examples::Failure;
use s_core_examples::cli::{print, si, table};
use s_core_lab::{DaemonState, HostStatus, LabName, Layout, Status};
use serde_json::{Value, json};

use crate::args::StatusArgs;

/// Prints what a laboratory does.
pub(crate) fn status(name: &LabName, args: StatusArgs) -> Result<(), Failure> {
    let status = s_core_lab::status(name)?;
    if args.json {
        return print(&format!("{:#}\n", to_json(&status)));
    }
    let [hosts, links] = [hosts(&status), links(&status)].map(|table| table.trim_fmt());
    let mut text = format!("{hosts}\n\n{links}\n");
    for host in &status.hosts {
        if let Err(error) = &host.vms {
            text += &format!("\nhost {}: {error}", host.host.0);
        }
    }
    let nowhere = nowhere(&status);
    if !nowhere.is_empty() {
        text += &format!("\nVMs on no host: {}", nowhere.join(" "));
    }
    print(&format!("{}\n", text.trim_end()))
}

fn hosts(status: &Status) -> Table {
    let mut rows = table(&["host", "address", "location", "switch", "database", "VMs"]);
    for host in &status.hosts {
        rows.add_row([
            host.host.0.to_string(),
            status.layout.server(host.host).to_string(),
            status.layout.location(host.host),
            daemon(host.switch),
            daemon(host.database),
            vms(&status.layout, host).join(" "),
        ]);
    }
    rows
}

fn links(status: &Status) -> Table {
    let mut rows = table(&["link", "between", ">Mbit/s", ">bytes up", ">bytes down"]);
    for link in &status.links {
        let [lower, upper] = status.layout.ends(link.link);
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

fn daemon(state: DaemonState) -> String {
    match state {
        DaemonState::Running(pid) => format!("runs ({pid})"),
        DaemonState::Hanging(pid) => format!("hangs ({pid})"),
        DaemonState::Ended => "ended".into(),
    }
}

fn vms(layout: &Layout, host: &HostStatus) -> Vec<String> {
    let vms = host.vms.iter().flatten();
    vms.map(|vm| layout.vm(*vm).to_string()).collect()
}

/// VMs that are no host's; as long as a host does not tell, it may be its.
fn nowhere(status: &Status) -> Vec<String> {
    let somewhere = |vm| {
        let mut hosts = status.hosts.iter();
        hosts.any(|host| host.vms.as_ref().is_ok_and(|vms| vms.contains(&vm)))
    };
    let nowhere = status.layout.vms().filter(|vm| !somewhere(*vm));
    nowhere.map(|vm| status.layout.vm(vm).to_string()).collect()
}

fn to_json(status: &Status) -> Value {
    let layout = &status.layout;
    let daemon = |state| match state {
        DaemonState::Running(pid) => json!({ "state": "running", "pid": pid }),
        DaemonState::Hanging(pid) => json!({ "state": "hanging", "pid": pid }),
        DaemonState::Ended => json!({ "state": "ended" }),
    };
    let hosts = status.hosts.iter().map(|host| {
        let error = host.vms.as_ref().err().map(ToString::to_string);
        json!({
            "server": layout.server(host.host).to_string(),
            "namespace": layout.host_namespace(host.host),
            "location": layout.location(host.host),
            "switch": daemon(host.switch),
            "database": daemon(host.database),
            "vms": vms(layout, host),
            "error": error,
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
