//! What a laboratory is made of, and how everything in it is called. Pure arithmetic.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;

use s_core_flow::MacAddr;
use s_core_model::{ServerId, VmId};
use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::shape::Shape;

/// The directory with those of all laboratories.
pub(crate) const ALL_LABS: &str = "/run/s-core-lab";
/// VMs per third octet of their addresses.
const VMS_PER_OCTET: u32 = 250;

/// The name of a laboratory: 1 to 8 lower-case letters and digits. Everything that belongs to it bears the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabName(String);

impl LabName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What all namespaces of the laboratory begin with, and those of no other.
    pub fn prefix(&self) -> String {
        format!("score-{self}-")
    }

    /// The directory that holds all files of the laboratory.
    pub fn directory(&self) -> PathBuf {
        PathBuf::from(ALL_LABS).join(self.as_str())
    }
}

impl Default for LabName {
    fn default() -> Self {
        Self("lab".into())
    }
}

impl FromStr for LabName {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Self, LabError> {
        let fits = (1..=8).contains(&text.len());
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if !fits || !text.chars().all(plain) {
            return Err(LabError::Layout {
                what: "name",
                problem: format!("{text:?} is not 1 to 8 lower-case letters and digits"),
            });
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for LabName {
    type Error = LabError;

    fn try_from(text: String) -> Result<Self, LabError> {
        text.parse()
    }
}

impl From<LabName> for String {
    fn from(name: LabName) -> Self {
        name.0
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A host, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostNumber(pub u16);

/// A VM, from 1, wherever it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VmNumber(pub u32);

/// A link between two switches of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// Its level, from 1: the racks' upward links.
    pub level: u8,
    /// Its number within the level, from 1: that of the switch at its lower end.
    pub number: u16,
}

/// A laboratory: its name and shape, and from them the names and addresses of all that it is made of.
///
/// ```
/// use s_core_lab::{HostNumber, Layout, Shape, VmNumber};
///
/// let layout = Layout::new("demo".parse()?, Shape::default())?;
/// assert_eq!(layout.host_namespace(HostNumber(3)), "score-demo-h3");
/// assert_eq!(layout.location(HostNumber(3)), "s2/s3");
/// assert_eq!(layout.vm(VmNumber(5)).to_string(), "10.77.1.5");
/// assert_eq!(layout.first_host(VmNumber(5)), HostNumber(2));
/// # Ok::<(), s_core_lab::LabError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layout {
    name: LabName,
    shape: Shape,
}

impl Layout {
    /// Checks a shape.
    ///
    /// # Errors
    ///
    /// [`LabError::Layout`] names the value that does not do.
    pub fn new(name: LabName, shape: Shape) -> Result<Self, LabError> {
        shape.check()?;
        Ok(Self { name, shape })
    }

    /// The name.
    pub const fn name(&self) -> &LabName {
        &self.name
    }

    /// The shape.
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// What all namespaces of the laboratory begin with.
    pub fn prefix(&self) -> String {
        self.name.prefix()
    }

    /// The directory that holds all files of the laboratory.
    pub fn directory(&self) -> PathBuf {
        self.name.directory()
    }

    /// All hosts.
    pub fn hosts(&self) -> impl Iterator<Item = HostNumber> + use<> {
        (1..=self.shape.hosts).map(HostNumber)
    }

    /// All VMs.
    pub fn vms(&self) -> impl Iterator<Item = VmNumber> + use<> {
        let count = u32::from(self.shape.hosts) * u32::from(self.shape.vms_per_host);
        (1..=count).map(VmNumber)
    }

    /// The namespace of a control domain.
    pub fn host_namespace(&self, host: HostNumber) -> String {
        format!("{}h{}", self.prefix(), host.0)
    }

    /// The namespace of a VM.
    pub fn vm_namespace(&self, vm: VmNumber) -> String {
        format!("{}v{}", self.prefix(), vm.0)
    }

    /// The namespace with the switches between the hosts.
    pub fn fabric_namespace(&self) -> String {
        format!("{}fabric", self.prefix())
    }

    /// The directory that a host's switch runs from, as `/run/openvswitch` on a real host.
    pub fn host_directory(&self, host: HostNumber) -> PathBuf {
        self.directory().join(format!("h{}", host.0))
    }

    /// The name of every host's bridge.
    pub const fn bridge(&self) -> &'static str {
        "br0"
    }

    /// The name of every host's link to its rack's switch, a port of the bridge.
    pub const fn uplink(&self) -> &'static str {
        "up0"
    }

