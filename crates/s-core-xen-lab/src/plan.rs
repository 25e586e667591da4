//! What a testbed is made of, and how everything in it is called. Pure arithmetic.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use s_core_lab::{HostNumber, LabError, LabName, Layout, Shape, VmNumber};
use serde::{Deserialize, Serialize};

/// The memory of a host in MiB.
const HOST_MEMORY: u32 = 1024;
/// The memory of a control domain in MiB.
const DOM0_MEMORY: u32 = 400;
/// What the hypervisor takes of a host's memory for itself, in MiB, rounded up.
const HYPERVISOR_MEMORY: u32 = 64;
/// What the hypervisor takes for a domain beside its memory, in MiB, rounded up.
const PER_DOMAIN: u32 = 4;
/// The least and the most memory of a domain in MiB: with 32 its kernel does not start.
const DOMAIN_MEMORY: std::ops::RangeInclusive<u32> = 40..=256;
/// The most hosts: each takes more than a gigabyte of the machine's memory.
const MOST_HOSTS: u16 = 16;

/// The size of a testbed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    /// Xen hosts.
    pub hosts: u16,
    /// VMs (domUs) that each host begins with.
    pub domains: u16,
    /// Memory of each VM in MiB.
    pub memory_mib: u32,
    /// The rate of a host's link in Mbit/s. Emulated hosts reach about 100.
    pub host_mbit: u32,
    /// How much more the links below a switch can carry together than its own upward link: at least 1.
    pub over_subscription: f64,
}

impl Default for Size {
    /// The thesis's testbed (Fig. 5.5): four hosts in four racks below two aggregation switches and a core, two small VMs each.
    fn default() -> Self {
        Self {
            hosts: 4,
            domains: 2,
            memory_mib: 40,
            host_mbit: 100,
            over_subscription: 2.0,
        }
    }
}

/// A testbed: the layout of its laboratory, and what is called otherwise here.
///
/// ```
/// use s_core_lab::{HostNumber, VmNumber};
/// use s_core_xen_lab::{Plan, Size};
///
/// let plan = Plan::new("xen".parse()?, Size::default())?;
/// assert_eq!(plan.host_name(HostNumber(3)), "xen3");
/// assert_eq!(plan.domain(VmNumber(5)), "v5");
/// assert_eq!(plan.layout().server(HostNumber(3)).to_string(), "192.168.77.3");
/// # Ok::<(), s_core_lab::LabError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    layout: Layout,
}

impl Plan {
    /// Checks a size.
    ///
    /// # Errors
    ///
    /// [`LabError::Layout`] names the value that does not do.
    pub fn new(name: LabName, size: Size) -> Result<Self, LabError> {
        let wrong = |what, problem: String| Err(LabError::Layout { what, problem });
        if !(1..=MOST_HOSTS).contains(&size.hosts) {
            return wrong("hosts", format!("{} is not 1 to {MOST_HOSTS}", size.hosts));
        }
        if !DOMAIN_MEMORY.contains(&size.memory_mib) {
            let (least, most) = (DOMAIN_MEMORY.start(), DOMAIN_MEMORY.end());
            let problem = format!("{} MiB are not {least} to {most}", size.memory_mib);
            return wrong("memory", problem);
        }
        let free = HOST_MEMORY - DOM0_MEMORY - HYPERVISOR_MEMORY;
        let slots = free / (size.memory_mib + PER_DOMAIN);
        let slots = u16::try_from(slots).unwrap_or(u16::MAX);
        if size.domains > slots {
            let memory = size.memory_mib;
            let problem = format!("a host has room for {slots} of {memory} MiB");
            return wrong("domains", problem);
        }
        let shape = Shape {
            hosts: size.hosts,
            vms_per_host: size.domains,
            vm_slots: slots,
            vm_memory_mib: size.memory_mib,
            fan_out: match size.hosts {
                1 => vec![1],
                2 | 3 => vec![2],
                _ => vec![2, 2],
            },
            host_mbit: size.host_mbit,
            over_subscription: size.over_subscription,
            management: true,
        };
        let layout = Layout::new(name, shape)?;
        Ok(Self { layout })
    }

    /// That of the testbed of this name, whether its hosts are up or not.
    ///
    /// # Errors
    ///
    /// As [`s_core_lab::load`].
    pub fn of(name: &LabName) -> Result<Self, LabError> {
        let layout = s_core_lab::load(name)?;
        Ok(Self { layout })
    }

    /// The laboratory's layout: hosts, VMs, addresses, links.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The memory of a host in MiB.
    pub const fn host_memory_mib(&self) -> u32 {
        HOST_MEMORY
    }

    /// The memory of a control domain in MiB.
    pub const fn dom0_memory_mib(&self) -> u32 {
        DOM0_MEMORY
    }

    /// What a control domain calls itself.
    pub fn host_name(&self, host: HostNumber) -> String {
        format!("xen{}", host.0)
    }

    /// The bridge of every control domain that the VMs are at.
    pub const fn bridge(&self) -> &'static str {
        "xenbr0"
    }

    /// What Xen calls a VM.
    pub fn domain(&self, vm: VmNumber) -> String {
        format!("v{}", vm.0)
    }

    /// The VM that Xen calls so.
    pub fn vm_called(&self, domain: &str) -> Option<VmNumber> {
        self.layout.vms().find(|vm| self.domain(*vm) == domain)
    }

    /// This machine's address on the management network, from which it reaches the control domains.
    pub const fn operator_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(192, 168, 77, 254)
    }

    /// This machine's address on the VMs' network, from which it tells them what to send, and probes them.
    pub const fn fabric_operator_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, 254)
    }

    /// A file of a host on this machine.
    pub(crate) fn host_file(&self, host: HostNumber, file: &str) -> PathBuf {
        self.layout.host_directory(host).join(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(change: impl FnOnce(&mut Size)) -> Result<Plan, String> {
        let mut size = Size::default();
        change(&mut size);
        Plan::new("demo".parse().unwrap(), size).map_err(|error| error.to_string())
    }

    #[test]
    fn the_tree_is_as_large_as_the_hosts_allow() {
        for (hosts, locations) in [
            (1, &["s1"][..]),
            (2, &["s1", "s2"]),
            (3, &["s1", "s1", "s2"]),
            (4, &["s1/s1", "s1/s2", "s2/s3", "s2/s4"]),
        ] {
            let plan = plan(|size| size.hosts = hosts).unwrap();
            let layout = plan.layout();
            let found: Vec<_> = layout.hosts().map(|host| layout.location(host)).collect();
            assert_eq!(found, locations);
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let check = |change: fn(&mut Size), says: &str| {
            assert_eq!(plan(change).unwrap_err(), says);
        };
        check(|of| of.hosts = 0, "hosts: 0 is not 1 to 16");
        check(|of| of.memory_mib = 32, "memory: 32 MiB are not 40 to 256");
        let room = "domains: a host has room for 6 of 80 MiB";
        check(|of| (of.memory_mib, of.domains) = (80, 7), room);
        assert_eq!(
            plan(|of| (of.memory_mib, of.domains) = (80, 6))
                .unwrap()
                .layout()
                .shape()
                .vm_slots,
            6
        );
        check(|of| of.host_mbit = 0, "host_mbit: 0 is not 1 to 1000");
    }

    #[test]
    fn domains_have_names() {
        let plan = plan(|_| ()).unwrap();
        assert_eq!(plan.vm_called("v8"), Some(VmNumber(8)));
        for other in ["v9", "v0", "v08", "8", "v8--incoming", "Domain-0"] {
            assert_eq!(plan.vm_called(other), None, "{other}");
        }
    }
}
