//! The VMs of a host (domUs).

use std::time::Duration;

use s_core_lab::{HostNumber, LabError, VmNumber};

use crate::plan::Plan;
use crate::ssh::Remote;

/// How long the creation of a VM and its start may take together. Four hosts on two busy processors take a minute.
const START: Duration = Duration::from_secs(400);

/// What `xl create` reads.
pub(crate) fn configuration(plan: &Plan, vm: VmNumber) -> String {
    let layout = plan.layout();
    let (name, bridge) = (plan.domain(vm), plan.bridge());
    let (uuid, mac, address) = (layout.vm_uuid(vm), layout.mac(vm), layout.vm(vm));
    let memory = layout.shape().vm_memory_mib;
    format!(
        r#"name = "{name}"
uuid = "{uuid}"
type = "pv"
kernel = "/etc/s-core/guest-kernel"
ramdisk = "/etc/s-core/guest-initramfs"
cmdline = "console=hvc0 quiet panic=1 ip={address}:::255.255.0.0:{name}:eth0:off"
memory = {memory}
maxmem = {memory}
vcpus = 1
vif = ["mac={mac},bridge={bridge},script=vif-s-core"]
on_crash = "destroy"
"#
    )
}

/// Creates a VM and waits until it answers a ping of its control domain.
pub(crate) fn start(remote: &Remote, host: HostNumber, vm: VmNumber) -> Result<(), LabError> {
    start_unless(remote, host, vm, &|| false)
}

/// As [`start`], but fails soon when `stopped` says so.
pub(crate) fn start_unless(
    remote: &Remote,
    host: HostNumber,
    vm: VmNumber,
    stopped: &dyn Fn() -> bool,
) -> Result<(), LabError> {
    let plan = remote.plan();
    let file = format!("/etc/xen/{}.cfg", plan.domain(vm));
    let address = plan.layout().vm(vm);
    let script = format!(
        "cat >{file} && xl create {file} >/dev/null && until ping -q -c 1 -W 2 {address} >/dev/null; do :; done"
    );
    remote
        .run_unless(host, &script, &configuration(plan, vm), START, stopped)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Size;

    #[test]
    fn golden_configuration() {
        let plan = Plan::new("demo".parse().unwrap(), Size::default()).unwrap();
        let wanted = r#"name = "v3"
uuid = "00000003-6465-806d-806f-000000000000"
type = "pv"
kernel = "/etc/s-core/guest-kernel"
ramdisk = "/etc/s-core/guest-initramfs"
cmdline = "console=hvc0 quiet panic=1 ip=10.77.1.3:::255.255.0.0:v3:eth0:off"
memory = 40
maxmem = 40
vcpus = 1
vif = ["mac=02:77:00:00:00:03,bridge=xenbr0,script=vif-s-core"]
on_crash = "destroy"
"#;
        assert_eq!(configuration(&plan, VmNumber(3)), wanted);
    }
}