    /// The name of every host's interface on the management network.
    pub const fn management_port(&self) -> &'static str {
        "mgmt0"
    }

    /// The port of the management network's switch that leads to a host.
    pub fn management_switch_port(&self, host: HostNumber) -> String {
        format!("m{}", host.0)
    }

    /// The name of the management network's switch in the fabric's namespace.
    pub const fn management_switch(&self) -> &'static str {
        "mgmt"
    }

    /// The host's end of a VM's interface, a port of the bridge of the host that it runs on.
    pub fn vif(&self, vm: VmNumber) -> String {
        format!("vif{}.0", vm.0)
    }

    /// The address of a control domain on the network of the VMs: its bridge's own port.
    pub const fn fabric_address(&self, host: HostNumber) -> Ipv4Addr {
        let [_, low] = host.0.to_be_bytes();
        Ipv4Addr::new(10, 77, 0, low)
    }

    /// The address of a control domain on the management network, where there is one.
    pub const fn management_address(&self, host: HostNumber) -> Ipv4Addr {
        let [_, low] = host.0.to_be_bytes();
        Ipv4Addr::new(192, 168, 77, low)
    }

    /// The address by which S-CORE knows a host: on the management network if there is one.
    pub fn server(&self, host: HostNumber) -> ServerId {
        if self.shape.management {
            self.management_address(host).into()
        } else {
            self.fabric_address(host).into()
        }
    }

    /// The host that S-CORE knows by this address.
    pub fn host_of(&self, server: ServerId) -> Option<HostNumber> {
        self.hosts().find(|host| self.server(*host) == server)
    }

    /// The id, and so the address, of a VM.
    pub fn vm(&self, vm: VmNumber) -> VmId {
        let place = vm.0.saturating_sub(1);
        let [third, fourth] = [1 + place / VMS_PER_OCTET, 1 + place % VMS_PER_OCTET];
        let octet = |n: u32| n.to_be_bytes()[3];
        Ipv4Addr::new(10, 77, octet(third), octet(fourth)).into()
    }

    /// The VM with this id.
    pub fn vm_of(&self, vm: VmId) -> Option<VmNumber> {
        self.vms().find(|number| self.vm(*number) == vm)
    }

    /// The MAC address of a VM's interface.
    pub const fn mac(&self, vm: VmNumber) -> MacAddr {
        let [_, a, b, c] = vm.0.to_be_bytes();
        MacAddr::new([0x02, 0x77, 0, a, b, c])
    }

    /// Where a VM is before anything has moved.
    pub fn first_host(&self, vm: VmNumber) -> HostNumber {
        let per_host = u32::from(self.shape.vms_per_host).max(1);
        let host = vm.0.saturating_sub(1) / per_host;
        HostNumber(u16::try_from(host).unwrap_or(u16::MAX - 1) + 1)
    }

    /// How many racks there are.
    pub fn racks(&self) -> u16 {
        self.shape.fan_out.iter().product()
    }

    /// The rack of a host, from 1.
    pub fn rack(&self, host: HostNumber) -> u16 {
        let (place, racks) = (u32::from(host.0.saturating_sub(1)), u32::from(self.racks()));
        let rack = place * racks / u32::from(self.shape.hosts);
        1 + u16::try_from(rack).unwrap_or(0)
    }

    /// How many levels of links there are above the racks.
    pub fn levels(&self) -> u8 {
        u8::try_from(self.shape.fan_out.len()).unwrap_or(u8::MAX)
    }

    /// The number of the switch `level` levels above a rack, from 1; level 0 is the rack itself.
    fn switch_above(&self, rack: u16, level: u8) -> u16 {
        let below = self.shape.fan_out.iter().rev().take(level.into());
        let width: u16 = below.product();
        1 + (rack - 1) / width
    }

    /// The path of a host from the core down to its rack, as in `servers.csv`.
    pub fn location(&self, host: HostNumber) -> String {
        let rack = self.rack(host);
        let path = (0..self.levels()).rev();
        let path: Vec<_> = path
            .map(|level| format!("s{}", self.switch_above(rack, level)))
            .collect();
        path.join("/")
    }

    /// All links between switches.
    pub fn links(&self) -> Vec<Link> {
        let mut links = Vec::new();
        for level in 1..=self.levels() {
            let of = self.shape.fan_out.len() + 1 - usize::from(level);
            let switches: u16 = self.shape.fan_out[..of].iter().product();
            links.extend((1..=switches).map(|number| Link { level, number }));
        }
        links
    }

    /// The name of a switch, a bridge of the fabric's namespace: `level` 0 for racks, the number of levels for the core.
    pub fn switch(&self, level: u8, number: u16) -> String {
        format!("s{level}.{number}")
    }

    /// The name of the switch at the top of the tree.
    pub fn core_switch(&self) -> String {
        self.switch(self.levels(), 1)
    }

    /// The switches at both ends of a link: lower, upper.
    pub fn ends(&self, link: Link) -> [String; 2] {
        let fan_out = (self.shape.fan_out.len()).checked_sub(link.level.into());
        let fan_out = fan_out.map_or(1, |at| self.shape.fan_out[at]);
        let upper = 1 + (link.number - 1) / fan_out;
        [
            self.switch(link.level - 1, link.number),
            self.switch(link.level, upper),
        ]
    }

    /// The interfaces of a link, in the fabric's namespace: at its lower switch, at its upper switch. What the first sends
    /// goes up, what it receives comes down.
    pub fn interfaces(&self, link: Link) -> [String; 2] {
        let Link { level, number } = link;
        [format!("l{level}.{number}u"), format!("l{level}.{number}d")]
    }

    /// The port of a rack's switch that leads to a host.
    pub fn host_port(&self, host: HostNumber) -> String {
        format!("h{}", host.0)
    }

    /// The rate of a link in Mbit/s: what is below it, divided by the over-subscription.
    pub fn link_mbit(&self, level: u8) -> f64 {
        let hosts = f64::from(self.shape.hosts) / f64::from(self.racks());
        let mut rate = f64::from(self.shape.host_mbit) * hosts;
        for above in 1..=level {
            let at = self
                .shape
                .fan_out
                .len()
                .saturating_sub(usize::from(above) - 1);
            if above > 1 {
                rate *= f64::from(self.shape.fan_out[at]);
            }
            rate /= self.shape.over_subscription;
        }
        rate.max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(hosts: u16, fan_out: &[u16]) -> Layout {
        let shape = Shape {
            hosts,
            fan_out: fan_out.to_vec(),
            ..Shape::default()
        };
        Layout::new(LabName::default(), shape).unwrap()
    }

    #[test]
    fn a_tree_is_spread_evenly() {
        let layout = layout(16, &[2, 4]);
        let locations: Vec<_> = layout.hosts().map(|host| layout.location(host)).collect();
        assert_eq!(locations[..3], ["s1/s1", "s1/s1", "s1/s2"]);
        assert_eq!(locations[15], "s2/s8");
        assert_eq!(layout.links().len(), 8 + 2);
        let [rack, top] = [(1, 5), (2, 2)].map(|(level, number)| Link { level, number });
        assert_eq!(layout.ends(rack), ["s0.5", "s1.2"]);
        assert_eq!(layout.ends(top), ["s1.2", "s2.1"]);
        // Two hosts of 200 below a rack; four racks of 200 below an aggregation switch.
        assert_eq!([layout.link_mbit(1), layout.link_mbit(2)], [200.0, 400.0]);
    }

    #[test]
    fn names_fit_and_addresses_differ() {
        let shape = Shape {
            hosts: 250,
            vms_per_host: 40,
            vm_slots: 40,
            fan_out: vec![2, 5, 5],
            ..Shape::default()
        };
        let layout = Layout::new("abcdefgh".parse().unwrap(), shape).unwrap();
        let mut ids: Vec<_> = layout.vms().map(|vm| layout.vm(vm)).collect();
        assert!(ids.is_sorted());
        ids.dedup();
        assert_eq!(ids.len(), 10_000);
        assert_eq!(layout.vm_of(ids[9_999]), Some(VmNumber(10_000)));
        assert_eq!(layout.first_host(VmNumber(10_000)), HostNumber(250));
        let links = layout.links();
        let interfaces = links.iter().flat_map(|link| layout.interfaces(*link));
        let vifs = layout.vms().map(|vm| layout.vif(vm));
        let longest = interfaces.chain(vifs).map(|name| name.len()).max();
        assert!(longest <= Some(15), "{longest:?}");
    }

    #[test]
    fn names_are_plain() {
        for name in ["Lab", "a-b", "", "ninechars", "../x"] {
            assert!(name.parse::<LabName>().is_err(), "{name}");
        }
    }
}
