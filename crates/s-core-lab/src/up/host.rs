//! One host and the VMs that it begins with.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::error::LabError;
use crate::layout::{HostNumber, Layout, VmNumber};
use crate::{namespace, switch, system};

/// How many VMs one call of `ovs-vsctl` makes known.
const VMS_PER_CALL: usize = 100;

/// Makes a host and its VMs; its uplink is there. The calling thread ends up in one of their namespaces.
pub(super) fn make(layout: &Layout, host: HostNumber) -> Result<(), LabError> {
    let namespace = layout.host_namespace(host);
    let vms: Vec<_> = (layout.vms().filter(|vm| layout.first_host(*vm) == host)).collect();
    let names: Vec<_> = vms.iter().map(|vm| layout.vm_namespace(*vm)).collect();
    namespace::make(&namespace, &names)?;
    namespace::enter(&namespace)?;
    // The kernel sees the frames on the bridge's ports too, and must not answer for the bridge.
    set("/proc/sys/net/ipv4/conf/all/arp_ignore", "1")?;
    for vm in &vms {
        namespace::enter(&layout.vm_namespace(*vm))?;
        no_ipv6()?;
    }
    system::ip_batch(&namespace, &interfaces(layout, host, &vms))?;
    for vm in &vms {
        start_vm(layout, *vm)?;
    }
    switch::start_database(layout, host)?;
    let bridge = bridge_commands(layout, host);
    system::run(&mut vsctl(layout, host, &bridge))?;
    for vms in vms.chunks(VMS_PER_CALL) {
        let ports: Vec<_> = vms
            .iter()
            .flat_map(|vm| port_commands(layout, *vm))
            .collect();
        system::run(&mut vsctl(layout, host, &ports))?;
    }
    switch::start(layout, host)?;
    super::shape_uplink(layout, host)
}

/// Commands of `ip` in the host's namespace.
fn interfaces(layout: &Layout, host: HostNumber, vms: &[VmNumber]) -> Vec<String> {
    let mut lines = vec![
        "link set lo up".to_owned(),
        format!("link set {} up", layout.uplink()),
    ];
    if layout.shape().management {
        let (address, port) = (layout.management_address(host), layout.management_port());
        lines.push(format!("addr add {address}/24 dev {port}"));
        lines.push(format!("link set {port} up"));
    }
    for vm in vms {
        let (vif, mac, namespace) = (layout.vif(*vm), layout.mac(*vm), layout.vm_namespace(*vm));
        lines.push(format!(
            "link add {vif} up type veth peer name eth0 address {mac} netns {namespace}"
        ));
    }
    lines
}

fn start_vm(layout: &Layout, vm: VmNumber) -> Result<(), LabError> {
    let namespace = layout.vm_namespace(vm);
    let lines = [
        "link set lo up".to_owned(),
        format!("addr add {}/16 dev eth0", layout.vm(vm)),
        "link set eth0 up".to_owned(),
    ];
    system::ip_batch(&namespace, &lines)?;
    namespace::enter(&namespace)?;
    // Without this the userspace datapath passes on TCP segments without checksum.
    system::run(Command::new("ethtool").args(["-K", "eth0", "tx", "off"])).map(drop)
}

/// A call of `ovs-vsctl` before the switch runs, which then finds all done at once.
fn vsctl(layout: &Layout, host: HostNumber, words: &[String]) -> Command {
    let mut command = switch::vsctl(layout, host);
    command.arg("--no-wait").args(words);
    command
}

fn bridge_commands(layout: &Layout, host: HostNumber) -> Vec<String> {
    let (bridge, uplink) = (layout.bridge(), layout.uplink());
    let mac = layout.bridge_mac(host);
    let words = format!(
        "set Open_vSwitch . other_config:n-handler-threads=1 other_config:n-revalidator-threads=1 \
         -- add-br {bridge} \
         -- set bridge {bridge} datapath_type=netdev fail_mode=standalone other_config:hwaddr=\"{mac}\" \
         -- add-port {bridge} {uplink} \
         -- --id=@noop create qos type=linux-noop -- set port {uplink} qos=@noop"
    );
    // Without linux-noop the switch takes away what shapes the uplink.
    words.split(' ').map(str::to_owned).collect()
}

fn port_commands(layout: &Layout, vm: VmNumber) -> Vec<String> {
    let vif = layout.vif(vm);
    let words = format!(
        "-- add-port {} {vif} -- set interface {vif}",
        layout.bridge()
    );
    let ids = layout.external_ids(vm);
    let ids = ids.map(|(key, value)| format!("external_ids:{key}=\"{value}\""));
    words.split(' ').map(str::to_owned).chain(ids).collect()
}

/// What the interfaces of the calling thread's namespace say by themselves would count as traffic.
pub(super) fn no_ipv6() -> Result<(), LabError> {
    for whose in ["all", "default"] {
        let file = format!("/proc/sys/net/ipv6/conf/{whose}/disable_ipv6");
        if Path::new(&file).exists() {
            set(&file, "1")?;
        }
    }
    Ok(())
}

fn set(file: &str, value: &str) -> Result<(), LabError> {
    let error = |source: io::Error| LabError::File {
        path: file.into(),
        source,
    };
    fs::write(file, value).map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    #[test]
    fn commands_of_a_host() {
        let shape = Shape {
            management: true,
            ..Shape::default()
        };
        let layout = Layout::new("demo".parse().unwrap(), shape).unwrap();
        assert_eq!(
            interfaces(&layout, HostNumber(2), &[VmNumber(5)]),
            [
                "link set lo up",
                "link set up0 up",
                "addr add 192.168.77.2/24 dev mgmt0",
                "link set mgmt0 up",
                "link add vif5.0 up type veth peer name eth0 address 02:77:00:00:00:05 netns score-demo-v5",
            ]
        );
        assert_eq!(
            port_commands(&layout, VmNumber(5)).join(" "),
            "-- add-port br0 vif5.0 -- set interface vif5.0 \
             external_ids:attached-mac=\"02:77:00:00:00:05\" \
             external_ids:iface-id=\"00000005-6465-806d-806f-000000000000\" \
             external_ids:vm-uuid=\"00000005-6465-806d-806f-000000000000\" \
             external_ids:s-core-memory-mib=\"16\""
        );
        let bridge = bridge_commands(&layout, HostNumber(2)).join(" ");
        assert!(
            bridge.contains("other_config:hwaddr=\"02:77:01:00:00:02\""),
            "{bridge}"
        );
    }
}
