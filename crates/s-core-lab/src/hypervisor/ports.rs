//! One host's end of its VMs' interfaces: where they are, and whether they are ports of the bridge.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use s_core_backend::{Domain, Uuid};
use serde::Deserialize;

use super::announce::gratuitous_arp;
use crate::error::LabError;
use crate::layout::{HostNumber, Layout, VmNumber};
use crate::system::{run, run_within};

/// The interfaces of one host.
#[derive(Debug)]
pub(super) struct Ports {
    layout: Layout,
    host: HostNumber,
    /// The list of interfaces that the kernel shows of a thread in the host's namespace.
    interfaces: PathBuf,
}

impl Ports {
    /// Of this host; `interfaces` is the `net/dev` of a thread in its namespace, which goes on running.
    pub(super) fn new(layout: Layout, host: HostNumber, interfaces: PathBuf) -> Self {
        Self {
            layout,
            host,
            interfaces,
        }
    }

    /// The VMs whose interface is in this host's namespace: those whose home is here.
    pub(super) fn here(&self) -> Result<BTreeSet<VmNumber>, LabError> {
        let read = fs::read_to_string(&self.interfaces);
        let text = read.map_err(|source| LabError::File {
            path: self.interfaces.clone(),
            source,
        })?;
        Ok(vms_of(&self.layout, &text))
    }

    /// The VMs that the switch's database lists.
    pub(super) fn listed(&self, deadline: Duration) -> Result<Vec<Domain>, LabError> {
        let mut command = self.vsctl(deadline);
        command.args(["--format=json", "--columns=name,external_ids"]);
        let said = run(command.args(["list", "Interface"]))?;
        domains_of(&self.layout, &said).map_err(|problem| LabError::Content {
            path: self.database(),
            problem,
        })
    }

    /// The VMs that are connected: their interface is a port of the bridge, and up.
    pub(super) fn connected(&self, deadline: Duration) -> Result<BTreeSet<VmNumber>, LabError> {
        let mut command = Command::new("ip");
        let namespace = self.layout.host_namespace(self.host);
        command.args(["-n", &namespace, "-o", "link", "show", "up", "type", "veth"]);
        let up = vms_of(&self.layout, &run_within(&mut command, deadline)?);
        let listed = self.listed(deadline)?;
        let listed = listed
            .iter()
            .filter_map(|domain| self.layout.vm_with_uuid(domain.uuid));
        Ok(listed.filter(|vm| up.contains(vm)).collect())
    }

    /// Connects a VM whose interface is here, whatever was done of it before, and announces it.
    pub(super) fn attach(&self, vm: VmNumber, deadline: Duration) -> Result<(), LabError> {
        let vif = self.layout.vif(vm);
        self.ip(&["link", "set", &vif, "up"], deadline)?;
        let mut command = self.vsctl(deadline);
        command.args(["--may-exist", "add-port", self.layout.bridge(), &vif]);
        command.args(["--", "set", "Interface", &vif]);
        for (key, value) in self.layout.external_ids(vm) {
            // Quoted: a MAC address has colons.
            command.arg(format!("external_ids:{key}=\"{value}\""));
        }
        run(&mut command)?;
        self.announce(vm, deadline)
    }

    /// Takes a VM's interface off the bridge, so that nothing reaches the VM and nothing leaves it.
    pub(super) fn detach(&self, vm: VmNumber, deadline: Duration) -> Result<(), LabError> {
        let mut command = self.vsctl(deadline);
        command.args(["--if-exists", "del-port", self.layout.bridge()]);
        run(command.arg(self.layout.vif(vm))).map(drop)
    }

    /// Moves a VM's interface to another host's namespace. The kernel does it whole or not at all.
    /// An error does not say which.
    pub(super) fn give(
        &self,
        vm: VmNumber,
        target: HostNumber,
        deadline: Duration,
    ) -> Result<(), LabError> {
        let target = self.layout.host_namespace(target);
        let vif = self.layout.vif(vm);
        self.ip(&["link", "set", &vif, "netns", &target], deadline)
    }

    /// Sends a gratuitous ARP request, as if it came from the VM, so that all switches learn where its MAC address is now.
    pub(super) fn announce(&self, vm: VmNumber, deadline: Duration) -> Result<(), LabError> {
        let frame = gratuitous_arp(self.layout.mac(vm), self.layout.vm(vm).into());
        let octets = frame.iter().map(|octet| format!("{octet:02x}"));
        let octets = octets.collect::<String>();
        let bridge = format!("{}.mgmt", self.layout.bridge());
        let bridge = self.layout.host_directory(self.host).join(bridge);
        let mut command = Command::new("ovs-ofctl");
        command.arg(timeout(deadline)).arg("packet-out");
        command.arg(format!("unix:{}", bridge.display()));
        let vif = self.layout.vif(vm);
        command.arg(format!("in_port={vif},packet={octets},actions=NORMAL"));
        run(&mut command).map(drop)
    }

    fn ip(&self, arguments: &[&str], deadline: Duration) -> Result<(), LabError> {
        let mut command = Command::new("ip");
        command.args(["-n", &self.layout.host_namespace(self.host)]);
        run_within(command.args(arguments), deadline).map(drop)
    }

    fn database(&self) -> PathBuf {
        self.layout.host_directory(self.host).join("db.sock")
    }

    fn vsctl(&self, deadline: Duration) -> Command {
        let mut command = Command::new("ovs-vsctl");
        command.arg(format!("--db=unix:{}", self.database().display()));
        command.arg(timeout(deadline));
        command
    }
}

/// The option of the programs of Open vSwitch: whole seconds, and 0 means no limit.
fn timeout(deadline: Duration) -> String {
    let seconds = deadline.as_millis().div_ceil(1000).max(1);
    format!("--timeout={seconds}")
}

/// The VMs whose interfaces are in a list that has each on a line of its own, as `NAME:` or `NAME@PEER:`.
fn vms_of(layout: &Layout, text: &str) -> BTreeSet<VmNumber> {
    let words = text.split_whitespace();
    let names = words.filter_map(|word| word.split([':', '@']).next());
    names.filter_map(|name| layout.vm_with_vif(name)).collect()
}

/// What `ovs-vsctl --format=json --columns=name,external_ids list Interface` says of VMs.
fn domains_of(layout: &Layout, text: &str) -> Result<Vec<Domain>, String> {
    type Pairs = (String, Vec<(String, String)>);
    #[derive(Deserialize)]
    struct Table {
        data: Vec<(String, Pairs)>,
    }

    let table: Table =
        serde_json::from_str(text).map_err(|error| format!("its interfaces: {error}"))?;
    let mut domains = Vec::new();
    for (interface, (_, pairs)) in table.data {
        let value = |wanted: &str| {
            let mut pairs = pairs.iter();
            pairs.find_map(|(key, value)| (key == wanted).then_some(value.as_str()))
        };
        let Some(uuid) = value("vm-uuid") else {
            continue;
        };
        let wrong = |key: &str| format!("{interface}: external_ids:{key} is not what `up` wrote");
        let uuid: Uuid = uuid.parse().map_err(|_| wrong("vm-uuid"))?;
        let vm = layout.vm_with_uuid(uuid).ok_or_else(|| wrong("vm-uuid"))?;
        let mac = value("attached-mac").and_then(|mac| mac.parse().ok());
        let memory = value("s-core-memory-mib").and_then(|memory| memory.parse().ok());
        domains.push(Domain {
            uuid,
            name: format!("vm{}", vm.0),
            macs: vec![mac.ok_or_else(|| wrong("attached-mac"))?],
            address: Some(layout.vm(vm).into()),
            memory_mib: memory.ok_or_else(|| wrong("s-core-memory-mib"))?,
        });
    }
    domains.sort_by_key(|domain| domain.uuid);
    Ok(domains)
}

/// A VM as the layout has it.
pub(super) fn domain(layout: &Layout, vm: VmNumber) -> Domain {
    Domain {
        uuid: layout.vm_uuid(vm),
        name: format!("vm{}", vm.0),
        macs: vec![layout.mac(vm)],
        address: Some(layout.vm(vm).into()),
        memory_mib: layout.shape().vm_memory_mib,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;
    use crate::layout::LabName;

    fn layout() -> Layout {
        Layout::new(LabName::default(), Shape::default()).unwrap()
    }

    /// Recorded from the kernel and from `ip`, shortened.
    #[test]
    fn interfaces_of_vms_are_found_in_both_lists() {
        let check = |text: &str, vms: &[u32]| {
            let found: Vec<_> = vms_of(&layout(), text).iter().map(|vm| vm.0).collect();
            assert_eq!(found, vms);
        };
        let kernel = "Inter-|   Receive\n face |bytes    packets errs\n    lo:       0       0    0\n\
                      vif16.0:    5420      66    0\nvif3.0:12345678      66    0\n   up0:    1016      12    0\n";
        check(kernel, &[3, 16]);
        let ip = "5: vif7.0@if2: <BROADCAST,MULTICAST,UP> mtu 1500 \\    link/ether 3a:3d:fc:63:7d:fb brd ff:ff:ff:ff:ff:ff\n";
        check(ip, &[7]);
        check("vif17.0: vif0.0: xvif1.0: vif1.0x: vif", &[]);
    }

    #[test]
    fn the_database_lists_vms_whole_or_not_at_all() {
        let row = |interface: &str, pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = (pairs.iter())
                .map(|(key, value)| format!(r#"["{key}","{value}"]"#))
                .collect();
            format!(r#"["{interface}",["map",[{}]]]"#, pairs.join(","))
        };
        let table = |rows: &[String]| {
            let rows = rows.join(",");
            format!(r#"{{"data":[{rows}],"headings":["name","external_ids"]}}"#)
        };
        let layout = layout();
        let ids = layout.external_ids(VmNumber(2));
        let ids = ids.each_ref().map(|(key, value)| (*key, value.as_str()));
        let said = table(&[row("br0", &[]), row("vif2.0", &ids)]);
        let domains = domains_of(&layout, &said);
        assert_eq!(domains, Ok(vec![domain(&layout, VmNumber(2))]));
        let check = |change: usize, to: &str, key: &str| {
            let mut wrong = ids;
            wrong[change].1 = to;
            let refused = domains_of(&layout, &table(&[row("vif2.0", &wrong)]));
            let says = format!("vif2.0: external_ids:{key} is not what `up` wrote");
            assert_eq!(refused, Err(says));
        };
        check(0, "02:77", "attached-mac");
        check(2, "00000011-6c61-8062-8000-000000000000", "vm-uuid");
        check(3, "-1", "s-core-memory-mib");
        assert!(domains_of(&layout, "{").is_err());
    }
}
